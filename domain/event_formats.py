"""The forms in which an event is told to an endpoint: which body each writes, and how long it may be.

A form is a function from the event and the message of the standard form to a body that is sent as JSON. What it may say
is in the event; nothing is looked up, so that what was erased cannot come back by a detour.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from domain.chat_messages import slack_message, teams_message
from domain.event_envelopes import envelope
from domain.ocsf_findings import ocsf_event

Body = dict[str, Any]
KIB: Final = 1024


class EventFormat(Struct, frozen=True, kw_only=True):
    """One form. `bytes_max` is what a receiver takes; with `has_secret_url` the address alone lets one write to it."""

    write: Callable[[Mapping[str, Any], Body, str], Body]
    content_type: str = "application/json"
    bytes_max: int = 256 * KIB
    has_secret_url: bool = False


def event_body(name: str, event: Mapping[str, Any], *, is_full: bool, base_url: str) -> Body:
    """The body of an event in the form `name`, one of FORMATS. `base_url` is our own address.

    `event` is what `envelope` takes; its incident may have `next_due_at`, an instant as text or None.
    """
    return FORMATS[name].write(event, envelope(event, is_full=is_full), base_url)


def _standard(event: Mapping[str, Any], told: Body, base_url: str) -> Body:
    return told


def _cloud_event(event: Mapping[str, Any], told: Body, base_url: str) -> Body:
    """CloudEvents 1.0, structured. `source` and `id` together are unique; a partition is what has an order."""
    incident = event["incident"]
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": base_url,
        "type": f"holdfast.{event['type']}",
        "subject": incident["number"] if incident else f"{event['stream']}/{event['stream_id']}",
        "time": event["timestamp"],
        "partitionkey": f"{event['stream']}/{event['stream_id']}",
        "datacontenttype": "application/json",
        "dataschema": f"{base_url}/openapi.json#/components/schemas/WebhookMessage",
        "data": told,
    }


TICKET: Final = "ticket"  # no form of a body: what a ticket is told takes more than one request
FORMATS: Final[Mapping[str, EventFormat]] = {
    "standard": EventFormat(write=_standard),
    "cloudevents": EventFormat(write=_cloud_event, content_type="application/cloudevents+json"),
    "ocsf": EventFormat(write=ocsf_event),
    # What Slack takes as a message, and Teams as a card of a workflow.
    "slack": EventFormat(write=slack_message, bytes_max=40 * KIB, has_secret_url=True),
    "teams": EventFormat(write=teams_message, bytes_max=28 * KIB, has_secret_url=True),
}
