"""The catalogue says what the code writes, and refuses what matches nothing of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.event_types import STREAMS, TYPES, check_types, event_types_page
from domain.glossary import IncidentStatus
from domain.permissions import OPERATIONS
from domain.refusals import Invalid

ROOT = Path(__file__).parents[2]
KIND = re.compile(r"[a-z_]+\.[a-z_]+")
TELLERS = {"emit", "tell_tool", "Written"}
WRITERS = TELLERS | {"Event", "append", "_Told", "_write", "insert_row", "update_row"}
"""Calls that are given the kind of an event."""
NO_KINDS = {"incident.close", "incident.sign_off", "evidence.remove", "step.complete", "action.complete", "action.skip",
            "notification.send", "settings.md", "client.data_role", "client.gdpr_role", "client.hipaa_role",
            "client.sectors"}  # fmt: skip
"""Operations that gates guard, facts of clients, a file: words of the same form."""
MADE = {
    f"incident.{one}" for one in (IncidentStatus.IN_PROGRESS, IncidentStatus.CONTAINED, IncidentStatus.POST_INCIDENT)
}
"""The one kind that the code puts together, by the statuses that it settles."""


def modules() -> Iterator[ast.Module]:
    for folder in ("domain", "app"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def calls() -> Iterator[tuple[ast.Call, str | None]]:
    """Each call that writes an event, with its kind where that is written there; None where it comes from elsewhere."""
    for module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and name_of(node) in WRITERS:
                texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                yield node, next((one for one in texts if KIND.fullmatch(one)), None)


def texts() -> set[str]:
    """Every text of the form of a kind in the code."""
    return {
        node.value
        for module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and KIND.fullmatch(node.value)
    }


def test_every_kind_that_the_code_writes_is_in_the_catalogue() -> None:
    written = {kind for _, kind in calls() if kind is not None}
    things = {name.partition(".")[0] for name in TYPES}
    alike = {one for one in texts() if one.partition(".")[0] in things} - OPERATIONS.keys() - NO_KINDS
    assert (written | alike) - TYPES.keys() == set(), "add them to domain/data/event_types.yaml"
    assert TYPES.keys() >= MADE


def test_no_other_kind_is_put_together() -> None:
    given = [one for call, _ in calls() if name_of(call) in TELLERS for one in call.args]
    made = {ast.unparse(one) for one in given if isinstance(one, ast.JoinedStr)}
    assert made == {"f'incident.{status}'"}


def test_the_catalogue_names_nothing_that_is_not_written() -> None:
    assert TYPES.keys() - texts() - MADE == set()


def test_what_a_call_gives_is_what_the_catalogue_says() -> None:
    seen = 0
    for call, kind in calls():
        if kind is None or name_of(call) not in TELLERS:
            continue
        given = {one.arg for one in call.keywords} - {"occurred_at"}
        schema = TYPES[kind].data_schema
        assert given - {None} <= schema["properties"].keys(), f"{kind}: the catalogue does not name all of it"
        if None not in given:  # without members that come as one
            assert set(schema["required"]) <= given | {"changes"}, f"{kind}: not always there"
        seen += 1
    assert seen > 100


def test_every_stream_that_is_written_is_in_the_catalogue() -> None:
    written = {call.args[0].value for call, _ in calls() if name_of(call) in {"Written", "_Told"} and call.args
               and isinstance(call.args[0], ast.Constant) and "." not in str(call.args[0].value)}  # fmt: skip
    assert written <= STREAMS.keys()
    assert {stream for one in TYPES.values() for stream in one.streams} == STREAMS.keys()


@pytest.mark.parametrize("types", [["*"], ["step.completed"], ["step.*", "sign_off.signed"]])
def test_types_are_named_one_by_one_or_together(types: list[str]) -> None:
    check_types(types)


@pytest.mark.parametrize("types", [[], ["step"], ["*.completed"], ["step.completed.twice"], ["step. "], ["nothing.*"],
                                   ["step.completed"] * 101])  # fmt: skip
def test_what_matches_nothing_is_refused(types: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        check_types(types)
    assert refused.value.errors[0].pointer.startswith("/event_types")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("step.complete", "step.completed"), ("steps.*", "step.*"), ("incident.declare", "incident.declared")],
)
def test_a_near_miss_is_named(wrong: str, meant: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_types(["*", wrong])
    (fault,) = refused.value.errors
    assert fault.pointer == "/event_types/1" and meant in fault.reason


def test_the_page_in_docs_is_the_catalogue() -> None:
    assert (ROOT / "docs" / "event-types.md").read_text(encoding="utf-8") == event_types_page()
