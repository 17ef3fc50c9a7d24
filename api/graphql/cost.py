"""What a document may ask for: bytes, tokens, depth, aliases, directives, operations, and the objects it could return.

Limits: OWASP GraphQL guidance. The cost counts objects, not leaves: a page counts its `first`, a list the
number of rows that are usual for it.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

BYTES_MAX = 15_000
TOKENS_MAX = 1_000
DEPTH_MAX = 8  # objects within objects; the values of the innermost are no level of their own
INTROSPECTION_DEPTH_MAX = 15  # the usual introspection query unwraps types ten levels deep; it needs a grant anyway
ALIASES_MAX = 15
DIRECTIVES_MAX = 15
OPERATIONS_MAX = 1
COMPARISONS_MAX = 40_000  # work of comparing fields of one name, which grows with the square of their number
COST_MAX = 5_000
ERRORS_MAX = 5
FIRST_MAX = 100
FIRST_DEFAULT = 50

USUAL: Mapping[str, int] = {
    "steps": 5,
    "actions": 7,
    "documentation": 12,
    "evidence": 10,
    "notifications": 8,
    "obligations": 10,
    "controlOccurrences": 12,
    "participants": 6,
    "revisions": 20,
    "exceptions": 5,
    "duties": 20,
}
"""Rows that a list is reckoned to have. A list that is not named counts LIST."""
LIST = 5
ONE = 1


class TooMuch(GraphQLError):
    """The document asks for more than one answer may hold."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(
            f"The document exceeds the limit of {limit} {what}. Ask for less, or in several requests.",
            extensions={"code": "query-too-large", "limit": limit},
        )


def check_form(document: DocumentNode) -> bool:
    """Everything that does not depend on variables; whether it asks for the schema. Raises TooMuch, GraphQLError.

    Fragments are followed: what counts is what would be executed, however it is written.
    """
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) > OPERATIONS_MAX:
        raise TooMuch("operations", OPERATIONS_MAX)
    count = _Count(fragments)
    for operation in operations:
        count.directives += len(operation.directives or ())
        count.walk(operation.selection_set, 1, ())
    return count.introspects


class _Count:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments
        self.introspects = False
        self.aliases = self.directives = self.seen = 0

    def walk(self, given: SelectionSetNode | None, depth: int, inside: tuple[str, ...]) -> None:
        for one in given.selections if given is not None else ():
            self.seen += 1
            self.directives += len(one.directives or ())
            if isinstance(one, FieldNode):
                self._field(one, depth)
                self.walk(one.selection_set, depth + 1, inside)
            elif isinstance(one, FragmentSpreadNode):
                name = one.name.value
                if name in inside:
                    raise GraphQLError("A fragment spreads itself.", extensions={"code": "invalid-document"})
                if name in self.fragments:
                    self.walk(self.fragments[name].selection_set, depth, (*inside, name))
            elif isinstance(one, InlineFragmentNode):
                self.walk(one.selection_set, depth, inside)
            self._check()

    def _field(self, one: FieldNode, depth: int) -> None:
        name = one.name.value
        self.introspects = self.introspects or name in ("__schema", "__type")
        if one.selection_set is not None and depth > (INTROSPECTION_DEPTH_MAX if self.introspects else DEPTH_MAX):
            raise TooMuch("levels", DEPTH_MAX)
        if one.alias is not None or name == "__typename":
            self.aliases += 1

    def _check(self) -> None:
        if self.aliases > ALIASES_MAX:
            raise TooMuch("aliases", ALIASES_MAX)
        if self.directives > DIRECTIVES_MAX:
            raise TooMuch("directives", DIRECTIVES_MAX)
        if self.seen > TOKENS_MAX * 4:
            raise TooMuch("selections through fragments", TOKENS_MAX * 4)


def cost_of(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode], variables: Any) -> int:
    """The objects that the operation could return."""
    return _cost(operation.selection_set, fragments, variables if isinstance(variables, dict) else {}, 0)


def _cost(
    given: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: Mapping[str, Any],
    page: int,
) -> int:
    total = 0
    for one in given.selections if given is not None else ():
        if isinstance(one, FragmentSpreadNode):
            definition = fragments.get(one.name.value)
            total += _cost(definition.selection_set, fragments, variables, page) if definition else 0
        elif isinstance(one, InlineFragmentNode):
            total += _cost(one.selection_set, fragments, variables, page)
        elif isinstance(one, FieldNode) and one.selection_set is not None:
            total += _cost_of_field(one, fragments, variables, page)
    return total


def _cost_of_field(
    node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any], page: int
) -> int:
    name = node.name.value
    first = next((a.value for a in node.arguments or () if a.name.value == "first"), None)
    if name in ("nodes", "edges") and page:
        return page * (1 + _cost(node.selection_set, fragments, variables, 0))
    inner = _first(first, variables) if first is not None or name in PAGED else 0
    if inner:
        return 1 + _cost(node.selection_set, fragments, variables, inner)
    rows = USUAL.get(name, LIST if name.endswith("s") else ONE)
    return rows * (1 + _cost(node.selection_set, fragments, variables, 0))


def _first(value: Any, variables: Mapping[str, Any]) -> int:
    given: Any = FIRST_DEFAULT
    if isinstance(value, IntValueNode):
        given = int(value.value) if len(value.value) < 10 else FIRST_MAX
    elif isinstance(value, VariableNode):
        given = variables.get(value.name.value, FIRST_DEFAULT)
    return max(1, min(given, FIRST_MAX)) if isinstance(given, int) and not isinstance(given, bool) else FIRST_DEFAULT


PAGED: set[str] = set()
"""Root fields that are pages; the roots enter themselves."""
