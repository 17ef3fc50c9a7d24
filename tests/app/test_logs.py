"""Log lines: one parseable object each, and no secret in any of them."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROLOGUE = """
import logging, structlog
from app.logs import configure
configure(level="info")
log = structlog.stdlib.get_logger("holdfast")
"""


def lines_of(code: str) -> list[dict[str, Any]]:
    """What a process of its own writes, so that the run's logging stays as it is."""
    done = subprocess.run([sys.executable, "-c", PROLOGUE + code], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_carries_utc_time_level_event_and_what_is_bound() -> None:
    (line,) = lines_of("structlog.contextvars.bind_contextvars(request_id='r1'); log.info('key.used', tenant='t1')")
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["request_id"], line["tenant"]) == ("info", "key.used", "r1", "t1")


@pytest.mark.parametrize(
    "text",
    [
        "key hf_7Qx0000000000canary was refused",
        "POST /hooks/abc.canary?x=1 HTTP/1.1",
        "http://127.0.0.1:8080/hooks/tenant.canary",
        "Authorization: Bearer canary.canary.canary",
        "could not reach postgresql://holdfast:canary@db.example.com/holdfast",
        "whsec_canarycanarycanary",
        "eyJhbGciOiJub25l.canaryQ.canary",
    ],
)
def test_no_secret_leaves_in_any_position(text: str) -> None:
    code = f"""
text = {text!r}
log.info(text, a=text, b=[text], c={{'d': (text,)}})
log.info(text, status=200)
log.info('said', Token='canary')
logging.getLogger('library').warning('said %s', text)
log.error('x', authorization='canary', nested={{'password': 'canary'}})
try:
    raise RuntimeError(text)
except RuntimeError:
    log.exception('failed'); logging.getLogger('library').exception('failed')
"""
    written = lines_of(code)
    assert len(written) == 7
    assert "canary" not in json.dumps(written)


def test_a_route_is_named_by_its_template() -> None:
    (line, other) = lines_of(
        "log.info('request', route='/hooks/{token}'); log.info('x', a='/hooks/{token}/hooks/canary', b='\\xe9')"
    )
    assert line["route"] == "/hooks/{token}"
    assert "canary" not in json.dumps(other)


def test_an_exception_is_named_with_its_places_but_not_quoted() -> None:
    (line,) = lines_of("try:\n  int('Jane Doe')\nexcept ValueError: log.exception('failed')")
    assert line["failure"] == "ValueError"
    assert line["at"]
    assert "Jane" not in json.dumps(line)


def test_hostile_text_stays_on_one_line_and_moves_no_cursor() -> None:
    code = r"log.info('x', text='a\r\nfake\x1b[31m\x9b2J\u2028\u202e\ud800')"
    done = subprocess.run([sys.executable, "-c", PROLOGUE + code], capture_output=True, check=True)
    assert done.stderr.count(b"\n") == 1
    for raw in (b"\r", b"\x1b", "\x9b".encode(), "\u2028".encode(), "\u202e".encode()):
        assert raw not in done.stderr
    assert "fake" in json.loads(done.stderr)["text"]


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    code = PROLOGUE + "import os, sys\nos.close(2)\nlog.info('x')\nsys.stderr.close()\nlog.info('x')\nprint('goes on')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "goes on\n"


def test_what_the_server_logs_about_requests_is_left_to_our_own_line() -> None:
    assert (
        lines_of("logging.getLogger('uvicorn.access').info('GET /hooks/abc'); logging.getLogger('httpx').info('x')")
        == []
    )
