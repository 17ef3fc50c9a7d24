"""A typed Python client, written from the published schema and the documents that it is to send.

It does what any generator of clients does: one class for each object that a document selects, one method for each
operation. What a union or interface holds is told apart by `__typename`; a member that the schema did not have when the
client was written is read by what the document asks of the interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from keyword import iskeyword
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Undefined,
    Visitor,
    get_named_type,
    parse,
    print_ast,
    type_from_ast,
    visit,
)

SCALARS = {"String": "str", "ID": "str", "Int": "int", "Float": "float", "Boolean": "bool", "BigInt": "int"}
HEAD = '''"""Written from the schema; do not edit."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.graph_transport import Transport


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
'''
TYPENAME = FieldNode(name=NameNode(value="__typename"), arguments=(), directives=())
Abstract = GraphQLUnionType | GraphQLInterfaceType


def client_of(schema: GraphQLSchema, documents: str) -> str:
    """The source of a module: classes for what is given and told, and `Client` with a method for each operation."""
    return _Writer(schema, documents).source()


class _Telling(Visitor):
    """Asks what it is of each thing that may be one of several types."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types

    def leave_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        if node.selection_set is None or not isinstance(get_named_type(self.types.get_type()), Abstract):
            return None
        given = SelectionSetNode(selections=(TYPENAME, *node.selection_set.selections))
        return replace(node, selection_set=given)


class _Writer:
    def __init__(self, schema: GraphQLSchema, documents: str) -> None:
        self.schema = schema
        types = TypeInfo(schema)
        definitions = visit(parse(documents), TypeInfoVisitor(types, _Telling(types))).definitions
        self.operations = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
        self.fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
        self.classes: dict[str, str] = {}

    def source(self) -> str:
        methods = [self._method(one) for one in self.operations]
        client = "\n".join(["class Client(Transport):", *methods])
        return "\n\n".join([HEAD, *self.classes.values(), client]) + "\n"

    # -- operations ----------------------------------------------------------------------------------------------------

    def _method(self, operation: OperationDefinitionNode) -> str:
        assert operation.name is not None
        name, root = operation.name.value, self.schema.get_root_type(operation.operation)
        assert root is not None
        told = self._object(root, [operation.selection_set], name)
        text = "\n".join([print_ast(operation), *(print_ast(one) for one in self._used(operation.selection_set))])
        parameters, sent = ["self", "*"], []
        for one in operation.variable_definitions or ():
            variable, kind = one.variable.name.value, type_from_ast(self.schema, one.type)
            optional = one.default_value is not None or not isinstance(kind, GraphQLNonNull)
            parameters.append(f"{variable}: {self._given(kind)}{' | None = None' if optional else ''}")
            sent.append(f'"{variable}": {variable}')
        lines = [f"    document = {text!r}", f"    variables: dict[str, Any] = {{{', '.join(sent)}}}"]
        signature = f"{_snake(name)}({', '.join(parameters if sent else ['self'])})"
        if operation.operation is OperationType.SUBSCRIPTION:
            head = f"async def {signature} -> AsyncIterator[{told}]:"
            lines += ["    async for data in self.told(document, variables):", f"        yield {told}(**data)"]
        else:
            head = f"async def {signature} -> {told}:"
            lines.append(f"    return {told}(**await self.asked(document, variables))")
        return "\n".join(f"    {line}" for line in [head, *lines]) + "\n"

    def _used(self, given: SelectionSetNode | None) -> Iterator[FragmentDefinitionNode]:
        seen: dict[str, FragmentDefinitionNode] = {}

        def walk(selection: SelectionSetNode | None) -> None:
            for one in selection.selections if selection is not None else ():
                if isinstance(one, FragmentSpreadNode) and one.name.value not in seen:
                    seen[one.name.value] = self.fragments[one.name.value]
                    walk(seen[one.name.value].selection_set)
                elif isinstance(one, FieldNode | InlineFragmentNode):
                    walk(one.selection_set)

        walk(given)
        yield from seen.values()

    # -- what is told --------------------------------------------------------------------------------------------------

    def _fields(self, kind: Any, sets: list[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        """What is selected on a type, by the key of the answer, through the fragments that hold for it."""
        found: dict[str, list[FieldNode]] = {}
        for one in (one for given in sets for one in given.selections):
            if isinstance(one, FieldNode):
                found.setdefault((one.alias or one.name).value, []).append(one)
                continue
            assert isinstance(one, FragmentSpreadNode | InlineFragmentNode)
            given = self.fragments[one.name.value] if isinstance(one, FragmentSpreadNode) else one
            condition = self.schema.type_map[given.type_condition.name.value] if given.type_condition else kind
            same = condition is kind
            if same or (isinstance(condition, Abstract) and self.schema.is_sub_type(condition, kind)):
                for key, nodes in self._fields(kind, [given.selection_set]).items():
                    found.setdefault(key, []).extend(nodes)
        return found

    def _object(self, kind: Any, sets: list[SelectionSetNode], name: str, typename: str = "") -> str:
        lines = [f'    typename: {typename} = Field(alias="__typename")'] if typename else []
        for key, nodes in self._fields(kind, sets).items():
            field = nodes[0].name.value
            if field == "__typename":
                lines += [] if typename else [f'    typename: Literal["{kind.name}"] = Field(alias="__typename")']
                continue
            given = kind.fields[field].type  # members of a union are named by their types
            inner = name if isinstance(get_named_type(given), Abstract) else f"{name}{key[:1].upper()}{key[1:]}"
            told = self._told(given, nodes, inner)
            lines.append(f'    {key}_: {told} = Field(alias="{key}")' if iskeyword(key) else f"    {key}: {told}")
        self.classes[name] = "\n".join([f"class {name}(Told):", *(lines or ["    pass"])]) + "\n"
        return name

    def _told(self, kind: Any, nodes: list[FieldNode], name: str) -> str:
        if isinstance(kind, GraphQLNonNull):
            return self._plain(kind.of_type, nodes, name)
        return f"{self._plain(kind, nodes, name)} | None"

    def _plain(self, kind: Any, nodes: list[FieldNode], name: str) -> str:
        sets = [node.selection_set for node in nodes if node.selection_set is not None]
        if isinstance(kind, GraphQLList):
            return f"list[{self._told(kind.of_type, nodes, name)}]"
        if isinstance(kind, GraphQLObjectType):
            return self._object(kind, sets, name)
        if isinstance(kind, Abstract):
            return self._either(kind, sets, name)
        return _leaf(kind)

    def _either(self, kind: Abstract, sets: list[SelectionSetNode], name: str) -> str:
        """A class for each member that the document names, and one for all others, which are read as what they are."""
        named = {
            one.type_condition.name.value
            for given in sets
            for one in given.selections
            if isinstance(one, InlineFragmentNode) and one.type_condition is not None
        }
        members = [one for one in self.schema.get_possible_types(kind) if one.name in named]
        found = [self._object(one, sets, f"{name}{one.name}", f'Literal["{one.name}"]') for one in members]
        above = [self.schema.type_map[one] for one in sorted(named) if one not in {m.name for m in members}]
        rest = self._object(above[0] if above else kind, sets, f"{name}Other", "str")
        return f'Annotated[{" | ".join([*found, rest])}, Field(union_mode="left_to_right")]'

    # -- what is given -------------------------------------------------------------------------------------------------

    def _given(self, kind: Any) -> str:
        """The annotation of a value that is sent, without `None`."""
        if isinstance(kind, GraphQLNonNull):
            return self._given(kind.of_type)
        if isinstance(kind, GraphQLList):
            inner = self._given(kind.of_type)
            return f"list[{inner}]" if isinstance(kind.of_type, GraphQLNonNull) else f"list[{inner} | None]"
        if not isinstance(kind, GraphQLInputObjectType):
            return _leaf(kind)
        if kind.name not in self.classes:
            self.classes[kind.name] = ""
            lines = []
            for name, one in kind.fields.items():
                needed = isinstance(one.type, GraphQLNonNull) and one.default_value is Undefined
                told = self._given(one.type) + ("" if needed else " | None = None")
                lines.append(f"    {name}: {told}")
            made = self.classes.pop(kind.name) or "\n".join([f"class {kind.name}(Given):", *lines]) + "\n"
            self.classes[kind.name] = made  # behind those that it is made of
        return kind.name


def _leaf(kind: Any) -> str:
    if isinstance(kind, GraphQLEnumType):
        return f"Literal[{', '.join(repr(name) for name in kind.values)}]"
    return "Any" if kind.name == "JSON" else SCALARS.get(kind.name, "str")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
