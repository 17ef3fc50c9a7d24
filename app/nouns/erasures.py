"""Erasures: what was asked to be taken out of a record, and who decided."""

from app.nouns.columns import instants, plain
from app.statements import Field, Filter, Noun, Sort, declare

declare(
    Noun(
        name="erasure",
        table="erasures",
        fields=plain("id incident_id event_seqs fields reason requested_by")
        | instants("requested_at executed_at rejected_at")
        | {
            "state": Field(
                "case when {t}.executed_at is not null then 'executed' when {t}.rejected_at is not null then 'rejected'"
                " else 'requested' end"
            ),
            "decided_by": Field("coalesce({t}.approved_by, {t}.rejected_by)"),
        },
        filters={"incident": Filter("{t}.incident_id = {v}::uuid")},
        sorts={"requested_at": Sort("{t}.requested_at", "timestamptz")},
        sort="requested_at",
    )
)
