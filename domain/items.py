"""The twelve documentation items D01 to D12, as the data file describes them."""

from functools import cache
from typing import Any, Literal

from msgspec import Struct, convert

from domain.shipped import shipped


class DocumentationItem(Struct, frozen=True, kw_only=True):
    """One item. `schema` checks the value a person writes and is null for the items derived from what happens.

    `required_from` says in words when the item has to be complete; `derived` who writes it: `fully` by what happens,
    `proposed` and confirmed by a person, `partly`, or `no`.
    """

    id: str
    name: str
    title: str
    meaning: str
    required_from: str
    derived: Literal["fully", "proposed", "partly", "no"]
    source: str
    schema: dict[str, Any] | None = None


@cache
def documentation_items() -> dict[str, DocumentationItem]:
    """The items by id, in their order."""
    items = convert(shipped("documentation.yaml")["items"], tuple[DocumentationItem, ...])
    return {item.id: item for item in items}


def schema_of(item_id: str, member: str | None = None) -> dict[str, Any]:
    """JSON Schema of an item's value, or of one member of it such as `improvements.policy`.

    Raises KeyError when the item is derived or has no such member.
    """
    schema = documentation_items()[item_id].schema
    if schema is None:
        raise KeyError(item_id)
    for name in member.split(".") if member else ():
        schema = schema["properties"][name]
    return schema
