"""One change to one incident record: what the rules get to see, and what they leave behind."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from domain.actors import Actor
from domain.deadlines import Calendar
from domain.playbooks import Playbook
from domain.record import ExceptionEntry, Record
from domain.tools import Entry

NOT_CONTENT = (
    *("gate.", "sla.", "sign_off.", "evidence.read", "incident.closed", "obligation.overdue", "delivery."),
    *("obligation.unassessed", "obligation.alarm_drafted"),
    *("note.", "link.", "external_reference.", "participant."),
)
"""Kinds of events that do not void a first signature: content is the header, facts, documents, steps, evidence,
obligations and notifications. A talkative ticket system adds notes, and must not keep an incident from closing."""


class Event(Struct, frozen=True):
    """Something that happened, with its outcome. `occurred_at` is when, `data` what; ids and values only."""

    kind: str
    data: dict[str, Any]
    occurred_at: datetime


class Person(Struct, frozen=True, kw_only=True):
    """A person of the tenant as the rules need to know one."""

    id: UUID
    kind: str = "internal"  # internal | external
    name: str = ""
    email: str | None = None
    user_name: str | None = None
    manager_id: UUID | None = None
    roles: frozenset[str] = frozenset()
    created_by: UUID | None = None
    token_issued_by: UUID | None = None


class TenantSettings(Struct, frozen=True, kw_only=True):
    """What a tenant may set; the defaults are the published ones."""

    calendar: Calendar = field(default_factory=Calendar)
    grace: timedelta = timedelta(minutes=15)  # after an `immediate` deadline, before it counts as breached
    triage_within: timedelta = timedelta(hours=1)
    harm_cost_threshold: Decimal = Decimal(10_000)  # in the tenant's currency
    notice_guideline: str = "P30D"  # ISO 8601, from discovery, where a law gives no figure
    delivery_retention: timedelta = timedelta(days=30)  # how long a delivery that is done is kept
    organisation: dict[str, Any] = field(default_factory=dict)  # the provider's own profile, read by obligations


class Surroundings(Struct, kw_only=True):
    """What the rules may look at beside the record. `people` and `clients` hold the tenant's active ones."""

    settings: TenantSettings
    people: Mapping[UUID, Person] = field(default_factory=dict)
    clients: Mapping[UUID, Any] = field(default_factory=dict)  # domain.obligations.ClientProfile
    children_open: int = 0  # child incidents that are not closed, for C11
    head_hash: str = ""  # hash of the last event of this incident before the change


class Opening(Struct, frozen=True, kw_only=True):
    """A new incident that this change calls for: opened in the same transaction under this id and this playbook."""

    id: UUID
    playbook: str
    action_id: str


class Change:
    """A change in progress: the record (mutated in place), who does it, when, and the events so far.

    `openings` are the incidents it calls for.
    """

    def __init__(
        self,
        record: Record,
        playbook: Playbook | None,
        actor: Actor,
        now: datetime,
        around: Surroundings,
        new_id: Callable[[], UUID],
    ) -> None:
        self.record = record
        self.playbook = playbook
        self.actor = actor
        self.now = now
        self.around = around
        self.new_id = new_id
        self.events: list[Event] = []
        self.tools: dict[UUID, Entry] = {}  # the tools that D03 names, where the playbook decides on them
        self.tool_events: list[tuple[UUID, Event]] = []  # told on the streams of the tools, in the same transaction
        self.openings: list[Opening] = []
        self.reconsider = record.incident.version == 1 and not record.obligations
        self._basis = self._duty_inputs()

    def _duty_inputs(self) -> tuple[Any, ...]:
        incident = self.record.incident
        discovery = incident.discovered_at, incident.discovered_at_precision
        # A notice that went out starts the clocks of later ones.
        told = [(row.id, row.notified_at) for row in self.record.obligations.values() if row.notified_at is not None]
        return dict(incident.facts), list(incident.client_ids), discovery, incident.playbook_hash, told

    @property
    def duties_may_differ(self) -> bool:
        """Whether anything that obligations are computed from has changed, so that they have to run again."""
        return self.reconsider or self._basis != self._duty_inputs()

    @property
    def person_id(self) -> UUID | None:
        """The person acting, if it is one: keys are never compared, persons are."""
        return self.actor.id if self.actor.kind == "person" else None

    def emit(self, kind: str, /, *, occurred_at: datetime | None = None, **data: Any) -> None:
        """Add an event. A content event between two signatures voids the first one."""
        self.events.append(Event(kind, data, occurred_at or self.now))
        if kind.startswith(NOT_CONTENT) or self.record.incident.status == "closed":
            return
        for signature in self.record.signatures.values():
            if signature.voided_at is None and self.record.incident.closed_at is None:
                signature.voided_at = self.now
                self.events.append(Event("sign_off.voided", {"signature_id": signature.id, "because": kind}, self.now))

    def tell_tool(self, tool_id: UUID, kind: str, /, **data: Any) -> None:
        """Add an event to the stream of a tool."""
        self.tool_events.append((tool_id, Event(kind, data, self.now)))

    def deviate(self, kind: str, reason: str, **where: Any) -> None:
        """Record an exception: a deviation that the auditor will see."""
        entry = ExceptionEntry(
            id=self.new_id(), kind=kind, person_id=self.person_id, reason=reason, at=self.now, **where
        )
        self.record.exceptions[str(entry.id)] = entry
