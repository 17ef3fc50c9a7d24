"""A closed-loop HTTP/1.1 load generator: n keep-alive connections, each sends its next request when the answer is in.

It speaks just enough HTTP for our own servers (answers with Content-Length), so that it costs about a tenth of what it
measures. What it waits for is the server; whether it is itself the bottleneck is told by its own CPU time.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

READ_TIMEOUT_SECONDS = 60.0


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Outcome:
    """What a run of the generator saw. `latencies` are seconds, in the order of the answers; `wanted` are the statuses
    that count as successes."""

    wanted: range = range(200, 300)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: int = 0
    first_fault: str = ""

    @property
    def answered(self) -> int:
        """Answers that were successes."""
        return sum(count for status, count in self.statuses.items() if status in self.wanted)

    @property
    def faults(self) -> int:
        """Answers that were no successes, and connections that broke."""
        return self.broken + sum(self.statuses.values()) - self.answered

    @property
    def rate(self) -> float:
        """Successes per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def generator_load(self) -> float:
        """Share of one core that the generator itself took."""
        return self.cpu_seconds / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Latency in seconds below which `share` of the answers stayed (nearest rank)."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """One keep-alive connection in its loop."""

    def __init__(self, next_request: Callable[[], bytes | None], outcome: Outcome, done: asyncio.Future[None]) -> None:
        self._next = next_request
        self._outcome = outcome
        self._done = done
        self._buffer = b""
        self._missing = 0  # bytes of the body still to come, 0 while a head is awaited
        self._status = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class does not inherit it
        self._send()

    def _send(self) -> None:
        wire = self._next()
        assert self._transport is not None
        if wire is None:
            self._finish()
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(wire)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if self._missing > 0:
                return
            self._answered()
            return
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        self._status = int(head[9:12])
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        got = len(self._buffer) - end - 4
        if self._status >= 400 and not self._outcome.first_fault:
            self._outcome.first_fault = f"{self._status} {self._buffer[end + 4 : end + 600].decode(errors='replace')}"
        self._buffer = b""
        self._missing = length - got
        if self._missing <= 0:
            self._answered()

    def _answered(self) -> None:
        self._missing = 0
        outcome = self._outcome
        outcome.latencies.append(time.perf_counter() - self._sent_at)
        outcome.statuses[self._status] = outcome.statuses.get(self._status, 0) + 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._outcome.broken += 1
            self._finish()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def drive(
    port: int, requests: Callable[[], bytes | None], *, connections: int, seconds: float, limit: int | None = None
) -> Outcome:
    """Send what `requests` gives (None: no more) over `connections` until `seconds` are over or `limit` is reached."""
    outcome, loop = Outcome(), asyncio.get_running_loop()
    ends_at = time.perf_counter() + seconds
    left = limit if limit is not None else 1 << 60

    def following() -> bytes | None:
        nonlocal left
        if left <= 0 or time.perf_counter() >= ends_at:
            return None
        left -= 1
        return requests()

    done = [loop.create_future() for _ in range(connections)]
    cpu, start = time.process_time(), time.perf_counter()
    for one in done:
        await loop.create_connection(lambda one=one: _Connection(following, outcome, one), "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(seconds + READ_TIMEOUT_SECONDS):
        await asyncio.gather(*done)
    outcome.seconds = time.perf_counter() - start
    outcome.cpu_seconds = time.process_time() - cpu
    return outcome


def repeated(wire: bytes) -> Callable[[], bytes]:
    """The same request for ever."""
    return lambda: wire


def one_after_another(wires: Sequence[bytes]) -> Callable[[], bytes | None]:
    """Each request once."""
    left: Iterator[bytes] = iter(wires)
    return lambda: next(left, None)
