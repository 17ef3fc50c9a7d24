"""The AI risk register: scores, bands, what an incident proposes, and how a revision is decided.

Scales: likelihood of the next 12 months 1 (rare, below 5 %) to 5 (almost certain, above 80 %); impact 1 (negligible)
to 5 (severe: legal action, loss of trust, harm to people). A score is their product, 1 to 25, inherent before
controls and residual with them in place.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Struct, field, structs
from pydantic import BaseModel, ConfigDict, Field

from domain.deadlines import add_duration
from domain.refusals import Forbidden, InputError, Invalid
from domain.shipped import shipped

Band = Literal["low", "medium", "high", "critical"]
BANDS: tuple[tuple[int, Band], ...] = ((20, "critical"), (10, "high"), (5, "medium"), (1, "low"))
"""Lowest score of each band, highest band first."""

REVIEW_EVERY: Mapping[str, str] = {"critical": "P1M", "high": "P3M", "medium": "P6M", "low": "P1Y"}
"""How soon a risk is looked at again, by its residual band."""

LIKELIHOOD_AT_LEAST: tuple[tuple[int, int], ...] = ((4, 5), (2, 4), (1, 3))
"""(incidents in the rolling 12 months, likelihood they support), most incidents first."""

IMPACT_AT_LEAST: Mapping[str, int] = {"SEV1": 5, "SEV2": 4, "SEV3": 3, "SEV4": 2}
"""Impact that the worst severity of the rolling 12 months supports."""

CONTROLS_FAILED = frozenset({"control_failure", "missing_technical_control"})
"""Root causes that put the residual scores in doubt."""

STATUSES = ("open", "treating", "accepted", "closed")
TREATMENTS = ("mitigate", "transfer", "avoid", "accept")
CAUSES = ("review", "incident", "treatment", "audit")
DECISIONS = ("accept", "edit", "no_change")
ACCEPTED_FOR_MOST = "P1Y"
REASON_AT_LEAST = 10  # characters
SCORES = ("likelihood", "impact", "residual_likelihood", "residual_impact")
WORDS = ("title", "description", "category", "owner_id", "status", "treatment_plan", "acceptance")
LISTS = ("treatments", "controls", "playbooks", "maps_to", "kris")
EDITABLE = frozenset((*SCORES, *WORDS, *LISTS))


class Risk(Struct, frozen=True, kw_only=True):
    """An entry of the register; names are those of its columns."""

    ref: str
    title: str
    description: str = ""
    category: str = ""
    owner_id: UUID | None = None
    status: str = "open"
    likelihood: int
    impact: int
    residual_likelihood: int
    residual_impact: int
    treatments: tuple[str, ...] = ()
    treatment_plan: Any = None  # {actions: [{title, due}], owner, due}; dates ISO 8601
    acceptance: Any = None  # {approved_by, expires_at}
    controls: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    maps_to: tuple[str, ...] = ()
    kris: tuple[Any, ...] = ()
    last_reviewed_at: datetime | None = None
    next_review_at: datetime | None = None

    @property
    def inherent(self) -> int:
        """Score before controls."""
        return self.likelihood * self.impact

    @property
    def residual(self) -> int:
        """Score with the controls in place."""
        return self.residual_likelihood * self.residual_impact

    @property
    def residual_band(self) -> Band:
        """The band that decides who accepts and how often to review."""
        return band(self.residual)


class Counts(Struct, frozen=True, kw_only=True):
    """What the incidents of the rolling 12 months say about one risk. Rejected ones count as evaluated only."""

    incident_count_12m: int = 0
    last_incident_at: datetime | None = None
    highest_severity_12m: str | None = None
    evaluated_count_12m: int = 0
    root_causes: frozenset[str] = frozenset()


class Proposal(Struct, frozen=True, kw_only=True):
    """The scores that the incidents support, never below the present ones, with the reasons for each rise."""

    likelihood: int
    impact: int
    residual_likelihood: int
    residual_impact: int
    inherent: int
    residual: int
    inherent_band: Band
    residual_band: Band
    incident_count_12m: int
    last_incident_at: datetime | None
    highest_severity_12m: str | None
    because: list[str] = field(default_factory=list)


class Revision(Struct, frozen=True, kw_only=True):
    """A decided change of an entry, or the statement that none is needed. `changes` holds only what differs."""

    decision: str
    status: str  # proposed | accepted
    before: Risk
    after: Risk
    changes: dict[str, Any]
    reason: str
    cause: str
    outcome: str | None = None  # of a tool decision that the revision carries (`shadow-ai`)


def band(score: int) -> Band:
    """The band of a score of 1 to 25. Raises ValueError outside it."""
    if not 1 <= score <= 25:
        raise ValueError(f"a risk score is 1 to 25, not {score}")
    return next(name for lowest, name in BANDS if score >= lowest)


def proposal(risk: Risk, counts: Counts) -> Proposal:
    """What the incidents of 12 months propose for `risk`: scores rise to what they support and never fall."""
    because: list[str] = []
    likelihood = next((least for many, least in LIKELIHOOD_AT_LEAST if counts.incident_count_12m >= many), 1)
    impact = IMPACT_AT_LEAST[counts.highest_severity_12m] if counts.highest_severity_12m else 1
    if likelihood > risk.likelihood:
        because.append(f"{counts.incident_count_12m} incidents in 12 months support a likelihood of {likelihood}.")
    if impact > risk.impact:
        because.append(f"{counts.highest_severity_12m} in 12 months supports an impact of {impact}.")
    likelihood, impact = max(likelihood, risk.likelihood), max(impact, risk.impact)
    residual_likelihood, residual_impact = risk.residual_likelihood, risk.residual_impact
    failed = sorted(counts.root_causes & CONTROLS_FAILED)
    if failed:
        residual_likelihood = max(residual_likelihood, likelihood - 1)
        residual_impact = max(residual_impact, impact - 1)
        if (residual_likelihood, residual_impact) != (risk.residual_likelihood, risk.residual_impact):
            because.append(f"Root cause {', '.join(failed)}: the controls hold less than the residual scores assume.")
    inherent, residual = likelihood * impact, residual_likelihood * residual_impact
    return Proposal(
        likelihood=likelihood,
        impact=impact,
        residual_likelihood=residual_likelihood,
        residual_impact=residual_impact,
        inherent=inherent,
        residual=residual,
        inherent_band=band(inherent),
        residual_band=band(residual),
        incident_count_12m=counts.incident_count_12m,
        last_incident_at=counts.last_incident_at,
        highest_severity_12m=counts.highest_severity_12m,
        because=because,
    )


def next_review(risk: Risk, reviewed_at: datetime, also: Iterable[datetime] = ()) -> datetime:
    """When to look again: by the residual band, or earlier where `also` or the end of an acceptance says so."""
    dues = [add_duration(reviewed_at, REVIEW_EVERY[risk.residual_band]), *also]
    expires_at = _expiry(risk)
    return min([*dues, expires_at] if expires_at else dues)


def revise(
    risk: Risk,
    decision: str,
    edits: Mapping[str, Any],
    proposal: Proposal,
    reason: str,
    actor_roles: Collection[str],
    *,
    now: datetime,
    cause: str = "incident",
    actor_kind: str = "person",
    proposed_only: bool = False,
    outcome: str | None = None,
    also: Iterable[datetime] = (),
) -> Revision:
    """Decide a revision: `accept` the proposal, `edit` the entry, or `no_change`; each needs a reason.

    `accept` may carry edits that touch no score (a treatment plan), `no_change` none at all. An accepted revision is
    a review: it sets `last_reviewed_at` and `next_review_at`. With `proposed_only` anybody may propose and nothing is
    reviewed. Raises Invalid for what can never be right, Forbidden when the doer may not decide it.
    """
    _check_request(decision, edits, reason, cause)
    scores = {name: getattr(proposal, name) for name in SCORES} if decision == "accept" else {}
    after = _edited(risk, {**scores, **edits})
    check_revision(risk, after, now)
    if not proposed_only:
        check_decider(risk, after, actor_roles, actor_kind)
        after = structs.replace(after, last_reviewed_at=now, next_review_at=next_review(after, now, also))
    changes = {
        name: getattr(after, name) for name in after.__struct_fields__ if getattr(after, name) != getattr(risk, name)
    }
    if decision == "edit" and not changes.keys() - {"last_reviewed_at", "next_review_at"}:
        fault = InputError("/edits", "change nothing; answer `no_change` to say so")
        raise Invalid("This edit changes nothing.", errors=[fault])
    return Revision(
        decision=decision,
        status="proposed" if proposed_only else "accepted",
        before=risk,
        after=after,
        changes=changes,
        reason=reason.strip(),
        cause=cause,
        outcome=outcome,
    )


def check_decider(before: Risk, after: Risk, roles: Collection[str], kind: str) -> None:
    """Who may accept a revision: a person, `risk_owner`; into or out of a critical residual `executive_leadership`.

    Out of it too, or a risk owner alone could score a critical risk down. Raises Forbidden.
    """
    if kind != "person":
        raise Forbidden("A revision of a risk is decided by a person.")
    critical = "critical" in (before.residual_band, after.residual_band)
    needed = "executive_leadership" if critical else "risk_owner"
    if needed not in roles:
        raise Forbidden(f"A {'critical' if critical else after.residual_band} risk is decided by {needed}.")


def check_revision(before: Risk, after: Risk, now: datetime) -> None:
    """Refuse an entry that breaks the rules of the register. Raises Invalid with a pointer per fault.

    Residual scores never exceed the inherent ones; an accepted risk names its approver and an expiry of at most a
    year; a residual that becomes high, or is accepted as high, has a treatment plan with dates.
    """
    faults: list[InputError] = []
    for name in SCORES:
        score = getattr(after, name)
        if isinstance(score, bool) or not isinstance(score, int) or not 1 <= score <= 5:
            faults.append(InputError(f"/{name}", "is a whole number from 1 to 5"))
    if not faults:
        faults = [
            InputError(f"/residual_{name}", f"is at most {name}, which is {getattr(after, name)}")
            for name in ("likelihood", "impact")
            if getattr(after, f"residual_{name}") > getattr(after, name)
        ]
    if after.status not in STATUSES:
        faults.append(InputError("/status", f"is one of {', '.join(STATUSES)}"))
    if not set(after.treatments) <= set(TREATMENTS):
        faults.append(InputError("/treatments", f"are among {', '.join(TREATMENTS)}"))
    if not faults:
        faults = [*_acceptance_faults(after, now), *_plan_faults(before, after)]
    if faults:
        raise Invalid("This revision breaks the rules of the register.", errors=faults)


def _check_request(decision: str, edits: Mapping[str, Any], reason: str, cause: str) -> None:
    faults: list[InputError] = []
    if decision not in DECISIONS:
        faults.append(InputError("/decision", f"is one of {', '.join(DECISIONS)}"))
    if cause not in CAUSES:
        faults.append(InputError("/cause", f"is one of {', '.join(CAUSES)}"))
    if len(reason.strip()) < REASON_AT_LEAST:
        faults.append(InputError("/reason", f"says why in {REASON_AT_LEAST} or more characters"))
    faults += [InputError(f"/edits/{name}", "cannot be edited") for name in sorted(edits.keys() - EDITABLE)]
    if decision == "no_change" and edits:
        faults.append(InputError("/edits", "are empty when nothing changes"))
    if decision == "accept":
        scored = sorted(edits.keys() & set(SCORES))
        faults += [InputError(f"/edits/{name}", "comes from the proposal; answer `edit` to set it") for name in scored]
    if faults:
        raise Invalid("This revision cannot be read.", errors=faults)


def _edited(risk: Risk, edits: Mapping[str, Any]) -> Risk:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in edits.items()}
    return structs.replace(risk, **values)


def _acceptance_faults(after: Risk, now: datetime) -> list[InputError]:
    if after.status != "accepted" and "accept" not in after.treatments:
        return []
    faults = []
    if not (isinstance(after.acceptance, Mapping) and after.acceptance.get("approved_by")):
        faults.append(InputError("/acceptance/approved_by", "names the person who accepts the risk"))
    expires_at = _expiry(after)
    if expires_at is None or not now < expires_at <= add_duration(now, ACCEPTED_FOR_MOST):
        faults.append(InputError("/acceptance/expires_at", "is an instant in the future, at most a year ahead"))
    return faults


def _plan_faults(before: Risk, after: Risk) -> list[InputError]:
    rises = band_rank(after.residual_band) > band_rank(before.residual_band)
    accepted = after.status == "accepted" and before.status != "accepted"
    if band_rank(after.residual_band) < band_rank("high") or not (rises or accepted):
        return []
    if _is_dated(after.treatment_plan):
        return []
    return [InputError("/treatment_plan", f"lists actions with dates: the residual risk is {after.residual_band}")]


def _is_dated(plan: Any) -> bool:
    """Whether a treatment plan has actions, and a date for the plan or for each of them."""
    actions = plan.get("actions") if isinstance(plan, Mapping) else None
    if not isinstance(plan, Mapping) or not isinstance(actions, list) or not actions:
        return False
    return bool(plan.get("due")) or all(isinstance(action, Mapping) and action.get("due") for action in actions)


def band_rank(name: str) -> int:
    """Bands in order: low is 0, critical 3."""
    return ("low", "medium", "high", "critical").index(name)


def _expiry(risk: Risk) -> datetime | None:
    value = risk.acceptance.get("expires_at") if isinstance(risk.acceptance, Mapping) else None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo is not None else None


class _SeedRow(BaseModel):
    """One entry of data/risks.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ref: Annotated[str, Field(pattern=r"^AR-\d{3}$")]
    title: str
    description: str
    category: str
    source: Literal["S", "X"]
    likelihood: Annotated[int, Field(ge=1, le=5)]
    impact: Annotated[int, Field(ge=1, le=5)]
    treatments: tuple[Literal["mitigate", "transfer", "avoid", "accept"], ...]
    treatment_note: str | None = None
    residual_likelihood: Annotated[int, Field(ge=1, le=5)]
    residual_impact: Annotated[int, Field(ge=1, le=5)]
    playbooks: tuple[str, ...]
    controls: tuple[str, ...]
    maps_to: tuple[str, ...]


class _Seeds(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key_indicators: tuple[str, ...]
    risks: tuple[_SeedRow, ...]


@cache
def _seeds() -> _Seeds:
    return _Seeds.model_validate(shipped("risks.yaml"))


@cache
def register() -> tuple[Risk, ...]:
    """The register a new tenant starts with, AR-001 to AR-010, open, not yet owned nor reviewed."""
    return tuple(_seed(row) for row in _seeds().risks)


def key_indicators() -> tuple[str, ...]:
    """Suggested key risk indicators, for a tenant to choose from."""
    return _seeds().key_indicators


def _seed(row: _SeedRow) -> Risk:
    values = row.model_dump(exclude={"source", "treatment_note"})
    plan: dict[str, Any] | None = {"actions": [], "note": row.treatment_note} if row.treatment_note else None
    risk = Risk(**values, treatment_plan=plan)
    if risk.residual_likelihood > risk.likelihood or risk.residual_impact > risk.impact:
        raise ValueError(f"{risk.ref}: a residual score exceeds the inherent one")
    return risk
