"""The register as a whole: adding an entry of one's own, the heat map, and indicators to choose from."""

from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from api.calls import Call
from api.fields import Name, Out, Reason, Text
from api.rest.risks import Band, Edits, Risk, RiskStatus, Score, members_of
from api.routing import declares, router
from api.shapes import shape_of
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.reading import read_one
from app.risk_entries import add_risk, read_heat_map
from domain.risks import key_indicators

routes = router("Risks")
OPEN: tuple[RiskStatus, ...] = ("open", "treating", "accepted")


class RiskIn(Edits):
    """An entry of one's own. Its reference is given; adding it is its first review, with a reason.

    Residual scores are at most the inherent ones. A high residual needs a treatment plan with dates, a critical one
    somebody of `executive_leadership`; an accepted risk an expiry of at most a year.
    """

    title: Name
    description: Text
    category: Name
    likelihood: Score
    impact: Score
    residual_likelihood: Score
    residual_impact: Score
    reason: Reason


class Cell(Out):
    """One of the 25 cells: entries of exactly this likelihood and impact, the first 200 of them by reference."""

    likelihood: int
    impact: int
    score: int
    band: Band
    count: int
    refs: list[str]


class Bands(Out):
    """How many entries lie in each band."""

    low: int
    medium: int
    high: int
    critical: int


class BandsOfMaps(Out):
    """The bands of both maps."""

    inherent: Bands
    residual: Bands


class HeatMap(Out):
    """Both maps, 25 cells each from likelihood 1 and impact 1 on: before controls, and with them in place."""

    inherent: list[Cell]
    residual: list[Cell]
    bands: BandsOfMaps
    total: int
    late_reviews: int
    statuses: list[RiskStatus]
    server_time: datetime


class KeyIndicators(Out):
    """Suggested key risk indicators, to be chosen from: `kris` of an entry."""

    items: Annotated[list[str], Field(max_length=50)]
    next_cursor: str | None


@routes.post("/risks", **declares(("risk.accept", "risk.accept_critical"), answer=Risk, status=201))
async def add(call: Call, body: RiskIn) -> Response:
    """Add an entry to the register."""
    given = members_of(body)
    reason = given.pop("reason")

    async def use_case(db: Db, principal: Principal) -> Answer:
        ref = await add_risk(db, principal, given, reason)
        text = await read_one(db, "risk", shape_of(Risk, "risk"), ref, principal)
        return answer(text, status=201, location=f"/v1/risks/{ref}", version=1)

    return await call.write(None, use_case)


@routes.get("/risks/heat-map", **declares("risk.read", answer=HeatMap))
async def heat_map(call: Call, status: Annotated[list[RiskStatus] | None, Query(max_length=4)] = None) -> Response:
    """How many entries lie where, closed ones left out unless `status` asks for them."""

    async def query(db: Db, principal: Principal) -> str:
        return orjson.dumps(await read_heat_map(db, principal, status or OPEN)).decode()

    return await call.read("risk.read", query)


@routes.get("/risks/key-indicators", **declares("risk.read", answer=KeyIndicators))
async def indicators(call: Call) -> Response:
    """Key risk indicators that we suggest."""

    async def query(db: Db, principal: Principal) -> str:
        return orjson.dumps({"items": list(key_indicators()), "next_cursor": None}).decode()

    return await call.read("risk.read", query)
