"""What people do around an incident: notifications and follow-ups."""

from app.nouns.columns import instants, permitted, plain
from app.statements import Field, Filter, Noun, One, Sort, declare

OF_INCIDENT = {"incident": Filter("{t}.incident_id = {v}::uuid")}
OF_ITS_INCIDENT = One("incident", "{t}.tenant_id = {p}.tenant_id and {t}.id = {p}.incident_id")

declare(
    Noun(
        name="notification",
        table="notifications",
        fields=plain(
            "id incident_id version kind status audience action_id client_id obligation_id channel "
            "recipients subject body corrects_evidence_id author_id approved_by sent_by proof_evidence_id "
            "content_hash reason approvals"
        )
        | instants("created_at due_at submitted_at approved_at sent_at sent_recorded_at acknowledged_at")
        | {
            "allowed_transitions": permitted("{t}.allowed"),
            "incident": OF_ITS_INCIDENT,
            # Shown while a gate refuses sending; never stored.
            "held": Field(
                "exists (select 1 from json_array_elements({t}.allowed->'@') a"
                " where a->>'transition' = 'record_sent' and a->>'permit' = 'gate')"
            ),
        },
        filters=OF_INCIDENT
        | {"id": Filter("{t}.id = {v}::uuid")}
        | {"kind": Filter("{t}.kind = any({v}::text[])"), "status": Filter("{t}.status = any({v}::text[])")},
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
        clocked=True,
    )
)

declare(
    Noun(
        name="follow_up",
        table="follow_ups",
        fields=plain(
            "id incident_id title owner_id status reason action_id control risk obligation_id "
            "outside_reviewer created_by"
        )
        | instants("due_at created_at done_at")
        | {
            "state": Field(
                "case when {t}.status in ('open','in_progress') and {now} > {t}.due_at"
                " then 'overdue' else {t}.status end"
            )
        },
        filters=OF_INCIDENT
        | {"id": Filter("{t}.id = {v}::uuid")}
        | {"owner": Filter("{t}.owner_id = {v}::uuid"), "status": Filter("{t}.status = any({v}::text[])")},
        sorts={"due_at": Sort("{t}.due_at", "timestamptz")},
        sort="due_at",
        clocked=True,
    )
)
