"""`python -m bench.soak --minutes N`: faults under load, drawn from one seed, then steady load with an eye on memory.

Two processes serve one data folder. Clients keep a journal; at the end every request was answered, had exactly one
effect, and what is stored is what the events say. Ends with 1 when anything is wrong, and says what.
"""

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvloop
from rich.console import Console

from bench.journal import Journal
from bench.machine import memory_bytes
from bench.races import race_for_a_key, race_for_steps
from bench.site import HEAL_SECONDS, Site
from bench.tickets import storm_of_tickets

CLIENTS = 6  # per process
REST_SECONDS = 0.5  # of a client between two wishes: each of them is looked at again at the end
ROUNDS = 500
TICKETS = 200
UPDATES = 5  # of each ticket, after it was added
PAUSE_SECONDS = (2.0, 6.0)  # between a recovery and the next fault
FROZEN_SECONDS = 3.0
WARM_SECONDS = 60.0
GROWTH_MAX = 1e6  # bytes of memory per minute, once warm


class Soak:
    """One run."""

    def __init__(self, minutes: float, seed: int, folder: Path) -> None:
        self.minutes = minutes
        self.random = random.Random(seed)  # noqa: S311 (which fault comes next is no secret)
        self.site = Site(folder)
        self.journal = Journal(self.site, folder / "journal", pause_seconds=REST_SECONDS)
        self.console = Console()
        self.faults: list[str] = []
        self.began = time.monotonic()
        self._lost_port = 0

    def say(self, what: str) -> None:
        """A line with the time since the beginning."""
        self.console.print(f"{time.monotonic() - self.began:7.1f} s  {what}", highlight=False)

    async def run(self) -> list[str]:
        """Faults for half of the time, races, steady load for the rest; what was wrong."""
        await self.site.start()
        await self.site.start()
        self.say("two processes serve one data folder")
        async with self._load():
            await self._inject(time.monotonic() + self.minutes * 30)
        await self._races()
        await self._storm()
        await self._steady(time.monotonic() + self.minutes * 30)
        await self._verify()
        return self.faults

    async def _inject(self, ends_at: float) -> None:
        injections: tuple[Callable[[], Awaitable[None]], ...] = (
            self._kill_postmaster,
            self._kill_server,
            self._end_server,
            self._kill_backend,
            self._freeze_database,
        )
        while time.monotonic() < ends_at:
            await asyncio.sleep(self.random.uniform(*PAUSE_SECONDS))
            fault, began = self.random.choice(injections), time.monotonic()
            await fault()
            healed = max([await self.site.healed(process, began) for process in self.site.running()])
            name = fault.__name__.strip("_").replace("_", " ")
            self.say(f"{name}: healed after {healed:.1f} s; {self._standing()}")
            limit = HEAL_SECONDS + (FROZEN_SECONDS if fault == self._freeze_database else 0)
            if healed > limit:
                self.faults.append(f"{name}: healed only after {healed:.1f} s")
            if len(self.site.running()) < 2:
                await self.site.start(port=self._lost_port)

    def _standing(self) -> str:
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.journal.statuses.items()))
        return f"{len(self.journal.wishes)} wishes, {statuses}, {self.journal.silences} cut"

    async def _kill_postmaster(self) -> None:
        self.site.kill_postmaster()

    async def _kill_server(self) -> None:
        process = self.random.choice(self.site.running())
        self._lost_port = process.port
        self.site.kill(process)

    async def _end_server(self) -> None:
        process = self.random.choice(self.site.running())
        self._lost_port = process.port
        if (code := await asyncio.to_thread(process.stop)) != 0:
            self.faults.append(f"a server that was told to end ended with {code}")

    async def _kill_backend(self) -> None:
        backends = self._database_processes()[1:]
        if backends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(backends), signal.SIGKILL)

    async def _freeze_database(self) -> None:
        frozen = self._database_processes()
        try:
            for pid in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(FROZEN_SECONDS)
        finally:
            for pid in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _database_processes(self) -> list[int]:
        """The postmaster of our folder, then its children."""
        postmaster = self.site.postmaster()
        children = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == postmaster:
                        children.append(int(entry.name))
        return [postmaster, *children]

    async def _races(self) -> None:
        first, second = self.site.running()
        async with self.site.client(first) as one, self.site.client(second) as two:
            rounds = max(1, round(ROUNDS * min(1.0, self.minutes / 10)))
            races = await race_for_steps((one, two), rounds)
            self.faults += races.faults
            self.faults += await race_for_a_key((one, two), 50)
        self.say(f"{races.rounds} rounds of races over both")

    async def _storm(self) -> None:
        first, second = self.site.running()
        async with self.site.client(first) as one, self.site.client(second) as two:
            storm = await storm_of_tickets((one, two), TICKETS, UPDATES, self.random.randrange(2**31))
        self.faults += storm.faults[:20]
        self.say(f"{storm.deliveries} deliveries of {TICKETS} tickets, shuffled, in {storm.seconds:.1f} s")

    async def _steady(self, ends_at: float) -> None:
        """Load without faults: memory may not grow, once everything has been seen."""
        began = time.monotonic()
        samples: list[tuple[float, int]] = []
        async with self._load():
            while time.monotonic() < ends_at:
                await asyncio.sleep(1)
                if time.monotonic() - began > min(WARM_SECONDS, self.minutes * 10):
                    total = max(memory_bytes(process.pid) for process in self.site.running())
                    samples.append((time.monotonic() / 60, total))
        growth = slope(samples)
        self.say(f"memory grew by {growth / 1e6:.2f} MB a minute; {self._standing()}")
        if growth > GROWTH_MAX and self.minutes >= 10:
            self.faults.append(f"memory grew by {growth / 1e6:.2f} MB a minute")

    @contextlib.asynccontextmanager
    async def _load(self) -> AsyncIterator[None]:
        """Clients at both ports, whoever serves there."""
        ended = asyncio.Event()
        loads = [asyncio.create_task(self.journal.load(process, ended, CLIENTS)) for process in self.site.running()]
        try:
            yield
        finally:
            ended.set()
            await asyncio.gather(*loads)

    async def _verify(self) -> None:
        last = self.site.running()[0]
        await self.journal.settle(last)
        self.faults += await self.journal.verify(last)
        self.faults += await self.site.check()
        self.say(
            f"{len(self.journal.wishes)} wishes checked; the slowest answer took {self.journal.slowest:.1f} s,"
            f" the longest time without any was {self.journal.longest_gap:.1f} s"
        )


def slope(samples: list[tuple[float, int]]) -> float:
    """Least squares: how much the second grows per unit of the first."""
    if len(samples) < 2:
        return 0.0
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0


async def _until_told(soak: Soak) -> list[str]:
    """Ending by a signal takes the same way out as ending by an error, so that no server is left behind."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await soak.run()


def main() -> None:
    """Run, say what was wrong, end with 1 if anything was."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, half of it with faults")
    parser.add_argument("--seed", type=int, default=None, help="repeats the faults of an earlier run")
    chosen = parser.parse_args()
    seed = chosen.seed if chosen.seed is not None else int.from_bytes(os.urandom(4))
    folder = Path(tempfile.mkdtemp(prefix="holdfast-soak-"))
    soak = Soak(chosen.minutes, seed, folder)
    soak.say(f"seed {seed}")
    try:
        faults = uvloop.run(_until_told(soak))
    finally:
        soak.site.stop()
    if faults:
        for fault in faults:
            soak.say(f"[red]WRONG[/] {fault}")
        soak.say(f"{len(faults)} faults; seed {seed}; logs are kept in {folder}")
        raise SystemExit(1)
    shutil.rmtree(folder, ignore_errors=True)
    soak.say(f"nothing wrong; seed {seed}")


if __name__ == "__main__":
    main()
