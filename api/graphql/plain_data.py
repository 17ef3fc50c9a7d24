"""Completing plain data in the ordinary executor: an object that is a dictionary is read as one.

The library resolves and completes field by field, each with its own path, whether or not anything can wait or fail
there: 3 µs for a text that is at hand. Here a selection becomes one function over dictionaries, made once per request.
What is not plain is left to the library, which says where and why: resolvers, interfaces and unions, values of
another kind than their type, null where there may be none.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    Executor,
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter

Complete = Callable[[Any], Any]
AS_IT_IS = {"String": str, "ID": str, "Boolean": bool, "DateTime": str, "Date": str, "UUID": str}
"""Scalar -> the type of values that are told as they are."""


class NotPlain(Exception):
    """Something has to be resolved, waited for or complained about."""


class PlainExecutor(Executor[None]):
    """The executor of the library, with a shorter way for what is plain."""

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: list[Any],
        info: GraphQLResolveInfo[Any],
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        """The selected fields of an object; the library's own way where they are not plain."""
        if type(result) is dict:
            try:
                return self._plain(return_type, field_details_list)(result)
            except (NotPlain, KeyError):
                pass
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def _plain(self, kind: GraphQLObjectType, details: list[Any]) -> Complete:
        made: dict[tuple[GraphQLObjectType, int], tuple[Any, Complete]] = self.__dict__.setdefault("made", {})
        key = kind, id(details)
        if key not in made:
            made[key] = details, self._object(kind, details)  # kept with its list, whose id is not used again then
        return made[key][1]

    def _object(self, kind: GraphQLObjectType, details: list[Any]) -> Complete:
        selected = self.collect_subfields(kind, details).grouped_field_set
        is_a, name = kind.is_type_of, kind.name
        parts: list[tuple[str, str, Complete | None]] = []
        try:
            for key, given in selected.items():
                field = given[0].node.name.value
                if field == "__typename":
                    parts.append((key, "", None))
                else:
                    declared = kind.fields[field]
                    parts.append((key, _member(declared), self._value(declared.type, given, may_be_null=True)))
        except NotPlain:
            return _never

        def complete(source: Any) -> dict[str, Any]:
            if type(source) is not dict or (is_a is not None and not is_a(source, None)):  # type: ignore[arg-type]
                raise NotPlain
            return {key: name if done is None else done(source[member]) for key, member, done in parts}

        return complete

    def _value(self, kind: Any, details: list[Any], *, may_be_null: bool) -> Complete:
        if isinstance(kind, GraphQLNonNull):
            return self._value(kind.of_type, details, may_be_null=False)
        if isinstance(kind, GraphQLScalarType | GraphQLEnumType):
            return _leaf(kind, may_be_null=may_be_null)
        if isinstance(kind, GraphQLList):
            each, is_list = self._value(kind.of_type, details, may_be_null=True), True
        elif isinstance(kind, GraphQLObjectType):
            each, is_list = self._plain(kind, details), False
        else:
            raise NotPlain

        def complete(value: Any) -> Any:
            if value is None and may_be_null:
                return None
            if not is_list:
                return each(value)
            if type(value) is not list:
                raise NotPlain
            return [each(one) for one in value]

        return complete


def _never(_: Any) -> Any:
    raise NotPlain


def _member(declared: GraphQLField) -> str:
    """The key of a field in the dictionary. Raises NotPlain where a resolver finds its value."""
    field = declared.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
    if field is None or not field.is_basic_field:
        raise NotPlain
    name: str = field.python_name
    return name


def _leaf(kind: GraphQLScalarType | GraphQLEnumType, *, may_be_null: bool) -> Complete:
    expected, coerce = AS_IT_IS.get(kind.name), kind.coerce_output_value
    names = {one.value: name for name, one in kind.values.items()} if isinstance(kind, GraphQLEnumType) else {}

    def complete(value: Any) -> Any:
        if type(value) is expected:
            return value
        if value is None and may_be_null:
            return None
        if type(value) is str and value in names:
            return names[value]
        try:
            found = coerce(value)
        except Exception:
            raise NotPlain from None  # the library asks again, and says where it was
        if found is None:
            raise NotPlain
        return found

    return complete
