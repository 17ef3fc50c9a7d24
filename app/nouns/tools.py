"""The register of AI tools as it is read."""

from app.nouns.columns import instants, plain
from app.statements import Field, Filter, Many, Noun, Sort, declare

declare(
    Noun(
        name="tool",
        table="tools",
        fields=plain(
            "id version name vendor domains extension_ids service status owner_id intended_use approved_uses "
            "approved_data_classes conditions conditions_from acknowledgement_required blocked_domains "
            "blocked_extension_ids report_type report_period_start report_period_end requested_by_kind requested_by_id"
        )
        | instants("block_requested_at block_confirmed_at review_due_at review_overdue_at created_at updated_at")
        | {
            "assessments": Many(
                "tool_assessment",
                "{t}.tenant_id = {p}.tenant_id and {t}.tool_id = {p}.id",
                "{t}.started_at desc, {t}.id desc",
            ),
            "decisions": Many(
                "tool_decision",
                "{t}.tenant_id = {p}.tenant_id and {t}.tool_id = {p}.id",
                "{t}.proposed_at desc, {t}.id desc",
            ),
        },
        filters={
            "status": Filter("{t}.status = any({v}::text[])"),
            "vendor": Filter("lower({t}.vendor) = lower({v}::text)"),
            "owner": Filter("{t}.owner_id = {v}::uuid"),
            "domain": Filter("lower({v}::text) = any({t}.domains)"),
            "review_due_before": Filter("{t}.review_due_at < {v}::timestamptz"),
            "q": Filter(
                "not exists (select 1 from unnest({v}::text[]) w where position(w in lower(concat_ws(' ', {t}.name,"
                " {t}.vendor, {t}.intended_use, array_to_string({t}.domains || {t}.extension_ids, ' ')))) = 0)"
            ),
        },
        sorts={"name": Sort("{t}.name_key", "text"), "updated_at": Sort("{t}.updated_at", "timestamptz")},
        sort="name",
    )
)

declare(
    Noun(
        name="tool_assessment",
        table="tool_assessments",
        fields=plain("id tool_id status answers personal_data suggested incident_id started_by")
        | instants("started_at completed_at decided_at"),
        filters={"tool": Filter("{t}.tool_id = {v}::uuid")},
        sorts={"started_at": Sort("{t}.started_at", "timestamptz")},
        sort="-started_at",
    )
)

declare(
    Noun(
        name="tool_decision",
        table="tool_decisions",
        fields=plain(
            "id tool_id assessment_id incident_id action_id outcome status reason status_before status_after suggested "
            "artifact approvals proposed_by rejection"
        )
        | instants("proposed_at decided_at")
        | {"tool_name": Field("{t}_tool.name")},
        joins={"tool": "join tools {t}_tool on {t}_tool.tenant_id = {t}.tenant_id and {t}_tool.id = {t}.tool_id"},
        filters={
            "tool": Filter("{t}.tool_id = {v}::uuid"),
            "id": Filter("{t}.id = {v}::uuid"),
            "outcome": Filter("{t}.outcome = any({v}::text[])"),
            "status": Filter("{t}.status = any({v}::text[])"),
            "incident": Filter("{t}.incident_id = {v}::uuid"),
            "decided_from": Filter("{t}.decided_at >= {v}::timestamptz"),
            "decided_to": Filter("{t}.decided_at < {v}::timestamptz"),
        },
        sorts={"proposed_at": Sort("{t}.proposed_at", "timestamptz")},
        sort="-proposed_at",
    )
)
