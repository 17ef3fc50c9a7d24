"""For whom obligations are evaluated: the incident as a whole, and each affected client, with what is known of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct, msgpack

from domain.contract_notices import ContractClause
from domain.obligation_findings import Asking, upper
from domain.obligation_rules import catalogue, covers

MAINTAINER_ROLES = frozenset({"processor", "business_associate"})
OWNER_ROLES = frozenset({"controller", "covered_entity"})


class ClientProfile(Struct, frozen=True, kw_only=True):
    """An affected client as the rules need to know it. Roles are OUR roles for its data; None is unknown."""

    id: UUID
    name: str = ""
    hipaa_role: str | None = None  # covered_entity | business_associate | none
    gdpr_role: str | None = None  # controller | processor | none
    data_role: str | None = None  # owner | maintainer | none; follows from the other two when unset
    sectors: tuple[str, ...] | None = None
    jurisdictions: tuple[str, ...] = ()
    clauses: tuple[ContractClause, ...] = ()


class Party(NamedTuple):
    """Whom a rule is evaluated for: a client, or None for the incident as a whole, and what is known about it."""

    client: ClientProfile | None
    ask: Asking


def parties(
    known: Mapping[str, Any], clients: Sequence[ClientProfile], organisation: Mapping[str, Any]
) -> tuple[Party, list[Party]]:
    """The incident as a whole, and each affected client. `known` is what all of them share.

    Remembered: on the same facts every condition gives the same, whichever incident asks.
    """
    key = msgpack.encode((known, clients, organisation), order="sorted")
    found = _remembered.get(key)
    if found is None:
        if len(_remembered) >= REMEMBERED_AT_MOST:
            _remembered.clear()
        found = _remembered[key] = _parties(known, clients, organisation)
    return found


REMEMBERED_AT_MOST = 256
_remembered: dict[bytes, tuple[Party, list[Party]]] = {}


def _parties(
    known: Mapping[str, Any], clients: Sequence[ClientProfile], organisation: Mapping[str, Any]
) -> tuple[Party, list[Party]]:
    shared = dict(known)
    if organisation.get("sectors") is not None:
        shared["sectors"] = list(organisation["sectors"])
    if organisation.get("ai_act_role") is not None:
        shared["ai_act_role"] = organisation["ai_act_role"]
    seats = tuple(organisation.get("jurisdictions") or ())
    everywhere = [*seats, *(code for client in clients for code in client.jurisdictions)]
    whole = Party(None, Asking(shared | _own_names(clients, organisation) | _territories(known, everywhere)))
    return whole, [
        Party(client, Asking(shared | _client_names(client) | _territories(known, (*seats, *client.jurisdictions))))
        for client in clients
    ]


def _territories(known: Mapping[str, Any], seats: Iterable[str]) -> dict[str, bool]:
    """Whether people or a seat are in each territory. Left out while nobody has said where the people live."""
    places = known.get("residents_by_jurisdiction")
    there = [*seats, *(place for place, count in (places or {}).items() if upper(count) > 0)]
    answers = {name: any(covers(codes, code) for code in there) for name, codes in catalogue().territories.items()}
    return {name: answer for name, answer in answers.items() if answer or places is not None}


def _client_names(client: ClientProfile) -> dict[str, Any]:
    names: dict[str, Any] = _roles(client.hipaa_role, client.gdpr_role, client.data_role)
    if client.sectors is not None:
        names["client_sectors"] = list(client.sectors)
    return names


def _own_names(clients: Sequence[ClientProfile], organisation: Mapping[str, Any]) -> dict[str, Any]:
    """Roles for the incident as a whole: of several clients' the one that brings a duty to us; without any our own."""
    if not clients:
        own = (organisation.get("hipaa_role"), organisation.get("gdpr_role"), organisation.get("data_role"))
        return _roles(*own)
    named = [_client_names(client) for client in clients]
    roles: dict[str, Any] = {}
    for kind in ("hipaa_role", "gdpr_role", "data_role"):
        held = {names.get(kind) for names in named}
        ours = held & (OWNER_ROLES | {"owner"})
        if ours or len(held) == 1:
            roles[kind] = next(iter(ours or held))
    return {kind: role for kind, role in roles.items() if role is not None}


def _roles(hipaa_role: str | None, gdpr_role: str | None, data_role: str | None) -> dict[str, Any]:
    """The known roles. Who is processor or business associate maintains the data, who is controller owns it."""
    held = {hipaa_role, gdpr_role}
    if data_role is None and held & OWNER_ROLES:
        data_role = "owner"
    elif data_role is None and held & MAINTAINER_ROLES:
        data_role = "maintainer"
    roles = {"hipaa_role": hipaa_role, "gdpr_role": gdpr_role, "data_role": data_role}
    return {name: role for name, role in roles.items() if role is not None}
