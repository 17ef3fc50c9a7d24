"""From the selection of a document to a shape of the read path.

Exactly: keyed as the answer is, so that the text of the database is the answer; what cannot be said so raises
NotExact. Loosely: keyed by member and with everything that might be asked, for the ordinary executor to pick from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)

from api.graphql.objects import MEMBERS, TARGETS
from api.graphql.types import GLOBAL_ID, TYPES
from app.statements import NOUNS, Group, Shape

ALIAS_MAX = 60  # bytes of a PostgreSQL identifier, less what is quoted around it
Fragments = Mapping[str, FragmentDefinitionNode]
OFFERS = "allowed_transitions"


class NotExact(Exception):
    """The selection says something that one statement cannot answer in its own words."""


@dataclass(slots=True)
class Wanted:
    """What a selection asks of one type: key in the answer -> (member, nested). `types` are those that it reads."""

    parts: dict[str, tuple[str, "Wanted | None"]] = field(default_factory=dict)
    offers: set[tuple[str, ...]] = field(default_factory=set)  # which members of `viewerCan`, once for each place
    types: set[str] = field(default_factory=set)


def wanted(type_name: str, sets: Iterable[SelectionSetNode | None], fragments: Fragments, *, exact: bool) -> Wanted:
    """What the selection sets together ask of `type_name`."""
    found = Wanted()
    kind = TYPES.get(type_name)
    if kind is not None:
        found.types.add(type_name)
    for given in sets:
        for node in fields_of(given, type_name, fragments, exact=exact):
            _take(found, type_name, node, fragments, exact=exact)
    return found


def fields_of(
    given: SelectionSetNode | None, type_name: str, fragments: Fragments, *, exact: bool
) -> Iterable[FieldNode]:
    """Every field selected on this type, through fragments. Exact: no directives, which may leave a field out."""
    for one in given.selections if given is not None else ():
        if exact and one.directives:
            raise NotExact
        if isinstance(one, FieldNode):
            yield one
            continue
        if isinstance(one, FragmentSpreadNode):
            definition = fragments[one.name.value]
            condition, inner = definition.type_condition.name.value, definition.selection_set
            if exact and definition.directives:
                raise NotExact
        else:
            assert isinstance(one, InlineFragmentNode)
            condition = one.type_condition.name.value if one.type_condition else type_name
            inner = one.selection_set
        if condition in (type_name, "Node"):
            yield from fields_of(inner, type_name, fragments, exact=exact)


def _take(found: Wanted, type_name: str, node: FieldNode, fragments: Fragments, *, exact: bool) -> None:
    name = node.name.value
    member = name if name == "__typename" else MEMBERS[type_name][name]
    key = (node.alias.value if node.alias else name) if exact else member
    if exact and len(key.encode()) > ALIAS_MAX:
        raise NotExact
    if member == "__typename":
        if type_name not in TYPES:  # a group is not a thing of its own, so no field says what it is
            if exact:
                raise NotExact
            return
        found.parts[key] = (member, None)
        return
    target = TARGETS.get((type_name, member))
    if target == "Offer":
        _take_offers(found, node, key, fragments, exact=exact)
        return
    nested = None
    if target is not None:
        earlier = found.parts.get(key, (member, None))
        nested = wanted(target, [node.selection_set], fragments, exact=exact)
        found.types |= nested.types
        found.offers |= nested.offers
        if earlier[1] is not None:
            nested = _merged(earlier[1], nested, exact=exact)
    if exact and found.parts.get(key, (member,))[0] != member:
        raise NotExact  # validation refuses it too
    found.parts[key] = (member, nested)


def _take_offers(found: Wanted, node: FieldNode, key: str, fragments: Fragments, *, exact: bool) -> None:
    """Offers are matched with the caller in Python, under a key that no caller can write."""
    if not exact:
        found.parts[OFFERS] = (OFFERS, None)
        return
    members = []
    for one in fields_of(node.selection_set, "Offer", fragments, exact=True):
        plain = one.alias is None and one.name.value != "__typename"
        if not plain or (one.name.value == "missing" and not _all_of_missing(one, fragments)):
            raise NotExact
        members.append(one.name.value)
    if key != "viewerCan" or len(set(members)) < len(members) or OFFERS in found.parts:
        raise NotExact
    found.parts[OFFERS] = (OFFERS, None)
    found.offers.add(tuple(members))


MISSING = ["kind", "ref", "message", "href"]


def _all_of_missing(node: FieldNode, fragments: Fragments) -> bool:
    inner = list(fields_of(node.selection_set, "Missing", fragments, exact=True))
    return [one.name.value for one in inner] == MISSING and not any(one.alias for one in inner)


def _merged(one: Wanted, other: Wanted, *, exact: bool) -> Wanted:
    for key, (member, nested) in other.parts.items():
        earlier = one.parts.get(key)
        if earlier is None:
            one.parts[key] = (member, nested)
        elif earlier[1] is not None and nested is not None:
            one.parts[key] = (member, _merged(earlier[1], nested, exact=exact))
    one.offers |= other.offers
    one.types |= other.types
    return one


def shape_of(asked: Wanted, type_name: str) -> Shape:
    """The shape of what is wanted of a type that stands on a noun."""
    kind = NOUNS[TYPES[type_name].noun]
    parts = []
    for key, (member, nested) in asked.parts.items():
        sub = None
        if nested is not None:
            declared = kind.fields[member]
            target = TARGETS[type_name, member]
            sub = shape_of(nested, target) if target in TYPES else _view(nested, declared)
        parts.append((key, member, sub))
    return Shape(tuple(parts) or (("__typename", "__typename", None),))


def _view(asked: Wanted, declared: object) -> Shape:
    """The shape of a group or of a small view of a related thing."""
    parts = tuple((key, member, None) for key, (member, _) in asked.parts.items())
    assert isinstance(declared, Group) or parts
    return Shape(parts)


__all__ = ["GLOBAL_ID", "OFFERS", "NotExact", "Wanted", "fields_of", "shape_of", "wanted"]
