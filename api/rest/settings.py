"""The settings of the tenant."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import Field, StringConstraints, field_validator, model_validator
from starlette.responses import Response

from api.calls import Call
from api.fields import In, Out
from api.rest.clients import DataRole, GdprRole, HipaaRole, Jurisdiction, Sector
from api.routing import declares, router
from app.answers import Answer, answer
from app.authentication import Principal
from app.database import Db
from app.tenant_settings import change_settings, read_settings
from domain.deadlines import public_holidays, zone

routes = router("Settings")

TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Duration = Annotated[str, StringConstraints(min_length=2, max_length=32)]


class CalendarEdit(In):
    """When the tenant works. Country and subdivision (ISO 3166) name its public holidays; Monday is day 0."""

    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    opens: TimeOfDay | None = None
    closes: TimeOfDay | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    subdivision: Annotated[str, StringConstraints(min_length=1, max_length=10)] | None = None
    closed_days: Annotated[list[date], Field(max_length=500)] | None = None
    working_days: Annotated[list[Annotated[int, Field(ge=0, le=6, strict=True)]], Field(max_length=7)] | None = None

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            zone(value)
        return value

    @model_validator(mode="after")
    def _country_has_holidays(self) -> Self:
        if self.country is not None:
            public_holidays(self.country, self.subdivision, 2026)
        return self


class OrganisationEdit(In):
    """The tenant's own profile, read by obligations. Sectors that rules know: `bank`, `bank_service_provider`,
    `credit_union`, `critical_infrastructure`, `dora_financial_entity`, `electronic_communications_provider`,
    `ftc_financial_institution`, `nis2_entity`, `nis2_trust_service_provider`, `nydfs_covered_entity`, `phr_vendor`,
    `sec_registrant`; any other word may stand beside them."""

    hipaa_role: HipaaRole | None = None
    gdpr_role: GdprRole | None = None
    data_role: DataRole | None = None
    ai_act_role: Literal["provider", "deployer", "none"] | None = None
    sectors: Annotated[list[Sector], Field(max_length=50)] | None = None
    jurisdictions: Annotated[list[Jurisdiction], Field(max_length=300)] | None = None


class SettingsEdit(In):
    """What to change: absent members stay, null goes back to the published default."""

    calendar: CalendarEdit | None = None
    grace: Duration | None = None
    triage_within: Duration | None = None
    harm_cost_threshold: Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)] | None = None
    notice_guideline: Duration | None = None
    delivery_retention: Duration | None = None
    organisation: OrganisationEdit | None = None


class CalendarOut(Out):
    """When the tenant works."""

    time_zone: str
    opens: str
    closes: str
    country: str | None
    subdivision: str | None
    closed_days: list[date]
    working_days: list[int]


class Settings(Out):
    """The settings in force, defaults included. `harm_cost_threshold` is an amount in the tenant's currency,
    `notice_guideline` the time from discovery that a notice gets where its law gives no figure, `delivery_retention`
    how long the delivery of an event to a webhook endpoint is kept when it is done."""

    version: int
    name: str
    calendar: CalendarOut
    grace: str
    triage_within: str
    harm_cost_threshold: str
    notice_guideline: str
    delivery_retention: str
    organisation: dict[str, Any]


@routes.get("/settings", summary="Read the settings", **declares("settings.read", answer=Settings))
async def settings(call: Call) -> Response:
    """The settings in force."""

    async def query(db: Db, principal: Principal) -> Answer:
        return _answer(await read_settings(db, principal))

    return await call.read("settings.read", query)


@routes.patch(
    "/settings",
    summary="Change the settings",
    **declares(["settings.write", "calendar.write"], answer=Settings, refuses=[409]),
)
async def edit_settings(call: Call, given: SettingsEdit) -> Response:
    """Change settings; what the rules say of open incidents is worked out again."""

    async def work(db: Db, principal: Principal) -> Answer:
        wanted = given.model_dump(mode="json", exclude_unset=True)
        return _answer(await change_settings(db, principal, wanted, call.if_match))

    return await call.write("settings.write", work)


def _answer(found: dict[str, Any]) -> Answer:
    return answer(orjson.dumps(found).decode(), version=found["version"])
