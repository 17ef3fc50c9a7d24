"""Incidents: the header, its lists and counts, and everything that hangs from it."""

import re
from uuid import UUID

from app.nouns.columns import LISTED, instants, permitted, plain
from app.statements import Field, Filter, Group, Many, Member, Noun, One, Sort, declare

NUMBER = re.compile(r"(INC|EX)-[1-9][0-9]{0,9}")
OF_INCIDENT = "{t}.tenant_id = {p}.tenant_id and {t}.incident_id = {p}.id"
OF_GENERATION = f"{OF_INCIDENT} and {{t}}.generation = {{p}}.generation"
PLAYBOOK = "{t}.hash = {p}.playbook_hash"

# The worst state among the deadlines that run, triage before the declaration: the write keeps the earliest of each.
SLA_STATE = (
    "case when {now} > {t}.next_breach_at then 'breached' when {now} > {t}.next_at_risk_at then 'at_risk'"
    " when {t}.next_breach_at is not null then 'on_track' end"
)
WORD = (
    "exists (select 1 from incident_words w"
    " where w.tenant_id = {t}.tenant_id and w.incident_id = {t}.id and w.word = {v}::text)"
)


def carried(table: str, predicate: str, *, each: bool = False) -> Filter:
    """A filter by the rows of `table`, which carry the number of their incident and so stand in the order of lists."""
    join = (
        f"join {table} {{f}} on {{f}}.tenant_id = {{t}}.tenant_id and {{f}}.incident_id = {{t}}.id"
        f" and {{f}}.number_order = {{t}}.number_order and {predicate}"
    )
    return Filter(join, each=each, skewed=True, ordered="number")


FIELDS: dict[str, Member] = {
    **plain(
        "id number exercise version generation status status_before_hold title summary severity "
        "severity_basis severity_highest severity_adjustment playbook_slug playbook_version "
        "playbook_hash suggested_playbook primary_risk discovered_at_precision discovery_method "
        "discovery_note discovery_confirmed opened_by_kind opened_by_id source_id acknowledged_by "
        "disposition workflow_status hold reopened close_asked client_ids ai_elements labels impact_types facts "
        "severity_hint person_concerned person_concerned_id person_concerned_note assignee_id "
        "current_step provisional_deadlines"
    ),
    **instants(
        "discovered_at reported_at triage_due_at acknowledged_at declared_at contained_at "
        "post_incident_at closed_at rejected_at next_due_at"
    ),
    "allowed_transitions": permitted("{t}.allowed"),
    "sla_state": Field(SLA_STATE),
    "server_time": Field("instant({now})"),
    "discovered_by": Group({"id": Field("{t}.discovered_by_id"), "name": Field("{t}.discovered_by_name")}),
    "opened_by": Group({"kind": Field("{t}.opened_by_kind"), "id": Field("{t}.opened_by_id")}),
    "playbook": One("playbook", PLAYBOOK),
    "clients": Many("client", "{t}.tenant_id = {p}.tenant_id and {t}.id = any({p}.client_ids)", "{t}.name, {t}.id"),
    "evidence_count": Field(
        "(select count(*) from evidence e where e.tenant_id = {t}.tenant_id and e.incident_id = {t}.id)"
    ),
    "assignee": One("person", "{t}.tenant_id = {p}.tenant_id and {t}.id = {p}.assignee_id"),
    "participants": Many("participant", OF_INCIDENT, "{t}.added_at, {t}.person_id", 500),
    "external_references": Many("external_reference", OF_INCIDENT, "{t}.added_at, {t}.id"),
    "steps": Many("step", OF_GENERATION, "{t}.position"),
    "documentation": Many("document", OF_INCIDENT, "{t}.id"),
    "evidence": Many("evidence", OF_INCIDENT, "{t}.attached_at, {t}.id", 500),
    "notifications": Many("notification", OF_INCIDENT, "{t}.created_at, {t}.id"),
    "obligations": Many("obligation", OF_INCIDENT, f"{LISTED}, {{t}}.id", 500),
    "follow_ups": Many("follow_up", OF_INCIDENT, "{t}.due_at, {t}.id"),
    "links": Many("link", OF_INCIDENT, "{t}.created_at, {t}.id"),
    "signatures": Many("signature", OF_INCIDENT, "{t}.signed_at, {t}.id"),
    "exceptions": Many("exception", OF_INCIDENT, "{t}.at, {t}.id", 500),
    "control_occurrences": Many("control_occurrence", OF_INCIDENT, "{t}.due_at, {t}.id", 500),
}

OF_SLA = f"({SLA_STATE}) = any({{v}}::text[])"

INCIDENT = declare(
    Noun(
        name="incident",
        table="incidents",
        fields=FIELDS,
        filters={
            "number": Filter("{t}.number = {v}::text"),
            "ids": Filter("{t}.id = any({v}::uuid[])"),
            "status": Filter("{t}.status = any({v}::text[])"),
            "severity": Filter("{t}.severity = any({v}::text[])"),
            "playbook": Filter("{t}.playbook_slug = any({v}::text[])"),
            "assignee": Filter("{t}.assignee_id = {v}::uuid"),
            "exercise": Filter("{t}.exercise = {v}::boolean"),
            "client_id": carried("incident_clients", "{f}.client_id = {v}::uuid"),
            "label": carried("incident_labels", "{f}.label = {v}::text", each=True),
            "control": Filter(
                "exists (select 1 from control_occurrences o"
                " where o.tenant_id = {t}.tenant_id and o.incident_id = {t}.id and o.control = {v}::text)",
                skewed=True,
            ),
            "external_id": Filter(
                "exists (select 1 from external_references x"
                " where x.tenant_id = {t}.tenant_id and x.incident_id = {t}.id and x.external_id = {v}::text)"
            ),
            "system": Filter(
                "exists (select 1 from external_references x"
                " where x.tenant_id = {t}.tenant_id and x.incident_id = {t}.id and x.system = {v}::text)"
            ),
            "q": Filter(WORD, each=True, skewed=True),
            "sla_state": Filter(OF_SLA),
            "discovered_from": Filter("{t}.discovered_at >= {v}::timestamptz"),
            "discovered_to": Filter("{t}.discovered_at < {v}::timestamptz"),
            "reported_from": Filter("{t}.reported_at >= {v}::timestamptz"),
            "reported_to": Filter("{t}.reported_at < {v}::timestamptz"),
            "has_deadline": Filter("({t}.next_due_at is not null) = {v}::boolean"),
        },
        sorts={
            "number": Sort("{t}.number_order", "integer"),
            "reported_at": Sort("{t}.reported_at", "timestamptz"),
            # Incidents without a deadline come last; `infinity` says so to the cursor too.
            "next_due_at": Sort("least({t}.next_due_at,'infinity')", "timestamptz"),
        },
        sort="-number",
        groups={
            "status": "{t}.status",
            "severity": "{t}.severity",
            "playbook": "{t}.playbook_slug",
            "client_id": "{t}_client.client_id",
        },
        joins={
            "client": "left join incident_clients {t}_client"
            " on {t}_client.tenant_id = {t}.tenant_id and {t}_client.incident_id = {t}.id"
        },
        clocked=True,
    )
)

declare(
    Noun(
        name="playbook",
        table="playbook_versions",
        key="{t}.hash",
        key_type="text",
        fields=plain(
            "hash slug version title description status primary_risk risks severity_floor standards sources resolved"
        )
        | {"extends": Field("({t}.resolved->>'extends')")}
        | {"is_shipped": Field("{t}.tenant_id = '00000000-0000-0000-0000-000000000000'")}
        | instants("imported_at"),
        filters={"slug": Filter("{t}.slug = {v}::text"), "version": Filter("{t}.version = {v}::text")},
        sorts={"slug": Sort("({t}.slug || ' ' || {t}.version)", "text")},
        sort="slug",
    )
)

declare(
    Noun(
        name="participant",
        identity="{t}.incident_id||':'||{t}.person_id",
        table="participants",
        key="{t}.person_id",
        fields=plain("person_id roles involvement added_by")
        | instants("added_at")
        | {"name": Field("{t}_person.name")},
        joins={
            "person": "left join people {t}_person"
            " on {t}_person.tenant_id = {t}.tenant_id and {t}_person.id = {t}.person_id"
        },
        filters={
            "incident": Filter("{t}.incident_id = {v}::uuid"),
            "person": Filter("{t}.person_id = {v}::uuid"),
        },
        sorts={"added_at": Sort("{t}.added_at", "timestamptz")},
        sort="added_at",
    )
)

declare(
    Noun(
        name="external_reference",
        table="external_references",
        fields=plain("system instance key url source_id")
        | {"id": Field("{t}.external_id"), "reference_id": Field("{t}.id")}
        | instants("added_at"),
        filters={
            "incident": Filter("{t}.incident_id = {v}::uuid"),
            "reference": Filter("{t}.id = {v}::uuid"),
        },
        sorts={"added_at": Sort("{t}.added_at", "timestamptz")},
        sort="added_at",
    )
)

declare(
    Noun(
        name="link",
        table="incident_links",
        fields=plain("id linked_incident_id type action_id reason release_reason")
        | instants("created_at released_at")
        | {"number": Field("{t}_other.number"), "title": Field("{t}_other.title"), "status": Field("{t}_other.status")},
        joins={
            "other": "left join incidents {t}_other"
            " on {t}_other.tenant_id = {t}.tenant_id and {t}_other.id = {t}.linked_incident_id"
        },
        filters={"incident": Filter("{t}.incident_id = {v}::uuid"), "id": Filter("{t}.id = {v}::uuid")},
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
    )
)


def incident_key(text: str) -> tuple[str, UUID | str] | None:
    """How to find an incident named `text`: the `by` and the value of `read_one`; None when it can name no incident."""
    if NUMBER.fullmatch(text):
        return "number", text
    try:
        return "", UUID(text)
    except ValueError:
        return None
