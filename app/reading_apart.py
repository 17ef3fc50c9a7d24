"""Reading a delivery in a process of its own, for expressions that somebody has just typed.

However an expression turns out, nothing but that process suffers: it may take two seconds of CPU, a gigabyte of memory
and five seconds in all, and is killed then. It sees the sample and nothing else: no database, no settings.
"""

import asyncio
import base64
import os
import resource
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from domain.mappings import Delivery, Unmappable, handshake_answer, read_delivery
from domain.signatures import Received
from domain.systems import system_of

SECONDS_MAX = 5.0
CPU_SECONDS_MAX = 2
MEMORY_BYTES_MAX = 2**30
AT_ONCE = 2  # per process of the service: a preview costs half a second of CPU for the start alone
ROOT = Path(__file__).parents[1]

_gate = asyncio.Semaphore(AT_ONCE)


class Sample(Struct, frozen=True):
    """A delivery to read, with the system and the mapping (JSON) to read it by. `body` is base64."""

    system: str
    mapping: str
    body: str
    headers: dict[str, str]
    query: dict[str, str]


class Reading(Struct, frozen=True):
    """What came out: the events, or why there are none, or the answer to a handshake."""

    delivery: Delivery | None = None
    unmappable: str | None = None
    handshake: str | None = None


def sample_of(system: str, mapping: str, received: Received) -> Sample:
    """A sample as it travels to the other process."""
    body = base64.b64encode(received.body).decode()
    return Sample(system, mapping, body, dict(received.headers), dict(received.query))


async def read_apart(sample: Sample) -> Reading:
    """Read `sample` in another process. Raises Unmappable when that process takes too long or dies."""
    async with _gate:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.reading_apart",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
            env={"PATH": os.defpath},
        )
        try:
            async with asyncio.timeout(SECONDS_MAX):
                told, _ = await process.communicate(msgspec.json.encode(sample))
        except TimeoutError:
            raise Unmappable("Reading it took too long: an expression is too costly for this body.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode != 0:
        raise Unmappable("Reading it failed: an expression is too costly for this body.")
    return msgspec.json.decode(told, type=Reading)


def read(sample: Sample) -> Reading:
    """Read `sample` here."""
    system = system_of(sample.system, sample.mapping)
    received = Received(body=base64.b64decode(sample.body), headers=sample.headers, query=sample.query)
    handshake = handshake_answer(system, received, is_proven=True)
    if handshake is not None:
        return Reading(handshake=handshake)
    try:
        return Reading(delivery=read_delivery(system, received))
    except Unmappable as error:
        return Reading(unmappable=str(error))


def main() -> None:
    """The other process: a sample on its standard input, the reading on its standard output."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    sample = msgspec.json.decode(sys.stdin.buffer.read(), type=Sample)
    sys.stdout.buffer.write(msgspec.json.encode(read(sample)))


if __name__ == "__main__":
    main()
