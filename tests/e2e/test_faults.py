"""What a killed process or database, an ending under load and races over two processes leave behind: nothing lost,
nothing done twice, one winner each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.journal import Journal
from bench.races import race_for_a_key, race_for_steps
from bench.services import Process
from bench.site import HEAL_SECONDS, Site
from bench.tickets import storm_of_tickets

pytestmark = pytest.mark.timeout(180)

CLIENTS = 4
LOAD_SECONDS = 1.0  # of undisturbed load before a fault and after it has healed
ROUNDS = 50


@pytest.fixture(scope="module")
async def shared_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A data folder for the tests of this file: making one costs more than any of them."""
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
async def site(shared_site: Site) -> Site:
    """Two processes on one data folder, whatever the test before has left of them."""
    while len(shared_site.running()) < 2:
        await shared_site.start()
    return shared_site


@contextlib.asynccontextmanager
async def under_load(journal: Journal, *processes: Process) -> AsyncIterator[None]:
    """Clients open incidents and complete actions over `processes` for the length of the block and a second around."""
    ended = asyncio.Event()
    loads = [asyncio.create_task(journal.load(process, ended, CLIENTS)) for process in processes]
    try:
        await asyncio.sleep(LOAD_SECONDS)
        yield
        await asyncio.sleep(LOAD_SECONDS)
    finally:
        ended.set()
        await asyncio.gather(*loads)


async def settled(journal: Journal, process: Process) -> None:
    """Everything asked for is answered in the end, and stored as it was answered."""
    assert journal.longest_gap < HEAL_SECONDS
    await journal.settle(process)
    assert await journal.verify(process) == []
    assert len(journal.wishes) > CLIENTS


async def test_a_killed_database_comes_back_with_all_it_acknowledged(site: Site, tmp_path: Path) -> None:
    first, second = site.running()
    journal = Journal(site, tmp_path / "journal")
    async with under_load(journal, second):
        killed = time.monotonic()
        site.kill_postmaster()
        assert await site.healed(first, killed) < HEAL_SECONDS
        assert await site.healed(second, killed) < HEAL_SECONDS
    await settled(journal, first)


async def test_a_killed_process_takes_nothing_with_it(site: Site, tmp_path: Path) -> None:
    first, second = site.running()
    journal = Journal(site, tmp_path / "journal")
    async with under_load(journal, first, second):
        killed = time.monotonic()
        site.kill(first)  # and the database with it, if it was the one that ran it: the other takes over
        assert await site.healed(second, killed) < HEAL_SECONDS
    await settled(journal, second)


async def test_a_process_told_to_end_finishes_what_it_has_begun(site: Site, tmp_path: Path) -> None:
    first, second = site.running()
    journal = Journal(site, tmp_path / "journal")
    async with under_load(journal, first, second):
        assert await asyncio.to_thread(first.stop) == 0
        assert await site.healed(second, time.monotonic()) < HEAL_SECONDS
    await settled(journal, second)


async def test_races_over_two_processes_have_one_winner(site: Site) -> None:
    first, second = site.running()
    async with site.client(first) as one, site.client(second) as two:
        races = await race_for_steps((one, two), ROUNDS)
        assert (races.faults, races.rounds) == ([], ROUNDS)
        assert await race_for_a_key((one, two), 50) == []
    assert await site.check() == []


async def test_shuffled_and_repeated_tickets_over_two_processes_end_as_in_order(site: Site) -> None:
    """The whole of it, 200 tickets, is part of `make soak`."""
    first, second = site.running()
    async with site.client(first) as one, site.client(second) as two:
        storm = await storm_of_tickets((one, two), 25, 5, seed=11)
    assert storm.faults == []
    assert set(storm.statuses) == {202}
    assert storm.deliveries > 25 * 6
    assert await site.check() == []
