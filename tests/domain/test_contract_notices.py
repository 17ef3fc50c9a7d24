"""What contracts with clients ask for."""

from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contract_notices import ContractClause, check_clause
from domain.fact_types import DATA_TYPES
from domain.obligation_merging import merge
from domain.obligations import ClientProfile, Outcome
from tests.domain.obligation_cases import CLIENT, NOW, OTHER, a_clause, at, run


def contract(*clauses: ContractClause, facts: dict[str, Any] | None = None, **more: Any) -> Outcome:
    known = {"clients_affected": [str(CLIENT)], **(facts or {})}
    outcomes = run(known, ClientProfile(id=CLIENT, clauses=clauses), **more)
    return outcomes["OB-S-3", CLIENT]


def test_a_contract_sets_the_date_and_the_recipient() -> None:
    outcome = contract(a_clause(method="e-mail", clause="9.2", source_document="DPA 2025"))
    assert outcome.outcome == "required"
    assert outcome.due_at == at("2026-03-04T15:00")
    assert (outcome.recipient, outcome.channel) == ("dpo@client", "e-mail")
    assert outcome.citation == "DPA, clause 9.2, DPA 2025"


def test_a_client_without_clauses_needs_facts() -> None:
    outcome = contract()
    assert (outcome.outcome, outcome.missing_facts) == ("needs_facts", ["client.contract.clauses"])
    assert outcome.guideline_due_at == at("2026-04-01T15:00")


@pytest.mark.parametrize("name", ["notice_duration", "notice_clock", "recipient", "threshold"])
def test_a_clause_that_does_not_say_something_needs_facts(name: str) -> None:
    outcome = contract(a_clause(**{name: None}))
    assert (outcome.outcome, outcome.missing_facts) == ("needs_facts", [f"client.contract.dpa.{name}"])


def test_of_several_contracts_the_earliest_date_counts() -> None:
    late = a_clause(kind="msa", notice_duration="P7D", recipient="legal@client")
    outcome = contract(late, a_clause(notice_duration="PT24H"))
    assert (outcome.due_at, outcome.recipient) == (at("2026-03-03T15:00"), "dpo@client")
    assert len([text for text in outcome.because if "notice to" in text]) == 2


def test_a_known_clause_rules_while_another_is_unknown() -> None:
    outcome = contract(a_clause(), a_clause(kind="baa", notice_clock=None, notice_duration="PT8H"))
    assert outcome.outcome == "required"
    assert outcome.missing_facts == ["client.contract.baa.notice_clock"]
    # The open clause may be the earlier one: the date holds for it as well, and says that it is the worst case.
    assert (outcome.due_at, outcome.pending_clock) == (at("2026-03-02T23:00"), True)


@pytest.mark.parametrize(("personal", "outcome"), [(True, "required"), (False, "not_triggered"), (None, "needs_facts")])
def test_a_clause_about_personal_data_asks_whether_there_is_any(personal: bool | None, outcome: str) -> None:
    facts = {} if personal is None else {"personal_data": personal}
    assert contract(a_clause(threshold="personal_data"), facts=facts).outcome == outcome


def test_a_clause_about_confirmed_incidents_waits_for_the_determination() -> None:
    clause = a_clause(threshold="confirmed", notice_clock="determined_at")
    waiting = contract(clause)
    assert (waiting.outcome, waiting.pending_clock, waiting.due_at) == ("likely", True, at("2026-03-04T15:00"))
    known = contract(clause, instants={"determined_at": at("2026-03-05T09:00")})
    assert (known.outcome, known.pending_clock, known.due_at) == ("required", False, at("2026-03-07T09:00"))


def test_each_affected_client_has_its_own_duty() -> None:
    clients = (ClientProfile(id=CLIENT, clauses=(a_clause(),)), ClientProfile(id=OTHER))
    outcomes = run({"clients_affected": [str(CLIENT), str(OTHER)]}, *clients)
    assert outcomes["OB-S-3", CLIENT].outcome == "required"
    assert outcomes["OB-S-3", OTHER].outcome == "needs_facts"


def test_card_data_adds_the_merchant_agreement() -> None:
    outcome = contract(a_clause(), facts={"data_types": ["payment_card"]})
    assert any("PCI DSS" in text for text in outcome.because)
    assert not any("PCI DSS" in text for text in contract(a_clause(), facts={"data_types": ["phi"]}).because)


@pytest.mark.parametrize("said", [{"notice_duration": "48h"}, {"notice_clock": "soon"}, {"threshold": "big"}])
def test_a_clause_that_cannot_be_read_needs_facts(said: dict[str, Any]) -> None:
    outcome = contract(a_clause(**said))
    assert (outcome.outcome, outcome.missing_facts) == ("needs_facts", [f"client.contract.dpa.{next(iter(said))}"])
    with pytest.raises(ValueError):
        check_clause(a_clause(**said))


@given(
    facts=st.fixed_dictionaries(
        {},
        optional={
            "personal_data": st.booleans(),
            "phi": st.booleans(),
            "individuals_count": st.integers(0, 10**6) | st.just({"min": 3}) | st.just({"min": 3, "max": 900}),
            "clients_affected": st.just([str(CLIENT)]) | st.just([]),
            "data_types": st.lists(st.sampled_from(sorted(DATA_TYPES)), max_size=3, unique=True),
        },
    ),
    clauses=st.lists(
        st.builds(
            ContractClause,
            kind=st.sampled_from(["msa", "dpa", "baa"]),
            notice_duration=st.sampled_from([None, "", "PT1H", "P1M", "soon"]),
            notice_clock=st.sampled_from([None, "discovered_at", "aware_at", "determined_at", "x"]),
            recipient=st.sampled_from([None, "dpo"]),
            threshold=st.sampled_from([None, "any", "confirmed", "personal_data", "x"]),
        ),
        max_size=3,
    ),
)
def test_whatever_is_known_has_an_answer_that_settles(facts: dict[str, Any], clauses: list[ContractClause]) -> None:
    outcomes = list(run(facts, ClientProfile(id=CLIENT, clauses=tuple(clauses))).values())
    for outcome in outcomes:
        assert (outcome.outcome == "not_triggered") == (outcome.due_at is None and outcome.guideline_due_at is None)
        assert outcome.outcome != "needs_facts" or outcome.missing_facts
        assert outcome.because
    ids = count(1)
    stored = {str(row.id): row for row in merge({}, outcomes, NOW, new_id=lambda: UUID(int=next(ids))).new}
    assert merge(stored, outcomes, NOW, new_id=lambda: UUID(int=next(ids))) == ([], [], [])
