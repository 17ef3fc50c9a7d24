"""What proves an incident: timeline, evidence, duties, control occurrences, signatures, exceptions."""

from app.nouns.columns import LISTED, instants, permitted, plain
from app.statements import Field, Filter, Group, Many, Noun, One, Sort, declare

OF_INCIDENT = {"incident": Filter("{t}.incident_id = {v}::uuid")}
DATA = (
    "left join event_data {t}_data on {t}_data.tenant_id = {t}.tenant_id and {t}_data.stream = {t}.stream"
    " and {t}_data.stream_id = {t}.stream_id and {t}_data.seq = {t}.seq"
)
ACTOR = "left join people {t}_actor on {t}_actor.tenant_id = {t}.tenant_id and {t}_actor.id = {t}.actor_id"
MET = "coalesce({t}.met_occurred_at,{t}.met_at)"
OCCURRENCE_STATE = (
    "case when {t}.voided_at is not null then 'voided' when {t}.skipped_at is not null then 'skipped'"
    f" when {MET} is not null then case when {MET} <= {{t}}.breach_at then 'met' else 'met_late' end"
    " when {now} > {t}.breach_at then 'breached' else 'expected' end"
)
OF_STEP = (
    "{t}.tenant_id = {p}.tenant_id and {t}.incident_id = {p}.incident_id and {t}.generation = {p}.generation"
    " and {t}.id = {p}.step_id"
)
# What was attached to the actions of the step, or named when one was completed.
PROVING_EVIDENCE = (
    "{t}.tenant_id = {p}.tenant_id and {t}.incident_id = {p}.incident_id and exists (select 1 from action_runs a"
    " where a.tenant_id = {p}.tenant_id and a.incident_id = {p}.incident_id and a.generation = {p}.generation"
    " and a.step_id = {p}.step_id and (a.id = {t}.action_id or {t}.id = any(a.evidence_ids)))"
)
# An event and the columns that it changed carry the same instant of recording.
PROVING_EVENTS = (
    "{t}.tenant_id = {p}.tenant_id and {t}.stream = 'incident' and {t}.stream_id = {p}.incident_id"
    " and {t}.recorded_at in ({p}.met_at,{p}.skipped_at,{p}.voided_at,{p}.breached_announced_at)"
    " and ({t}.kind in ('incident.acknowledged','incident.assigned','incident.declared','incident.reported',"
    "'incident.rejected','incident.reclassified','incident.closed','sign_off.signed')"
    " or {t}.kind in ('step.completed','step.skipped','sla.breached','sla.revised')"
    " and {t}_data.data->>'step_id' is not distinct from {p}.step_id)"
)

declare(
    Noun(
        name="timeline_event",
        identity="{t}.stream_id||':'||{t}.seq",
        table="events",
        key="{t}.seq",
        key_type="integer",
        fields=plain("stream stream_id seq kind data_digest prev_hash hash")
        | instants("occurred_at recorded_at")
        | {
            "actor": Group(
                {
                    "kind": Field("{t}.actor_kind"),
                    "id": Field("{t}.actor_id"),
                    "name": Field("{t}_actor.name"),
                }
            ),
            # `changes` is how rows are rebuilt; the reader sees the rows themselves.
            "data": Field("{t}_data.data - 'changes'"),
            "erased": Field("({t}_data.seq is null)"),
        },
        joins={"data": DATA, "actor": ACTOR},
        filters={
            "incident": Filter("{t}.stream = 'incident' and {t}.stream_id = {v}::uuid"),
            "stream": Filter("{t}.stream = {v}::text"),
            "stream_id": Filter("{t}.stream_id = {v}::uuid"),
            "kind": Filter("{t}.kind = any({v}::text[])"),
            "after": Filter("{t}.seq > {v}::integer"),
            "seq": Filter("{t}.seq = {v}::integer"),
        },
        sorts={"seq": Sort("{t}.seq", "integer")},
        sort="seq",
    )
)

declare(
    Noun(
        name="evidence",
        table="evidence",
        fields=plain(
            "id incident_id action_id kind title filename sha256 size media_type sensitivity legal_hold "
            "collected_by collected_from collection_method supersedes_id redacted_copy_of_id custody"
        )
        | instants("collected_at attached_at")
        | {"attached_by": Group({"kind": Field("{t}.attached_by_kind"), "id": Field("{t}.attached_by_id")})},
        filters=OF_INCIDENT
        | {
            "action": Filter("{t}.action_id = {v}::text"),
            "kind": Filter("{t}.kind = any({v}::text[])"),
            "sha256": Filter("{t}.sha256 = {v}::text"),
        },
        sorts={"attached_at": Sort("{t}.attached_at", "timestamptz")},
        sort="attached_at",
    )
)

declare(
    Noun(
        name="obligation",
        table="obligations",
        fields=plain(
            "id rule_id rule_version client_id toward owed_by outcome because missing_facts recipient channel "
            "content_requirements citation as_of confidence clock_event pending_clock decision rationale "
            "opinion_reference decided_by carried_follow_up_id delay"
        )
        | instants("clock_started_at due_at guideline_due_at original_due_at decided_at notified_at")
        | {
            "incident": One("incident", "{t}.tenant_id = {p}.tenant_id and {t}.id = {p}.incident_id"),
            "allowed_transitions": permitted("{t}.allowed"),
            "disclaimer": Field("'decision support, not legal advice'::text"),
            "state": Field(
                "case when {t}.notified_at is not null then 'notified' when {t}.decision in ('open','notify')"
                " and {t}.outcome <> 'not_triggered' and {now} > {t}.due_at then 'overdue' else {t}.decision end"
            ),
        },
        filters=OF_INCIDENT
        | {
            "id": Filter("{t}.id = {v}::uuid"),
            "client_id": Filter("{t}.client_id = {v}::uuid"),
            "decision": Filter("{t}.decision = any({v}::text[])"),
            "outcome": Filter("{t}.outcome = any({v}::text[])"),
        },
        sorts={"due": Sort(LISTED, "timestamptz")},
        sort="due",
        clocked=True,
    )
)

declare(
    Noun(
        name="control_occurrence",
        table="control_occurrences",
        fields=plain("id incident_id control step_id purpose expected_of generation playbook_slug exercise")
        | instants("discovered_at due_at breach_at met_at met_occurred_at skipped_at voided_at")
        | {
            "state": Field(OCCURRENCE_STATE),
            "number": Field("{t}_incident.number"),
            "severity": Field("{t}_incident.severity"),
            "incident_status": Field("{t}_incident.status"),
            "disposition": Field("{t}_incident.disposition"),
            "client_ids": Field("{t}_incident.client_ids"),
            "step": One("step", OF_STEP),
            "evidence": Many("evidence", PROVING_EVIDENCE, "{t}.attached_at, {t}.id", 50),
            "events": Many("timeline_event", PROVING_EVENTS, "{t}.seq", 20),
        },
        joins={
            "incident": "left join incidents {t}_incident"
            " on {t}_incident.tenant_id = {t}.tenant_id and {t}_incident.id = {t}.incident_id"
        },
        filters=OF_INCIDENT
        | {
            "control": Filter("{t}.control = {v}::text"),
            "discovered_at_from": Filter("{t}.discovered_at >= {v}::timestamptz"),
            "discovered_at_to": Filter("{t}.discovered_at < {v}::timestamptz"),
            "due_at_from": Filter("{t}.due_at >= {v}::timestamptz"),
            "due_at_to": Filter("{t}.due_at < {v}::timestamptz"),
            "state": Filter(f"({OCCURRENCE_STATE}) = any({{v}}::text[])"),
            # Any but `met`: the index of the few others says so too, and a plan for any value has to be sure of it.
            "outcome": Filter("{t}.outcome = {v}::text and {t}.outcome <> 'met'"),
            "purpose": Filter("{t}.purpose = any({v}::text[])"),
            "playbook": Filter("{t}.playbook_slug = any({v}::text[])"),
            "exercise": Filter("{t}.exercise = {v}::boolean"),
            "severity": Filter(
                "exists (select 1 from incidents i where i.tenant_id = {t}.tenant_id and i.id = {t}.incident_id"
                " and i.severity = any({v}::text[]))"
            ),
            "client_id": Filter(
                "exists (select 1 from incident_clients c"
                " where c.tenant_id = {t}.tenant_id and c.incident_id = {t}.incident_id and c.client_id = {v}::uuid)",
                skewed=True,
            ),
        },
        sorts={
            "discovered_at": Sort("{t}.discovered_at", "timestamptz"),
            "due_at": Sort("{t}.due_at", "timestamptz"),
        },
        sort="due_at",
        clocked=True,
    )
)

declare(
    Noun(
        name="signature",
        table="signatures",
        fields=plain("id round person_id role statement record_hash override") | instants("signed_at voided_at"),
        filters=OF_INCIDENT,
        sorts={"signed_at": Sort("{t}.signed_at", "timestamptz")},
        sort="signed_at",
    )
)

declare(
    Noun(
        name="exception",
        table="incident_exceptions",
        fields=plain("id incident_id kind gate step_id action_id person_id reason details") | instants("at"),
        filters=OF_INCIDENT
        | {
            "kind": Filter("{t}.kind = any({v}::text[])"),
            "from": Filter("{t}.at >= {v}::timestamptz"),
            "to": Filter("{t}.at < {v}::timestamptz"),
        },
        sorts={"at": Sort("{t}.at", "timestamptz")},
        sort="at",
    )
)
