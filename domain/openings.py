"""Incidents that an action of another one opens: what they carry over from it."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from domain.actors import Actor
from domain.changes import Change, Opening, Surroundings
from domain.links import RELATED, add_link
from domain.playbooks import Playbook
from domain.record import Record
from domain.reporting import TITLE_AT_MOST, Intake, Report, open_report


def open_linked(
    origin: Record,
    opening: Opening,
    playbook: Playbook,
    actor: Actor,
    now: datetime,
    around: Surroundings,
    new_id: Callable[[], UUID],
) -> Change:
    """Report the incident that an action of `origin` calls for, declared where the caller may, and tie it back.

    It carries the clients, the AI systems and the discovery: instant, precision, by whom and how. Counting from the
    earlier discovery is the cautious reading for clocks of law; `risk_owner` may correct it with a reason.
    """
    header = origin.incident
    because = f"Opened by {opening.action_id} of {header.number}."
    report = Report(
        title=f"{playbook.title}: {header.title}"[:TITLE_AT_MOST],
        summary=because,
        playbook=playbook.slug,
        discovered_at=header.discovered_at,
        discovered_at_precision=header.discovered_at_precision,
        discovery_method=header.discovery_method,
        client_ids=[client for client in header.client_ids if client in around.clients],
        ai_systems=list((origin.documents["D03"].value or {}).get("entries", ())),
        ai_elements=list(header.ai_elements),
        primary_risk=playbook.primary_risk or header.primary_risk,
        exercise=header.exercise,
    )
    suggestion = {"slug": playbook.slug, "because": because}
    intake = Intake(id=opening.id, playbook=playbook, suggestion=suggestion, suggested=playbook)
    change = open_report(report, intake, actor, now, around, new_id)
    made = change.record.incident
    made.discovered_by_id, made.discovered_by_name = header.discovered_by_id, header.discovered_by_name
    made.discovery_note, made.discovery_confirmed = header.discovery_note, header.discovery_confirmed
    add_link(change, header.id, RELATED, because)
    return change
