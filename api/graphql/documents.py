"""Documents: parsed, measured and validated once, then kept by their text."""

from collections import OrderedDict
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from graphql import (
    DocumentNode,
    FloatValueNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    IntValueNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    Visitor,
    parse,
    validate,
    visit,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from graphql.validation.validate import ValidationAbortedError

from api.graphql.cost import BYTES_MAX, COMPARISONS_MAX, ERRORS_MAX, TOKENS_MAX, TooMuch, check_form
from api.strict_json import DEPTH_MAX, INTEGER_MAX

KEPT_AT_MOST = 500
DIGITS_MAX = 17  # of 2**53-1 and a sign
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = COMPARISONS_MAX  # its own is a second of processor time
_kept: OrderedDict[str, "Document"] = OrderedDict()


class _Literals(Visitor):
    """Refuses values that a strict JSON body could not hold either: written into the document they pass no reader."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
        if "\0" in node.value:
            raise _not_kept(node, "a NUL character")

    def enter_int_value(self, node: IntValueNode, *_: Any) -> None:
        if len(node.value) > DIGITS_MAX or abs(int(node.value)) > INTEGER_MAX:
            raise _not_kept(node, "an integer past 2**53-1")

    def enter_float_value(self, node: FloatValueNode, *_: Any) -> None:
        if not isfinite(float(node.value)):
            raise _not_kept(node, "a number that is not finite")

    def enter(self, node: Node, *_: Any) -> None:
        if isinstance(node, ListValueNode | ObjectValueNode):
            self.depth += 1
            if self.depth > DEPTH_MAX:
                raise _not_kept(node, f"a value nested deeper than {DEPTH_MAX}")

    def leave(self, node: Node, *_: Any) -> None:
        if isinstance(node, ListValueNode | ObjectValueNode):
            self.depth -= 1


def _not_kept(node: Node, what: str) -> GraphQLError:
    return GraphQLError(f"The document holds {what}, which cannot be kept.", node, extensions={"code": "invalid-input"})


class Refused(Exception):
    """A document that is not run, and why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors[:ERRORS_MAX]


@dataclass(slots=True)
class Document:
    """A valid document with one operation. `plans` keeps what was worked out about running it."""

    text: str
    tree: DocumentNode
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]
    introspects: bool
    plans: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.operation


def document_of(text: str, schema: GraphQLSchema) -> Document:
    """The document of a text. Raises Refused: too large, not GraphQL, not of this schema."""
    kept = _kept.get(text)
    if kept is not None:
        _kept.move_to_end(text)
        return kept
    made = _read(text, schema)
    _kept[text] = made
    if len(_kept) > KEPT_AT_MOST:
        _kept.popitem(last=False)
    return made


def _read(text: str, schema: GraphQLSchema) -> Document:
    if len(text.encode()) > BYTES_MAX:
        raise Refused([TooMuch("bytes", BYTES_MAX)])
    try:
        tree = parse(text, max_tokens=TOKENS_MAX, no_location=False)
    except GraphQLSyntaxError as error:
        if "tokens" in error.message:
            raise Refused([TooMuch("tokens", TOKENS_MAX)]) from None
        raise Refused([error]) from None
    try:
        introspects = check_form(tree)
        visit(tree, _Literals())
    except GraphQLError as error:
        raise Refused([error]) from None
    if errors := validate(schema, tree, max_errors=ERRORS_MAX, hide_suggestions=True):
        found = [one for one in errors if not isinstance(one, ValidationAbortedError)]
        raise Refused(found or [TooMuch("comparisons of fields that repeat or nest", COMPARISONS_MAX)])
    operations = [one for one in tree.definitions if isinstance(one, OperationDefinitionNode)]
    if not operations:
        raise Refused([GraphQLError("The document has no operation.")])
    fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
    return Document(text, tree, operations[0], fragments, introspects)
