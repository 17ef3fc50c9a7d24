"""How long it takes to run every rule of notification over one incident: processor time, the machine being shared."""

from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from time import process_time
from uuid import UUID

from bench.figures import Figure
from domain.contract_notices import ContractClause
from domain.deadlines import Calendar
from domain.facts import FACTS
from domain.obligation_rules import catalogue
from domain.obligations import ClientProfile, evaluate

RUNS, GROUPS = 60, 5  # each value shown is the median of a group
CLIENTS = 5
BUDGET_MS = 10.0
DISCOVERED = datetime(2026, 11, 2, 15, tzinfo=UTC)


def figures() -> Iterator[Figure]:
    """All rules over a large breach, and what the rules cost an incident of which nothing is known yet."""
    known = {
        "data_types": ["government_id", "phi", "customer_financial", "contact_data"],
        "personal_data": True,
        "phi": True,
        "encrypted": False,
        "significant_incident": True,
        "residents_by_jurisdiction": {f"US-{code}": 700 for code in _states()} | {"DE": 40, "GB": 5, "CA-QC": 9},
        "clients_affected": [str(client.id) for client in _clients()],
    }
    catalogue()  # read once when the service starts
    every = [_milliseconds({**known, "individuals_count": 10_000 + run}, everything=True) for run in range(RUNS)]
    said = [_milliseconds({**known, "individuals_count": 50_000 + run}) for run in range(RUNS)]
    nothing = [_milliseconds({"harm": run % 5}, clients=(), minute=run) for run in range(RUNS)]
    name = f"Obligations: all {len(catalogue().rules)} rules, {CLIENTS} clients"
    yield Figure(name, "ms", _grouped(every), BUDGET_MS, note="every rule answers, none from memory")
    yield Figure("Obligations: the same incident, as a write does it", "ms", _grouped(said), BUDGET_MS)
    yield Figure("Obligations: an incident of which nothing is known", "ms", _grouped(nothing))


def _grouped(times: list[float]) -> list[float]:
    return [median(times[first::GROUPS]) for first in range(GROUPS)]


def _states() -> list[str]:
    return [rule.id.removeprefix("OB-US-") for rule in catalogue().rules if len(rule.id) == len("OB-US-XX")]


def _clients() -> tuple[ClientProfile, ...]:
    clause = ContractClause(
        kind="msa", notice_duration="PT24H", notice_clock="aware_at", recipient="dpo@client.example", threshold="any"
    )
    roles = (("business_associate", "processor"), ("covered_entity", "controller"), ("none", "processor"))
    return tuple(
        ClientProfile(
            id=UUID(int=number),
            name=f"Client {number}",
            hipaa_role=roles[number % 3][0],
            gdpr_role=roles[number % 3][1],
            jurisdictions=("DE", "US-CA"),
            sectors=("bank",),
            clauses=(clause,),
        )
        for number in range(CLIENTS)
    )


def _milliseconds(
    known: dict[str, object],
    *,
    clients: tuple[ClientProfile, ...] | None = None,
    everything: bool = False,
    minute: int = 0,
) -> float:
    discovered_at = DISCOVERED.replace(minute=minute)
    affected = _clients() if clients is None else clients
    began = process_time()
    evaluate(
        facts=known,
        unknown=frozenset(FACTS.keys() - known.keys()),
        clients=affected,
        organisation={"sectors": list(catalogue().sectors), "jurisdictions": ["US-CA"]} if affected else {},
        instants={"discovered_at": discovered_at, "aware_at": discovered_at},
        now=discovered_at,
        calendar=Calendar(),
        playbook="high-impact-ai-use" if affected else None,
        everything=everything,
    )
    return (process_time() - began) * 1_000
