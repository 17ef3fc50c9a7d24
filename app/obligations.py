"""Obligations before there is an incident: what the rules would say to hypothetical facts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from msgspec import structs, to_builtins

from app.authentication import Principal
from app.database import Db
from app.directory import client_profile, directory
from app.ids import new_id
from app.rights import require, require_inside
from domain.obligation_previews import Hypothesis, preview
from domain.obligation_rules import catalogue
from domain.obligations import ClientProfile, Outcome
from domain.refusals import InputError, Invalid

DISCLAIMER = "decision support, not legal advice"
INTERNAL = ("is_near",)


async def preview_obligations(
    db: Db,
    principal: Principal,
    *,
    facts: Mapping[str, Any],
    client_ids: Sequence[UUID] | None,
    clients: Sequence[Mapping[str, Any]] | None,
    organisation: Mapping[str, Any],
    discovered_at: datetime | None,
    playbook: str | None,
    everything: bool,
) -> dict[str, Any]:
    """Run all rules over supposed facts; nothing is stored.

    `clients` are profiles that no client of the tenant has, `organisation` what to suppose in place of the settings.
    Raises Forbidden, Invalid for facts that do not fit and for clients that the caller may not see.
    """
    require(principal, "obligation.preview")
    require_inside(principal)
    now = datetime.now(UTC)
    about = await directory(db, principal)
    stored = [_client(about.clients, principal, at, one) for at, one in enumerate(client_ids or ())]
    supposed = [client_profile({"id": str(new_id()), **one}) for one in clients or ()]
    said = client_ids is not None or clients is not None
    found = preview(
        Hypothesis(
            facts=facts,
            clients=[*stored, *supposed] if said else None,
            organisation={**about.settings.organisation, **organisation},
            discovered_at=discovered_at or now,
            playbook=playbook,
        ),
        now=now,
        calendar=about.settings.calendar,
        guideline=about.settings.notice_guideline,
        everything=everything,
    )
    names = {client.id: client.name for client in (*stored, *supposed)}
    unstored = {client.id for client in supposed}
    return {
        "disclaimer": DISCLAIMER,
        "rules_version": catalogue().version,
        "outcomes": [_told(outcome, names, unstored) for outcome in found.outcomes],
        "unasked": to_builtins(found.unasked),
    }


def _client(clients: Mapping[UUID, ClientProfile], principal: Principal, at: int, wanted: UUID) -> ClientProfile:
    """A client of the tenant; one beyond the caller's limit reads like one that does not exist."""
    is_visible = principal.client_ids is None or wanted in principal.client_ids
    if not is_visible or wanted not in clients:
        raise Invalid("There is no such client.", errors=[InputError(f"/client_ids/{at}", "no such client")])
    return clients[wanted]


def _told(outcome: Outcome, names: Mapping[UUID, str], unstored: set[UUID]) -> dict[str, Any]:
    rule = catalogue().get(outcome.rule_id)
    assert rule is not None, "an outcome comes from a rule"
    told = {name: value for name, value in structs.asdict(outcome).items() if name not in INTERNAL}
    client = outcome.client_id
    return told | {
        "title": rule.row.title,
        "client_id": None if client in unstored else client,
        "client_name": names[client] if client is not None else None,
        "disclaimer": DISCLAIMER,
    }
