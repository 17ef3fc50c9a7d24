"""Rate limits: the generic cell rate algorithm, one number of state per key, in the memory of this process.

Several API processes each allow the whole limit. A tenant of n processes can therefore reach n times its figure;
the figure is a guard against runaway callers, not an entitlement that is billed.
"""

import math
from dataclasses import dataclass

KEYS_MAX = 50_000  # above it the keys that have recovered wholly are forgotten


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one more request is allowed. `retry_after` and `reset` are whole seconds, rounded up."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int = 0


class Limiter:
    """At most `limit` requests per `window` seconds and key, all at once or spread out."""

    def __init__(self, limit: int, window: float = 60.0) -> None:
        self.limit = limit
        self.window = window
        self._interval = window / max(limit, 1)
        self._full_at: dict[object, float] = {}  # when the key will have recovered wholly

    def take(self, key: object, now: float) -> Verdict:
        """Count one request of `key` at monotonic instant `now` unless it exceeds the limit."""
        if self.limit <= 0:  # no limit set
            return Verdict(True, 0, 0, 0)
        full_at = max(self._full_at.get(key, now), now)
        wait = full_at + self._interval - now - self.window
        if wait > 1e-9:
            return Verdict(False, self.limit, 0, math.ceil(full_at - now), max(1, math.ceil(wait)))
        full_at += self._interval
        if len(self._full_at) >= KEYS_MAX and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = full_at
        return Verdict(
            True, self.limit, int((self.window - (full_at - now)) / self._interval + 1e-9), math.ceil(full_at - now)
        )

    def blocked(self, key: object, now: float) -> int:
        """Seconds until `key` may do one more, 0 when it may now. Counts nothing."""
        full_at = self._full_at.get(key)
        if self.limit <= 0 or full_at is None:
            return 0
        wait = full_at + self._interval - now - self.window
        return max(1, math.ceil(wait)) if wait > 1e-9 else 0

    def _forget(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        while len(self._full_at) >= KEYS_MAX:  # all of them busy: the oldest go, a flood may not take our memory
            self._full_at.pop(next(iter(self._full_at)))
