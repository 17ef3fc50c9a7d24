"""What can be followed: the root fields of a subscription and what they tell. `api/graphql/following.py` does it."""

from collections.abc import AsyncGenerator
from typing import Any

import strawberry

from api.graphql.objects import CLASSES, described
from api.graphql.resolving import NEEDED, resolver_of

LEADS_TO = {"incident": "Incident", "step": "Step", "action": "Action"}
"""Members of what is told that are things -> their types."""

INCIDENT = "incidentChanged"
BOARD = "boardChanged"


def _told(name: str, doc: str, fields: dict[str, Any], **docs: str) -> Any:
    made = type(name, (), {"__annotations__": fields})
    return strawberry.type(described(**docs)(made), description=doc)


def _field(name: str, doc: str, arguments: dict[str, Any], tells: Any) -> Any:
    async def never(*_: Any) -> None:
        """Nothing: a subscription is not resolved but followed."""

    resolver = resolver_of(arguments, AsyncGenerator[tells, None], never)
    return strawberry.subscription(resolver=resolver, name=name, description=doc)


def subscription_type(board_filter: Any) -> type:
    """The subscription type. `board_filter` is the input that filters the list of incidents."""
    incident = _told(
        "IncidentChange",
        "One event of an incident's timeline, and what it changed as that is now.",
        {
            "seq": int,
            "kind": str | None,
            "resync": bool,
            "incident": CLASSES["Incident"],
            "step": CLASSES["Step"] | None,
            "action": CLASSES["Action"] | None,
        },
        seq="The place in the timeline. Give the last one seen as `afterSeq` to go on without a gap.",
        kind="What happened, such as `step.completed`; null where `resync` is true.",
        resync="Whether this begins a subscription: show what is here, events after `seq` follow.",
        incident="The incident as it is now.",
        step="The step that the event names, as it is now.",
        action="The action that the event names, as it is now.",
    )
    board = _told(
        "BoardChange",
        "An incident of the list that changed.",
        {
            "resync": bool,
            "left": bool,
            "incident_id": strawberry.ID | None,
            "incident": CLASSES["Incident"] | None,
        },
        resync="Whether the list has to be loaded anew: first of all, and when too much changed to be told one by one.",
        left="Whether it is to be taken off the board: it does not pass the filter, or the caller sees it no more.",
        incident_id="Which incident changed; null where `resync` is true.",
        incident="The incident as it is now; null where `left` is true.",
    )
    fields = {
        "incident_changed": _field(
            INCIDENT,
            "Each event of an incident, in order and without a gap. The first message has `resync`.",
            {"id": (strawberry.ID, NEEDED), "afterSeq": (int | None, None)},
            incident,
        ),
        "board_changed": _field(
            BOARD,
            "Each incident of the caller's view that changes, deadlines included. The first message has `resync`.",
            {"filter": (board_filter | None, None)},
            board,
        ),
    }
    return strawberry.type(type("Subscription", (), fields), description="What can be followed, over a WebSocket.")
