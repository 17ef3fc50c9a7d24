"""What a caller may do outside of incidents: the permission table, and the limits of its key."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from app.authentication import READS_ALL, Principal, wall
from app.database import Db
from domain.permissions import allows
from domain.refusals import Forbidden


def may(principal: Principal, operation: str, relations: Collection[str] = ()) -> bool:
    """Whether the permission table lets this caller do it."""
    return allows(operation, principal.roles, principal.kind, relations)


def require(principal: Principal, operation: str, relations: Collection[str] = ()) -> None:
    """Raise Forbidden unless the permission table lets this caller do it."""
    if not may(principal, operation, relations):
        raise Forbidden(f"None of your roles allows `{operation}`. The permission table says which do.")


def require_unlimited(principal: Principal) -> None:
    """Administration sees and changes what a limit hides. Raises Forbidden for a key limited to clients or a period."""
    if principal.client_ids is not None or principal.period_from is not None or principal.period_to is not None:
        raise Forbidden("A key that is limited to clients or to a period administers nothing. Use one without limits.")


def require_inside(principal: Principal) -> None:
    """An outside person holds its roles for the named incidents alone. Raises Forbidden for one."""
    if principal.person_id is not None and not principal.reads_all and principal.roles & READS_ALL:
        raise Forbidden("Your roles hold for the incidents you were named for, not for the organisation.")


@asynccontextmanager
async def lifted(db: Db, principal: Principal) -> AsyncIterator[None]:
    """Without the caller's limits for the length of the block: an administrator need not be one who reads incidents."""
    await db.wall(None, None)
    yield
    await wall(db, principal)
