"""Identifiers: UUIDv7 (RFC 9562), ordered by the millisecond in which they were made."""

import os
import threading
import time
from uuid import UUID

_COUNTER_BITS = (
    42  # rand_a (12 bits) and the upper 30 bits of rand_b count inside one millisecond (RFC 9562 section 6.2)
)
_lock = threading.Lock()
_last_ms = 0
_counter = 0


def new_id() -> UUID:
    """A UUIDv7 greater than every other made by this process; 32 of its bits are random in each id."""
    global _last_ms, _counter
    now_ms = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    with _lock:
        if now_ms > _last_ms:
            # The top counter bit starts at zero, which leaves room for 2**41 ids before the millisecond is used up.
            _last_ms, _counter = now_ms, (random >> 32) & ((1 << (_COUNTER_BITS - 1)) - 1)
        else:
            # The clock stood still or went back: stay on the last millisecond and count.
            _counter += 1
            if _counter >> _COUNTER_BITS:
                _last_ms, _counter = _last_ms + 1, 0
        ms, counter = _last_ms, _counter
    rand_a, rand_b = counter >> 30, (counter & 0x3FFF_FFFF) << 32 | (random & 0xFFFF_FFFF)
    return UUID(int=(ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
