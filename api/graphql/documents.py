"""Documents: parsed, measured and validated once, then kept by their text."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from graphql.validation.validate import ValidationAbortedError

from api.graphql.cost import BYTES_MAX, COMPARISONS_MAX, ERRORS_MAX, TOKENS_MAX, TooMuch, check_form

KEPT_AT_MOST = 500
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = COMPARISONS_MAX  # its own is a second of processor time
_kept: OrderedDict[str, "Document"] = OrderedDict()


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
