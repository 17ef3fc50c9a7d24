"""Steps, actions and documentation of an incident. Their texts come from the playbook version the incident pins."""

from app.nouns.columns import instants, permitted, pinned, plain, sla_state
from app.statements import Field, Filter, Group, Many, Noun, One, Sort, declare

OF_INCIDENT = {"incident": Filter("{t}.incident_id = {v}::uuid")}
# Runs of a playbook that was reclassified away stay stored; a list shows those of the present one.
OF_GENERATION = {
    "incident": Filter(
        "{t}.incident_id = {v}::uuid and {t}.generation = (select i.generation from incidents i"
        " where i.tenant_id = {t}.tenant_id and i.id = {v}::uuid)"
    )
}
CATALOGUE = "left join playbook_steps {t}_text on {t}_text.hash = {t}.playbook_hash and {t}_text.id = {t}.id"
STEP_TEXTS = "phase title summary owner_roles controls controls_suggested"
ACTION_TEXTS = (
    "text type required_if outcomes inputs fills role closing approvals_from approvals_when opens source basis"
)

# A deadline of a skipped step stands still at the moment it was skipped.
STATE = sla_state("coalesce({t}.completed_occurred_at,{t}.completed_at)", "coalesce({t}.skipped_at,{now})")
RECORDED_STATE = (
    "case when {t}.completed_at is null then null when {t}.completed_at <= {t}.breach_at then 'met' else 'met_late' end"
)

declare(
    Noun(
        name="step",
        identity="{t}.incident_id||':'||{t}.id",
        table="step_runs",
        key="{t}.id",
        key_type="text",
        fields=plain(
            "id generation position status assignee_id added_roles completed_by reopened_by first_result late_entry "
            "earlier_deadlines"
        )
        | instants("started_at completed_at completed_occurred_at skipped_at")
        | {
            "assignee": Field("{t}.assignee_id"),
            **pinned(STEP_TEXTS),
            "sla": Group(
                instants("clock_started_at at_risk_at due_at")
                | {
                    "state": Field(STATE),
                    "recorded_state": Field(RECORDED_STATE),
                    "kind": Field("{t}_text.sla->>'kind'"),
                    "value": Field("{t}_text.sla->>'value'"),
                }
            ),
            "allowed_transitions": permitted("{t}.allowed"),
            "incident": One("incident", "{t}.tenant_id = {p}.tenant_id and {t}.id = {p}.incident_id"),
            "actions": Many(
                "action",
                "{t}.tenant_id = {p}.tenant_id and {t}.incident_id = {p}.incident_id"
                " and {t}.generation = {p}.generation and {t}.step_id = {p}.id",
                "{t}.position, {t}.id",
            ),
        },
        joins={"text": CATALOGUE},
        filters=OF_GENERATION | {"id": Filter("{t}.id = {v}::text")},
        sorts={"position": Sort("{t}.position", "integer")},
        sort="position",
        clocked=True,
    )
)

declare(
    Noun(
        name="action",
        identity="{t}.incident_id||':'||{t}.id",
        table="action_runs",
        key="{t}.id",
        key_type="text",
        fields=plain(
            "id step_id generation position requirement status outcome values note reason recorded_by "
            "performed_by late_entry evidence_ids approvals"
        )
        | instants("due_at occurred_at recorded_at")
        | {
            **pinned(ACTION_TEXTS),
            "linked_incidents": Many(
                "link",
                "{t}.tenant_id = {p}.tenant_id and {t}.incident_id = {p}.incident_id"
                " and {t}.action_id = {p}.id and {t}.released_at is null",
                "{t}.created_at, {t}.id",
            ),
            "allowed_transitions": permitted("{t}.allowed"),
            "incident": One("incident", "{t}.tenant_id = {p}.tenant_id and {t}.id = {p}.incident_id"),
            "step": One(
                "step",
                "{t}.tenant_id = {p}.tenant_id and {t}.incident_id = {p}.incident_id"
                " and {t}.generation = {p}.generation and {t}.id = {p}.step_id",
            ),
        },
        filters=OF_GENERATION | {"id": Filter("{t}.id = {v}::text"), "step": Filter("{t}.step_id = {v}::text")},
        sorts={"position": Sort("({t}.step_id || ' ' || lpad({t}.position::text, 4, '0'))", "text")},
        sort="position",
    )
)

declare(
    Noun(
        name="document",
        identity="{t}.incident_id||':'||{t}.id",
        table="documents",
        key="{t}.id",
        key_type="text",
        fields=plain("id name value state missing version updated_by") | instants("updated_at"),
        filters=OF_INCIDENT | {"id": Filter("{t}.id = {v}::text"), "name": Filter("{t}.name = {v}::text")},
        sorts={"id": Sort("{t}.id", "text")},
        sort="id",
    )
)
