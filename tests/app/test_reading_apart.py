"""Reading in a process of its own: the same as reading here, and its end when it takes too long."""

import time

import pytest

from app import reading_apart
from app.reading_apart import read, read_apart, sample_of
from domain.mappings import Unmappable
from domain.signatures import Received

BODY = b'{"event_action":"trigger","dedup_key":"k","summary":"It leaks","occurred_at":"2026-11-20T08:00:00Z"}'
SAMPLE = sample_of("generic", "{}", Received(body=BODY, headers={"content-type": "application/json"}))


async def test_it_reads_as_the_service_does() -> None:
    told = await read_apart(SAMPLE)
    assert told == read(SAMPLE)
    assert told.delivery is not None
    assert told.delivery.events[0].title is None
    assert told.delivery.events[0].summary == "It leaks"


async def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_apart, "SECONDS_MAX", 0.01)  # less than a process takes to start
    started = time.monotonic()
    with pytest.raises(Unmappable, match="too costly"):
        await read_apart(SAMPLE)
    assert time.monotonic() - started < 3


async def test_a_process_that_dies_is_no_fault_of_ours() -> None:
    broken = sample_of("no such system", "{}", Received(body=b"{}", headers={}))
    with pytest.raises(Unmappable, match="too costly"):
        await read_apart(broken)
