"""Signed deliveries as ConnectWise PSA and a generic sender make them, each about another ticket."""

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime

from bench.load import request

THINGS = 100
BEGAN = 1_780_000_000  # seconds since 1970
SECRET = "example-signing-secret-of-a-benchmark"  # noqa: S105 (of a source that lives as long as the run)
_TICKET = {
    "id": 0,
    "summary": "Staff pasted client contract into public chatbot",
    "recordType": "ServiceTicket",
    "board": {"id": 1, "name": "Help Desk"},
    "status": {"id": 16, "name": "New", "Sort": 0},
    "company": {"id": 21, "identifier": "ExampleClient", "name": "Example Client Ltd"},
    "contactName": "Jamie Example",
    "contactEmailAddress": "jamie@client.example",
    "priority": {"id": 7, "name": "Priority 2 - High", "sort": 7},
    "type": {"id": 5, "name": "AI / SaaS"},
    "siteName": "Main",
    "closedFlag": False,
    "_info": {"lastUpdated": "2026-06-09T21:59:47Z", "dateEntered": "2026-06-09T21:40:02Z"},
}
_CALLBACK = {
    "MessageId": "message-0",
    "CompanyId": "examplemsp",
    "MemberId": "apimember",
    "Action": "added",
    "Type": "ticket",
    "ID": 0,
}
_ALERT = {
    "event_action": "trigger",
    "dedup_key": "alert-0",
    "title": "Prompt log exposed in a public bucket",
    "summary": "Staff pasted a client list into a chatbot; the log is public.",
    "occurred_at": "2026-06-09T21:40:02Z",
    "severity_hint": "critical",
    "company": {"id": "21", "name": "Example Client Ltd"},
    "reporter": {"email": "jamie@client.example"},
    "labels": ["bucket"],
}


def connectwise(path: str) -> Callable[[], bytes]:
    """Callbacks of added tickets: the record is a JSON document inside a JSON string."""
    key = hashlib.sha256(SECRET.encode()).digest()
    numbers = itertools.count(1)

    def following() -> bytes:
        number = next(numbers)
        entity = json.dumps({**_TICKET, "id": number})
        body = json.dumps({**_CALLBACK, "MessageId": f"message-{number}", "ID": number, "Entity": entity}).encode()
        signature = base64.b64encode(hmac.digest(key, body, "sha256")).decode()
        return request("POST", f"{path}?id={number}&action=added", {"x-content-signature": signature}, body)

    return following


def updates(path: str) -> Callable[[], bytes]:
    """An alert for each of a hundred things, then changes of them in turns."""
    numbers = itertools.count()

    def following() -> bytes:
        number = next(numbers)
        action = "trigger" if number < THINGS else "update"
        changed = {
            "event_action": action,
            "dedup_key": f"thing-{number % THINGS}",
            "title": f"Exposed, change {number}",
        }
        at = datetime.fromtimestamp(BEGAN + number, UTC).isoformat()
        return _signed(path, {**_ALERT, **changed, "occurred_at": at})

    return following


def duplicates(path: str) -> Callable[[], bytes]:
    """One alert, again and again."""
    wire = _signed(path, {**_ALERT, "dedup_key": "again"})
    return lambda: wire


def forged(path: str) -> Callable[[], bytes]:
    """An authentic alert, so that the source is known, then the same with a wrong signature for ever."""
    good = _signed(path, {**_ALERT, "dedup_key": "forged"})
    wires = itertools.chain((good,), itertools.repeat(good.replace(b"sha256=", b"sha256=0", 1)))
    return lambda: next(wires)


def _signed(path: str, alert: dict[str, object]) -> bytes:
    body = json.dumps(alert).encode()
    signature = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
    return request("POST", path, {"x-hub-signature-256": f"sha256={signature}"}, body)


def generic(path: str) -> Callable[[], bytes]:
    """Alerts in our own form, signed as many senders do: a hexadecimal HMAC of the body."""
    numbers = itertools.count(1)

    return lambda: _signed(path, {**_ALERT, "dedup_key": f"alert-{next(numbers)}"})
