"""The family of refusals: what the rules may answer instead of a result.

Four kinds; each has a stable `code` that callers can rely on. The rules know no HTTP status: `api/errors.py`
alone maps a kind to a status.
"""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

from msgspec import Struct

MissingKind = Literal["action", "document", "fact", "evidence", "approval", "signature", "obligation", "person"]


class Missing(Struct, frozen=True, omit_defaults=True):
    """One thing that has to be supplied before the refused operation can succeed."""

    kind: MissingKind
    ref: str
    message: str
    href: str | None = None


class InputError(Struct, frozen=True):
    """One fault of the input: `pointer` is an RFC 6901 JSON pointer into the body."""

    pointer: str
    reason: str


class Refusal(Exception):
    """An answer of the rules that is not a result. Raising it rolls the transaction back."""

    code = "refused"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[InputError] = (),
        missing: Sequence[Missing] = (),
        current: Mapping[str, object] | None = None,
        gate: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.errors = tuple(errors)
        self.missing = tuple(missing)
        self.current = current
        self.gate = gate
        self.headers = dict(headers or {})
        self.incident_id: UUID | None = None  # set where a gate's refusal has to be recorded


class NotFound(Refusal):
    """No such thing, or the caller may not know that it exists: both read the same."""

    code = "not-found"

    def __init__(self) -> None:
        super().__init__("There is nothing here that you can see. Check the id and the permissions of your key.")


class Forbidden(Refusal):
    """The caller is known and may see the thing, but its roles do not allow this."""

    code = "forbidden"


class Invalid(Refusal):
    """The input cannot be right whatever the state is."""

    code = "invalid-input"


class Conflict(Refusal):
    """The input is right in itself but not in this state; `current` says which state that is."""

    code = "state-conflict"


class PreconditionFailed(Conflict):
    """The caller changes another version than the present one, which `current` shows."""

    code = "precondition-failed"


class GateRefused(Conflict):
    """A gate refuses the operation. The refusal is recorded in the timeline (documentation item D06)."""

    code = "gate-refused"
