"""Every deviation an auditor looks at: those of incidents, and late reviews of the registers of risks and tools."""

from app.nouns.columns import instants, plain
from app.statements import Field, Filter, Group, Noun, Sort, declare

# A late review is told by an event of its own stream, and the frame of an event never goes.
_EVERY = """(
select x.tenant_id, x.id::text as id, x.kind, 'incident'::text as source, x.incident_id, i.number, i.exercise,
  null::uuid as risk_id, null::uuid as tool_id, x.gate, x.step_id, x.action_id, x.person_id, x.reason, x.details, x.at
from incident_exceptions x join incidents i on i.tenant_id = x.tenant_id and i.id = x.incident_id
union all
select e.tenant_id, e.stream_id::text||':'||e.seq, 'late_review', e.stream, null, null, false,
  case e.stream when 'risk' then e.stream_id end, case e.stream when 'tool' then e.stream_id end,
  null, null, null, null, 'The review fell due and had not been done.', d.data - 'changes', e.occurred_at
from events e left join event_data d on d.tenant_id = e.tenant_id and d.stream = e.stream
  and d.stream_id = e.stream_id and d.seq = e.seq
where e.kind in ('risk.review_late', 'tool.review_overdue'))"""

declare(
    Noun(
        name="audit_exception",
        table=_EVERY,
        key_type="text",
        fields=plain("id kind source exercise risk_id tool_id gate step_id action_id person_id reason details")
        | instants("at")
        | {"incident": Group({"id": Field("{t}.incident_id"), "number": Field("{t}.number")})},
        filters={
            "kind": Filter("{t}.kind = any({v}::text[])"),
            "source": Filter("{t}.source = any({v}::text[])"),
            "exercise": Filter("{t}.exercise = {v}::boolean"),
            "from": Filter("{t}.at >= {v}::timestamptz"),
            "to": Filter("{t}.at < {v}::timestamptz"),
        },
        sorts={"at": Sort("{t}.at", "timestamptz")},
        sort="at",
    )
)
