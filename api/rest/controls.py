"""Controls: the SOC 2 criteria that playbooks cite, what an auditor asks for, and the crosswalk to other frameworks."""

from typing import Annotated, Any, Literal

import msgspec
import orjson
from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import Out
from api.lists import CSV
from api.routing import declares, router
from app.authentication import Principal
from app.database import Db
from app.listing import csv_of
from domain.controls import Control as Criterion
from domain.controls import Framework, controls, controls_meeting, source, steps_citing
from domain.refusals import InputError, Invalid

routes = router("Controls")
COLUMNS = ("id", "title", "coso", "mark")


class AuditQuestion(Out):
    """What a Type II auditor asks: the population, what is tested on each sampled item, the test of time, and which
    of our answers delivers it."""

    population: str
    attributes: str
    timeliness: str | None
    delivered: str


class CitingStep(Out):
    """A playbook step that produces occurrences of the control; `suggested` ones are our additions and produce none."""

    playbook: str
    version: str
    step_id: str
    title: str
    owner_roles: list[str]
    mark: Literal["cited", "suggested"]


class Control(Out):
    """One criterion, by its id and our short title. `coso` is the COSO principle of CC1 to CC5; `mark` says whether
    the source playbook cites it or we added it; `crosswalk` is indicative: one criterion maps to many."""

    id: str
    title: str
    coso: int | None
    mark: Literal["cited", "added", "none"]
    audit: AuditQuestion | None
    crosswalk: dict[Framework, list[str]]
    steps: list[CitingStep]


class ControlPage(Out):
    """All criteria that match, in their order. `confidence` is that of the identifiers, per framework; the mapping
    is our judgement."""

    items: list[Control]
    next_cursor: str | None
    as_of: str
    confidence: dict[Framework, str]


@routes.get("/controls", **declares("control.read", answer=ControlPage))
async def page(
    call: Call,
    mark: Annotated[list[Literal["cited", "added", "none"]] | None, Query(max_length=3)] = None,
    playbook: Annotated[str | None, Query(max_length=100)] = None,
    framework: Framework | None = None,
    reference: Annotated[str | None, Query(max_length=50)] = None,
) -> Response:
    """The 33 common criteria. `framework` with `reference` reads the crosswalk backwards: `iso_27001_2022` and
    `A.5.25` give the criteria that meet it; `playbook` gives those that its steps cite. CSV by `Accept`."""
    if reference is not None and framework is None:
        text = "names a reference of `framework`, which is missing"
        raise Invalid(f"`reference` {text}.", errors=[InputError("/query/reference", text)])
    found = _matching(mark, playbook, framework, reference)

    async def query(db: Db, principal: Principal) -> str | Response:
        items = [_shown(one) for one in found]
        if call.wants_csv:
            columns = (*COLUMNS, *source().confidence, "steps")
            return Response(csv_of([_flat(one) for one in items], columns), 200, None, CSV)
        whole = {"items": items, "next_cursor": None, **msgspec.to_builtins(source())}
        return orjson.dumps(whole).decode()

    return await call.read("control.read", query)


@routes.get("/controls/{control_id}", **declares("control.read", answer=Control))
async def read(call: Call, control_id: str) -> Response:
    """One criterion."""

    async def query(db: Db, principal: Principal) -> str | None:
        found = controls().get(control_id)
        return None if found is None else orjson.dumps(_shown(found)).decode()

    return await call.read("control.read", query)


def _matching(
    marks: list[Literal["cited", "added", "none"]] | None,
    playbook: str | None,
    framework: Framework | None,
    reference: str | None,
) -> list[Criterion]:
    found = list(controls().values())
    if marks is not None:
        found = [one for one in found if one.mark in marks]
    if playbook is not None:
        found = [one for one in found if any(step.playbook == playbook for step in steps_citing()[one.id])]
    if framework is not None:
        meeting = set(controls() if reference is None else controls_meeting(framework, reference))
        found = [one for one in found if one.id in meeting and framework in one.crosswalk]
    return found


def _shown(control: Criterion) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(control)
    return {**plain, "steps": msgspec.to_builtins(steps_citing()[control.id])}


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    """A row of CSV: one column per framework, its references separated by semicolons."""
    meets = {name: "; ".join(references) for name, references in item["crosswalk"].items()}
    steps = "; ".join(f"{step['playbook']} {step['step_id']}" for step in item["steps"])
    return {**{name: item[name] for name in COLUMNS}, **meets, "steps": steps}
