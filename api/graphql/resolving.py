"""Resolvers and inputs made from declarations: Strawberry reads signatures and annotations, so these are given it."""

import enum
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

import strawberry
from pydantic import BaseModel
from strawberry.types import Info

from api.graphql.objects import camel, value_type

NEEDED = inspect.Parameter.empty
Arguments = dict[str, Any]
Resolve = Callable[[Info[Any, Any], Arguments], Any]


def resolver_of(arguments: Arguments, answers: Any, resolve: Resolve, *, raw: bool = False) -> Callable[..., Any]:
    """A resolver with a signature: {name: (type, default or NEEDED)}. `raw` keeps inputs as Strawberry makes them."""

    async def resolver(info: Info[Any, Any], **given: Any) -> Any:
        return await resolve(info, given if raw else {name: plain_value(value) for name, value in given.items()})

    parameters = [inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info)]
    for name, (annotation, default) in arguments.items():
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, kind, annotation=annotation, default=default))
    resolver.__signature__ = inspect.Signature(parameters, return_annotation=answers)  # type: ignore[attr-defined]
    resolver.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": answers}
    return resolver


def plain_value(value: Any) -> Any:
    """An argument as JSON: inputs as objects by the names of the graph, enums as their text, absent members absent."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list):
        return [plain_value(one) for one in value]
    if isinstance(value, dict):
        return {name: plain_value(one) for name, one in value.items()}
    fields = _fields(value)
    if fields is None:
        return value
    given = {camel(name): getattr(value, name) for name in fields}
    return {name: plain_value(one) for name, one in given.items() if one is not strawberry.UNSET}


def members_of(value: Any) -> Any:
    """An input by the names of its model; absent members stay absent."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list):
        return [members_of(one) for one in value]
    fields = _fields(value)
    if fields is None:
        return value
    given = {name: getattr(value, name) for name in fields}
    return {name: members_of(one) for name, one in given.items() if one is not strawberry.UNSET}


def _fields(value: Any) -> list[str] | None:
    definition = getattr(value, "__strawberry_definition__", None)
    return None if definition is None else [one.python_name for one in definition.fields]


def by_members(model: type[BaseModel], value: Any) -> Any:
    """Plain JSON of an input by the names of its model; JSON within it keeps its own names."""
    if isinstance(value, list):
        return [by_members(model, one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, one in model.model_fields.items():
        if camel(name) in value:
            inner, given = _model_in(one.annotation), value[camel(name)]
            found[name] = given if inner is None else by_members(inner, given)
    return found


_made: dict[tuple[str, type[BaseModel]], type] = {}
_names: dict[type[BaseModel], str] = {}


def input_of(name: str, model: type[BaseModel]) -> type:
    """The input that stands for a model of REST, with the models in it."""
    fields: dict[str, tuple[Any, bool]] = {}
    for member, one in model.model_fields.items():
        inner = _model_in(one.annotation)
        if inner is None:
            kind = value_type(one.annotation, name.removesuffix("Input"), member)
        else:
            kind = _as(one.annotation, _nested(inner, name))
        fields[member] = (kind, not one.is_required())
    return made_input(name, (inspect.getdoc(model) or name).split("\n\n")[0], fields)


def _nested(model: type[BaseModel], owner: str) -> type:
    """One input for a model wherever it is used; two models of one name are told apart by where the second is used."""
    name = model.__name__.removesuffix("In") + "Input"
    if _names.setdefault(model, name) == name and name in {n for m, n in _names.items() if m is not model}:
        _names[model] = owner.removesuffix("Input") + name
    found = _made.get((_names[model], model))
    if found is None:
        found = _made[_names[model], model] = input_of(_names[model], model)
    return found


def made_input(name: str, doc: str, fields: dict[str, tuple[Any, bool]]) -> type:
    """A Strawberry input: {member: (type, whether it may be left out)}."""
    made = type(name, (), {})
    made.__annotations__ = {
        member: kind | None if optional and not is_nullable(kind) else kind
        for member, (kind, optional) in fields.items()
    }
    for member, (_, optional) in fields.items():
        if optional:
            setattr(made, member, strawberry.UNSET)
    return strawberry.input(made, description=doc)


def is_nullable(kind: Any) -> bool:
    """Whether None is one of its values."""
    return type(None) in getattr(kind, "__args__", ())


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(one) for one in get_args(annotation)]
    return next((one for one in found if one is not None), None)


def _as(annotation: Any, made: type) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _as(arguments[0], made)
    if origin is Union or getattr(origin, "__name__", "") == "UnionType":
        inner = _as(next(one for one in arguments if one is not type(None)), made)
        return inner | None if type(None) in arguments else inner
    return list[_as(arguments[0], made)] if origin is list else made  # type: ignore[misc]
