"""The systems that can be called, as their files describe them: what is wrong is told when they are loaded."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from domain.connections import (
    ConnectionSystemText,
    compile_connection_system,
    connection_system,
    connection_systems,
    known,
)
from domain.expressions import InvalidExpression
from domain.refusals import Invalid
from domain.templates import Address, Unfillable, Written
from domain.tickets import NEEDED

SMALL = """
system: small
title: Small
base_url: https://small.example
guide: [Click there]
auth:
  - {title: Key, credentials: {key: {title: Key}}, headers: {X-Key: = credentials.key}}
operations:
  check: {path: /me, answer: {account: body.name}}
"""


def compiled(**changes: Any) -> Any:
    return compile_connection_system(ConnectionSystemText.model_validate({**yaml.safe_load(SMALL), **changes}))


@pytest.mark.parametrize("name", [name for name, one in sorted(connection_systems().items()) if one.map])
def test_every_system_can_do_what_tickets_need(name: str) -> None:
    system = connection_system(name)
    assert system.operations.keys() >= NEEDED
    for operation in ("create_ticket", "get_ticket", "find_ticket"):
        assert {"id", "number", "url"} <= system.operations[operation].answer.keys(), operation
    for operation in ("get_ticket", "find_ticket"):
        assert "is_closed" in system.operations[operation].answer, operation
    for operation in NEEDED - {"create_ticket", "find_ticket"}:
        # Where a missing ticket is an empty answer, it needs no status.
        assert 404 in system.operations[operation].gone or operation == "find_note", operation


def test_an_unknown_system_names_those_that_are_known() -> None:
    with pytest.raises(Invalid) as caught:
        connection_system("abacus")
    assert "connectwise" in caught.value.errors[0].reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"operations": {}}, "operations"),
        ({"operations": {"check": {"path": "/me", "methd": "GET"}}}, "methd"),
        ({"operations": {"check": {"path": "/me", "method": "DELETE"}}}, "method"),
        ({"operations": {"Check it": {"path": "/me"}}}, "Check it"),
        ({"auth": [{"title": "Key", "credentials": {}}]}, "credentials"),
        ({"guide": []}, "guide"),
    ],
)
def test_a_file_that_says_something_else_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        compiled(**changes)


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ({"path": "/tickets/{tiket.id}"}, "tiket"),
        ({"path": "/me", "body": {"title": "= note.titel +"}}, "note.titel"),
        ({"path": "/me", "answer": {"id": "made.id"}}, "made"),
        ({"path": "/me", "query": {"q": "= nobody"}}, "nobody"),
    ],
)
def test_an_expression_that_cannot_work_is_told_when_it_is_loaded(operation: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidExpression, match=said):
        compiled(operations={"check": operation})


def test_answers_mean_done_later_gone_or_no() -> None:
    operation = compiled(operations={"check": {"path": "/me", "gone": [404], "retry": [409]}}).operations["check"]
    kinds = {status: operation.kind(status) for status in (200, 204, 301, 400, 401, 404, 409, 429, 500, 503)}
    assert kinds == {
        200: "done",
        204: "done",
        301: "refused",
        400: "refused",
        401: "refused",
        404: "gone",
        409: "retry",
        429: "retry",
        500: "retry",
        503: "retry",
    }


def test_what_nobody_filled_is_not_sent() -> None:
    tags = ["a", "= get(map, 'b', null)"]
    body = {"title": "= note.title", "board": {"name": '= get(map, "board", null)'}, "tags": tags}
    written = Written(body, {"note", "map"})
    assert written.fill(known({"note": {"title": "T"}, "map": {}})) == {"title": "T", "tags": ["a"]}
    assert written.fill(known({"note": {"title": "T"}, "map": {"board": "B", "b": 1}})) == {
        "title": "T",
        "board": {"name": "B"},
        "tags": ["a", 1],
    }


@pytest.mark.parametrize(
    ("id", "path"), [("12", "/t/12/n"), ("a/../b", "/t/a%2F..%2Fb/n"), ("x?y=1#z", "/t/x%3Fy%3D1%23z/n")]
)
def test_a_segment_of_a_path_stays_one(id: str, path: str) -> None:
    assert Address("/t/{ticket.id}/n", {"ticket"}).fill(known({"ticket": {"id": id}})) == path


@pytest.mark.parametrize("ticket", [{}, {"id": None}, {"id": ""}])
def test_a_path_with_a_gap_leads_nowhere(ticket: dict[str, Any]) -> None:
    with pytest.raises(Unfillable):
        Address("/t/{ticket.id}", {"ticket"}).fill(known({"ticket": ticket}))


@pytest.mark.parametrize("id", [".", ".."])
def test_a_thing_that_is_a_step_up_is_not_asked_for(id: str) -> None:
    """A server takes such a segment away, and something else is asked for with our credentials."""
    address = Address("/rest/api/3/issue/{ticket.id}/comment", {"ticket"})
    with pytest.raises(Unfillable, match="names no thing"):
        address.fill(known({"ticket": {"id": id}}))


@pytest.mark.parametrize(
    "id", ["../../users", "1?expand=all", "1#x", "https://evil.example/", "1/../2", "%2e%2e", "a\r\nb"]
)
def test_a_thing_stays_one_segment_of_the_path(id: str) -> None:
    path = Address("/tickets/{ticket.id}", {"ticket"}).fill(known({"ticket": {"id": id}}))
    assert path.count("/") == 2
    assert not set(path) & set("?#\r\n")
