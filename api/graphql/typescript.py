"""TypeScript types of the schema, for clients: `python -m api.graphql.typescript > schema.ts`."""

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
)

SCALARS = {"Int": "number", "Float": "number", "BigInt": "number", "Boolean": "boolean", "JSON": "unknown"}
"""Scalars that are no text."""


def typescript_of(schema: GraphQLSchema) -> str:
    """A type for each type of the schema; arguments are left to the documents that give them."""
    parts = [_declared(kind) for name, kind in schema.type_map.items() if not name.startswith("__")]
    return "\n".join(part for part in parts if part)


def _declared(kind: object) -> str:
    match kind:
        case GraphQLScalarType() if kind.name not in ("String", "Int", "Float", "Boolean"):
            return f"export type {kind.name} = {SCALARS.get(kind.name, 'string')};"
        case GraphQLEnumType():
            return f"export type {kind.name} = {' | '.join(repr(name) for name in kind.values)};"
        case GraphQLUnionType():
            return f"export type {kind.name} = {' | '.join(one.name for one in kind.types)};"
        case GraphQLObjectType() | GraphQLInterfaceType():
            told = [f"  {name}: {_type(one.type)};" for name, one in kind.fields.items()]
            own = [f"  __typename: {kind.name!r};"] if isinstance(kind, GraphQLObjectType) else []
            above = f" extends {', '.join(one.name for one in kind.interfaces)}" if kind.interfaces else ""
            return "\n".join([f"export interface {kind.name}{above} {{", *own, *told, "}"])
        case GraphQLInputObjectType():
            members = [_member(name, one.type) for name, one in kind.fields.items()]
            return "\n".join([f"export interface {kind.name} {{", *members, "}"])
    return ""


def _member(name: str, kind: object) -> str:
    return f"  {name}{'' if isinstance(kind, GraphQLNonNull) else '?'}: {_type(kind)};"


def _type(kind: object) -> str:
    if isinstance(kind, GraphQLNonNull):
        return _given(kind.of_type)
    return f"{_given(kind)} | null"


def _given(kind: object) -> str:
    if isinstance(kind, GraphQLList):
        return f"Array<{_type(kind.of_type)}>"
    name = str(kind)
    return {"String": "string", "Int": "number", "Float": "number", "Boolean": "boolean"}.get(name, name)


def main() -> None:
    """Print the types of the schema that this version serves."""
    from api.graphql.schema import schema

    print(typescript_of(schema()._schema))  # noqa: T201 (a command prints)


if __name__ == "__main__":
    main()
