"""Who does something: a person, a service account or the service itself."""

from typing import Literal
from uuid import UUID

from msgspec import Struct

ActorKind = Literal["person", "service_account", "system"]
SYSTEM_ID = UUID(int=0)  # the service itself: its worker, its deadlines


class Actor(Struct, frozen=True, kw_only=True):
    """The doer of a write. `client_ids` is None without a client limit; `key_id` is the credential, never the doer."""

    kind: ActorKind
    id: UUID
    roles: frozenset[str] = frozenset()
    client_ids: frozenset[UUID] | None = None
    key_id: UUID | None = None

    @property
    def is_person(self) -> bool:
        """People sign: approvals, decisions, overrides and sign-offs need one."""
        return self.kind == "person"


SYSTEM = Actor(kind="system", id=SYSTEM_ID)
