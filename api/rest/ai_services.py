"""The directory of well-known AI services and the vendor checklist: what forms are pre-filled and drawn from."""

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from api.calls import Call
from api.fields import JsonObject, Out
from api.routing import declares, router
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from domain.ai_services import search_services
from domain.vendor_assessments import checklist

routes = router("AI tools")


class ServiceLinks(Out):
    """Pages of the vendor; null where none is well known."""

    privacy: str | None
    deletion: str | None
    opt_out: str | None
    training: str | None
    retention: str | None
    dpa: str | None
    trust: str | None
    subprocessors: str | None
    breach_notice: str | None


class AiService(Out):
    """A well-known AI service. It pre-fills forms and decides nothing; links may have moved since `as_of`."""

    slug: str
    name: str
    vendor: str
    domains: list[str]
    aliases: list[str]
    links: ServiceLinks
    as_of: str
    confidence: Literal["high", "medium", "low"]


class AiServices(Out):
    """The services found, by name."""

    items: list[AiService]


class VendorCheck(Out):
    """A question of the checklist; `answer_schema` is the JSON Schema of its answer."""

    id: str
    question: str
    good_answer: str
    weight: Literal["mandatory", "advisory"]
    mandatory_if: str | None
    source: Literal["S", "A", "X"]
    basis: str | None
    answer_schema: JsonObject


class VendorChecklist(Out):
    """The vendor assessment checklist."""

    items: list[VendorCheck]


@routes.get("/ai-services", **declares("tool.read", answer=AiServices))
async def search(call: Call, q: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    """Well-known AI services whose name, alias, vendor or domain holds every word of `q`; all without one."""

    async def query(db: Db, principal: Principal) -> Answer:
        found = [AiService(**one.model_dump()) for one in search_services(q)]
        return answer(AiServices(items=found).model_dump_json())

    return await call.read("tool.read", query)


@routes.get("/vendor-checklist", **declares("tool.read", answer=VendorChecklist))
async def vendor_checklist(call: Call) -> Response:
    """The questions of a vendor assessment, which answers are good and what `approve` hangs on."""

    async def query(db: Db, principal: Principal) -> Answer:
        shown = ("id", "question", "good_answer", "weight", "mandatory_if", "source", "basis")
        found = [
            VendorCheck(**{name: getattr(check, name) for name in shown}, answer_schema=check.schema_of_answer)
            for check in checklist().values()
        ]
        return answer(VendorChecklist(items=found).model_dump_json())

    return await call.read("tool.read", query)
