"""The risk register as it is read."""

from app.nouns.columns import instants, plain
from app.statements import Field, Filter, Many, Noun, Sort, declare
from domain.risks import BANDS


def _band(score: str) -> str:
    """The band of a score, by the limits of `domain.risks`."""
    bands = " ".join(f"when {score} >= {least} then '{band}'" for least, band in BANDS)
    return f"case {bands} end"


INHERENT = "({t}.likelihood * {t}.impact)"
RESIDUAL = "({t}.residual_likelihood * {t}.residual_impact)"
REVIEW_LATE = "({t}.status <> 'closed' and coalesce({now} > {t}.next_review_at, false))"

declare(
    Noun(
        name="risk",
        table="risks",
        key="{t}.ref",
        key_type="text",
        fields=plain(
            "ref id version title description category owner_id status likelihood impact residual_likelihood "
            "residual_impact treatments treatment_plan acceptance controls playbooks maps_to kris"
        )
        | instants("last_reviewed_at next_review_at late_review_announced_at created_at updated_at")
        | {
            "review_late": Field(REVIEW_LATE),
            "inherent_score": Field(INHERENT),
            "inherent_band": Field(_band(INHERENT)),
            "residual_score": Field(RESIDUAL),
            "residual_band": Field(_band(RESIDUAL)),
            "revisions": Many(
                "risk_revision", "{t}.tenant_id = {p}.tenant_id and {t}.risk_ref = {p}.ref", "{t}.at desc, {t}.id desc"
            ),
        },
        filters={
            "status": Filter("{t}.status = any({v}::text[])"),
            "category": Filter("{t}.category = {v}::text"),
            "owner": Filter("{t}.owner_id = {v}::uuid"),
            "band": Filter(f"{_band(RESIDUAL)} = any({{v}}::text[])"),
            "review_late": Filter(f"{REVIEW_LATE} = {{v}}::boolean"),
        },
        sorts={"ref": Sort("{t}.ref", "text")},
        sort="ref",
        clocked=True,
    )
)

declare(
    Noun(
        name="risk_revision",
        table="risk_revisions",
        fields=plain(
            "id risk_ref incident_id decision status proposal before after reason cause outcome author_id "
            "decided_by decision_reason"
        )
        | instants("at decided_at"),
        filters={
            "id": Filter("{t}.id = {v}::uuid"),
            "risk": Filter("{t}.risk_ref = {v}::text"),
            "status": Filter("{t}.status = any({v}::text[])"),
            "incident": Filter("{t}.incident_id = {v}::uuid"),
        },
        sorts={"at": Sort("{t}.at", "timestamptz")},
        sort="-at",
    )
)
