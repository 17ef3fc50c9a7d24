"""Who does something: a person, a service account or the service itself."""

from typing import Any, Literal
from uuid import UUID

from msgspec import Struct

ActorKind = Literal["person", "service_account", "system"]
SYSTEM_ID = UUID(int=0)  # the service itself: its worker, its deadlines


ORIGIN = "origin"  # the member of an event's data that names through what its actor acted


class Via(Struct, frozen=True, kw_only=True):
    """Through what a service account acted: which source or connection, and what the other system calls its event."""

    kind: Literal["source", "connection"]
    source_id: UUID | None = None
    connection_id: UUID | None = None
    delivery_id: UUID | None = None
    external_event_id: str | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """What is kept with each event."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}


class Actor(Struct, frozen=True, kw_only=True):
    """The doer of a write. `client_ids` is None without a client limit; `key_id` is the credential, never the doer."""

    kind: ActorKind
    id: UUID
    roles: frozenset[str] = frozenset()
    client_ids: frozenset[UUID] | None = None
    key_id: UUID | None = None
    via: Via | None = None

    @property
    def is_person(self) -> bool:
        """People sign: approvals, decisions, overrides and sign-offs need one."""
        return self.kind == "person"


SYSTEM = Actor(kind="system", id=SYSTEM_ID)
