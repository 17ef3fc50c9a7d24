"""A whole incident through the graph, by a typed client that is generated from the published schema."""

from __future__ import annotations

import asyncio
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from graphql import build_schema

from bench.services import Process
from bench.site import Site
from tests.generated_client import client_of

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = (ROOT / "openapi" / "schema.graphql").read_text(encoding="utf-8")
DOCUMENTS = (Path(__file__).parent / "console.graphql").read_text(encoding="utf-8")
WRONG = """from console_client import Client, Overview, TransitionActionInput

async def wrong(client: Client, told: Overview) -> None:
    assert told.incident is not None
    told.incident.nothing  # type: ignore[attr-defined]
    told.incident.status == "finished"  # type: ignore[comparison-overlap]
    TransitionActionInput(transition="finish")  # type: ignore[arg-type]
    await client.overview()  # type: ignore[call-arg]
    result = (await client.act(incident="", action="", input=TransitionActionInput(transition="complete")))
    result.transitionAction.gate  # type: ignore[union-attr]
"""
"""Uses that a typed client has to tell apart from right ones: an ignore that ignores nothing is an error, too."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the client of today is written, and one from before a gate could refuse."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "console_client.py").write_text(client_of(build_schema(SCHEMA), DOCUMENTS), encoding="utf-8")
    earlier = re.sub(r" \| GateRefused\b", "", SCHEMA)
    assert earlier != SCHEMA
    fewer = "\n".join(line for line in DOCUMENTS.splitlines() if "... on GateRefused" not in line)
    (folder / "earlier_client.py").write_text(client_of(build_schema(earlier), fewer), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def generated(folder: Path) -> Iterator[Callable[[str], ModuleType]]:
    """`generated(name)`: a module that is written, or made of what is written."""
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))


def checked(folder: Path, *options: str) -> str:
    """What a type checker says, nothing where all is well."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent"]
    command += ["--config-file", "", "--cache-dir", str(folder / "cache"), *options]
    environment = {"MYPYPATH": f"{folder}:{ROOT}", "PATH": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


def test_what_is_generated_types_the_walk_and_refuses_wrong_uses(folder: Path) -> None:
    """TypeScript is proven likewise, where there is a compiler; this is proven wherever the tests run."""
    walk = ROOT / "tests" / "e2e" / "console_walk.py"
    common = ("--explicit-package-bases", "--no-warn-unused-ignores")
    assert checked(folder, *common, str(folder / "console_client.py"), str(walk)) == ""
    (folder / "wrong_uses.py").write_text(WRONG, encoding="utf-8")
    assert checked(folder, str(folder / "wrong_uses.py")) == ""


def address(process: Process) -> str:
    return f"http://127.0.0.1:{process.port}"


async def test_a_whole_incident_is_worked_on_and_followed_across_processes(
    tmp_path: Path, generated: Callable[[str], ModuleType]
) -> None:
    made, walk = generated("console_client"), generated("tests.e2e.console_walk")
    site = Site(tmp_path)
    try:
        writing, telling = await site.start(), await site.start()
        own = made.Client(address(writing), site.key)
        bea, her_id = await walk.colleague(own, "Bea Second", ["it_security", "security_lead", "legal_counsel"])
        cyd, his_id = await walk.colleague(own, "Cyd Third", ["executive_leadership", "legal_counsel", "risk_owner"])
        incident = await walk.report(own)
        me, her, him = (walk.Worker(one, incident) for one in (own, bea, cyd))
        follower = walk.Follower(incident)
        following = asyncio.create_task(follower.follow(made.Client(address(telling), site.key)))
        await follower.until(lambda: bool(follower.begun))

        refused = await walk.refusals(me, her)
        part = made.SetParticipantInput(involvement="responder")
        for id in (her_id, his_id):
            await own.set_participant(incident=incident, person=id, input=part)
        refused.append(await walk.contain(her))
        assert [type(one).__name__ for one in refused] == [
            "ActForbidden",
            "ActStateConflict",
            "HoldNotFound",
            "HoldInvalidInput",
            "AddClientIdempotencyConflict",
            "MoveStepGateRefused",
        ]
        assert all(one.code and one.message and one.requestId for one in refused)
        assert refused[-1].gate == "G-DL-2"
        assert [one.ref for one in refused[-1].missing] == ["DL.1.6"]
        await follower.until(lambda: bool(follower.saw("step.completed", "DL.1")))

        await walk.assess(me)
        site.kill(telling)
        await following
        missed_from = follower.last
        await walk.decide(me)
        await me.step("DL.3")
        again = await site.start()
        following = asyncio.create_task(follower.follow(made.Client(address(again), site.key)))
        await walk.tell_client(her, him)
        await walk.raise_severity(me)
        await walk.remedy(me, her)
        assert (await me.overview()).status == "contained"
        await walk.review(me, her_id, his_id)
        await close(him, her)

        events = await walk.timeline(me)
        await follower.until(lambda: follower.last == events[-1][0])
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert [(one.seq, one.kind) for one in follower.events] == events[follower.begun[0] :]
        assert follower.begun[1:] == [missed_from]
        assert events[-1][1] == "incident.closed"
        assert await site.check() == []
    finally:
        site.stop()


async def close(him: Any, her: Any) -> None:
    """Two persons sign, and the second signature closes; nothing is left open."""
    signed = [await him.sign(), await her.sign()]
    assert [one.typename for one in signed] == ["SignOffSuccess"] * 2, signed
    assert [one.incident.status for one in signed] == ["post_incident", "closed"]
    whole = await her.overview()
    assert (whole.status, {step.status for step in whole.steps}) == ("closed", {"completed"})
    assert {item.state for item in whole.documentation} <= {"complete", "not_applicable"}
    assert {one.decision for one in whole.obligations} <= {"not_required", "notify"}


async def test_a_refusal_of_a_kind_that_came_later_is_read_as_a_problem(
    server: str, tenant: Any, generated: Callable[[str], ModuleType]
) -> None:
    made = generated("earlier_client")
    client = made.Client(server, tenant.key)
    given = made.ReportIncidentInput(title="A list in a chatbot", playbook="data-leakage")
    incident = (await client.report(input=given)).reportIncident.incident.id
    complete = made.TransitionStepInput(transition="complete")
    told = (await client.move_step(incident=incident, step="DL.1", input=complete)).transitionStep
    assert (type(told).__name__, told.typename) == ("MoveStepOther", "GateRefused")
    assert told.message
    assert told.requestId
    await client.http.aclose()
