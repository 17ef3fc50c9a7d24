"""`python -m bench`: take every figure, show progress, write RESULTS.md."""

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path
from statistics import median

import asyncpg
import uvloop
from rich.console import Console

from bench import boards, duties, feed, measures, outbound, populations, sockets, table
from bench.figures import Comparison, Figure
from bench.machine import facts
from bench.rig import DATABASE, Rig

RESULTS = Path(__file__).with_name("RESULTS.md")
BUSY = 0.85  # share of a core from which a server counts as its own limit
SECTIONS = (
    "starts",
    "duties",
    "graph",
    "ratios",
    "crowd",
    "statements",
    "lists",
    "populations",
    "sockets",
    "outbound",
    "feed",
    "memory",
    "idle",
)


class Run:
    """One run of the benchmark."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.console = Console()
        self.figures: list[Figure] = []
        self.comparisons: list[Comparison] = []
        self.facts: dict[str, str] = {}

    def wants(self, section: str) -> bool:
        """Whether a section was chosen."""
        return section in self.chosen.only

    def add(self, figure: Figure) -> None:
        """Keep a figure and show it."""
        self.figures.append(figure)
        table.show(self.console, figure)

    async def run(self) -> None:
        """All chosen sections."""
        if self.wants("starts"):
            with self._busy("Starting from an empty folder"):
                async for figure in measures.starts():
                    self.add(figure)
        if self.wants("duties"):
            with self._busy("Running every rule of notification"):
                for figure in duties.figures():
                    self.add(figure)
        if self.chosen.only == ["duties"]:
            return
        rig = Rig()
        try:
            with self._busy("Starting the database and both servers"):
                await rig.open()
                await self._note_machine(rig)
            await self._load(rig)
        finally:
            await rig.close()

    async def _graph(self, rig: Rig) -> None:
        full = boards.Boards(rig)
        with self._busy(f"Preparing a board of {boards.COPIES} incidents"):
            await full.prepare()
        for found, floor, own in full.comparisons():
            with self._busy(found.name):
                await measures.compare(rig, found, floor, own, self.chosen.seconds)
            self.comparisons.append(found)
            self.add(found.figure())
        with self._busy("Counting statements of the board, then asking the dearest documents"):
            async for figure in full.statements():
                self.add(figure)
            async for figure in full.dearest():
                self.add(figure)

    async def _load(self, rig: Rig) -> None:
        loads, seconds = measures.Loads(rig), self.chosen.seconds
        if self.wants("graph"):
            await self._graph(rig)
        if self.chosen.only == ["graph"]:
            table.show_costs(self.console, self.comparisons)
            return
        if self.wants("outbound"):
            with self._busy(f"Telling {outbound.RECEIVERS} receivers"):
                async for figure in outbound.figures(rig):
                    self.add(figure)
        if self.wants("feed"):
            with self._busy(f"Giving {feed.MANY:,} events their places, then reading them"):
                async for figure in feed.figures(rig, seconds):
                    self.add(figure)
        if self.chosen.only in (["outbound"], ["feed"]):
            return
        with self._busy(f"Preparing {measures.COPIES:,} incidents"):
            await loads.prepare()
        if self.wants("ratios"):
            for found, floor, own in measures.comparisons(loads, self.chosen.named):
                with self._busy(found.name):
                    await measures.compare(rig, found, floor, own, seconds)
                self.comparisons.append(found)
                self.add(found.figure())
            table.show_costs(self.console, self.comparisons)
        if self.wants("crowd"):
            for name, requests in (("Open", loads.open), ("List", loads.page), ("Read", loads.read)):
                with self._busy(f"{name} with {measures.CROWD} connections"):
                    self.add(await measures.crowd(rig, name, requests, seconds))
        if self.wants("statements"):
            with self._busy("Counting statements"):
                for figure in await measures.statements(rig, loads):
                    self.add(figure)
        if self.wants("lists"):
            with self._busy(f"Preparing {self.chosen.incidents:,} incidents, then listing them"):
                async for figure in measures.long_lists(rig, seconds / 2, many=self.chosen.incidents):
                    self.add(figure)
        if self.wants("populations"):
            with self._busy(f"Preparing {self.chosen.occurrences:,} control occurrences, then reading pages of them"):
                async for figure in populations.populations(rig, seconds / 2, many=self.chosen.occurrences):
                    self.add(figure)
        if self.wants("sockets"):
            with self._busy(f"Opening {sockets.SOCKETS:,} sockets"):
                for figure in await sockets.sockets(rig):
                    self.add(figure)
        if self.wants("memory"):
            self.add(measures.memory(rig))
        if self.wants("idle"):
            with self._busy(f"Making {measures.IDLE_TENANTS:,} tenants, then waiting"):
                self.add(await measures.idle(rig))

    async def _note_machine(self, rig: Rig) -> None:
        connection = await asyncpg.connect(rig.postgres.superuser_dsn(DATABASE))
        try:
            self.facts = facts(connection)
        finally:
            await connection.close()
        if not rig.cores.separate:
            self.facts["Cores"] = "server, generator and PostgreSQL share one core: the ratios are worth less"

    def _busy(self, what: str) -> contextlib.AbstractContextManager[object]:
        return self.console.status(what) if self.console.is_terminal else contextlib.nullcontext()

    def remarks(self) -> list[str]:
        """What a reader must know about who was waited for."""
        found = []
        for one in self.comparisons:
            share = median(ours.server_load for _, ours in one.pairs)
            if share < BUSY:
                found.append(
                    f"{one.name}: the server used {share:.0%} of its core; it waited for PostgreSQL, for a lock or for "
                    "its turn on the machine."
                )
        floors = [floor.server_load for one in self.comparisons for floor, _ in one.pairs]
        if floors and median(floors) < BUSY:
            found.append(
                f"The floor itself used {median(floors):.0%} of its core: the machine was not ours alone, or its other "
                "core was the limit. Take the ratio of processor times for the ratio."
            )
        return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run of a load")
    parser.add_argument("--incidents", type=int, default=measures.MANY, help="incidents of the long list")
    parser.add_argument("--occurrences", type=int, default=populations.MANY, help="rows of the long population")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to run")
    parser.add_argument("--named", nargs="+", default=(), help="ratios whose name has one of these words")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is written")
    return parser.parse_args()


async def _main(run: Run) -> None:
    # Ending by a signal takes the same way out as ending by an error, so that no server is left behind.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await run.run()


def main() -> None:
    """Run, and write the table when everything was measured."""
    run = Run(_arguments())
    uvloop.run(_main(run))
    if (set(run.chosen.only) == set(SECTIONS) and not run.chosen.named) or run.chosen.results != RESULTS:
        table.write(run.chosen.results, run.facts, run.figures, run.comparisons, run.remarks())
        run.console.print(f"Written to {run.chosen.results.name}.")


if __name__ == "__main__":
    main()
