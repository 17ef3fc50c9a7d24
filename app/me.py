"""The caller about itself."""

from datetime import UTC, datetime

import orjson

from app.authentication import Principal
from app.database import Db
from domain.permissions import OPERATIONS, may_ever
from domain.timeline import instant_text

# The credential is a key or an identity; the other one is not found.
_READ = """
SELECT t.name AS tenant, k.name AS key_name, k.prefix, k.expires_at, i.issuer, i.subject, p.email
FROM tenants t
LEFT JOIN api_keys k ON k.tenant_id = t.tenant_id AND k.id = $2
LEFT JOIN identities i ON i.tenant_id = t.tenant_id AND i.id = $3
LEFT JOIN people p ON p.tenant_id = t.tenant_id AND p.id = $4
WHERE t.tenant_id = $1
"""


async def read_me(db: Db, principal: Principal) -> str:
    """The caller as JSON. Nothing may be read after it: a limit hides people and keys, so limits are lifted here."""
    await db.wall(None, None)
    row = await db.row(_READ, db.tenant_id, principal.key_id, principal.identity_id, principal.person_id)
    assert row is not None, "the caller authenticated with it in this transaction"
    roles, kind = principal.roles, principal.kind
    return orjson.dumps(
        {
            "kind": kind,
            "id": principal.id,
            "name": principal.name,
            "email": row["email"],
            "roles": sorted(roles),
            "permissions": [name for name in OPERATIONS if may_ever(name, roles, kind)],
            "tenant": {"id": db.tenant_id, "name": row["tenant"]},
            "key": principal.key_id
            and {
                "id": principal.key_id,
                "name": row["key_name"],
                "prefix": row["prefix"],
                "expires_at": _instant(row["expires_at"]),
            },
            "identity": principal.identity_id
            and {"id": principal.identity_id, "issuer": row["issuer"], "subject": row["subject"]},
            "client_ids": None if principal.client_ids is None else sorted(principal.client_ids),
            "period_from": _instant(principal.period_from),
            "period_to": _instant(principal.period_to),
            "server_time": instant_text(datetime.now(UTC)),
        },
        default=str,
    ).decode()


def _instant(at: datetime | None) -> str | None:
    return None if at is None else instant_text(at)
