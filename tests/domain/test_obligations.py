"""Obligations: the shipped rules, the mechanism that further rules run on, and what decisions survive."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from domain.contract_notices import ContractClause
from domain.deadlines import Calendar
from domain.fact_types import FACTS
from domain.obligation_decisions import decide, is_pending, notified, state_of
from domain.obligation_rules import load, rules
from domain.obligations import ClientProfile, Outcome, evaluate, merge
from domain.record import Obligation
from domain.refusals import Conflict, Invalid

DISCOVERED = datetime(2026, 3, 2, 15, tzinfo=UTC)
NOW = datetime(2026, 3, 2, 16, tzinfo=UTC)
CLIENT = UUID(int=1)
OTHER = UUID(int=2)
PERSON = UUID(int=9)
RATIONALE = "Counsel and risk owner agree: nobody outside saw it."


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def run(
    facts: dict[str, Any],
    *clients: ClientProfile,
    instants: dict[str, datetime | None] | None = None,
    organisation: dict[str, Any] | None = None,
    made: list[dict[str, Any]] | None = None,
    now: datetime = NOW,
    calendar: Calendar | None = None,
) -> dict[Any, Outcome]:
    """Outcomes by rule id, or by (rule id, client id) where a client is concerned."""
    outcomes = evaluate(
        facts=facts,
        unknown=frozenset(FACTS) - facts.keys(),
        clients=clients,
        organisation=organisation or {},
        instants={"discovered_at": DISCOVERED, **(instants or {})},
        now=now,
        calendar=calendar or Calendar(),
        rules=None if made is None else load(a_file(*made)).rules,
    )
    return {(o.rule_id, o.client_id) if o.client_id else o.rule_id: o for o in outcomes}


def a_file(*made: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "stale_after": "P6M", "guideline": "P30D", "rules": [a_rule(**row) for row in made]}


def a_rule(**row: Any) -> dict[str, Any]:
    """A rule file's row; what a test does not care about is filled in."""
    return {
        "id": "OB-T-1",
        "version": "1",
        "group": "test",
        "title": "A rule",
        "toward": "regulator",
        "recipient": "the authority",
        "trigger": "personal_data",
        "clock": {"event": "discovered_at", "duration": "P30D"},
        "citation": "A law",
        "as_of": "2026-02",
        "confidence": "H",
    } | row


def one(facts: dict[str, Any], rule: dict[str, Any], *clients: ClientProfile, **more: Any) -> Outcome:
    (outcome,) = run(facts, *clients, made=[rule], **more).values()
    return outcome


def a_clause(**more: Any) -> ContractClause:
    said = {"notice_duration": "PT48H", "notice_clock": "discovered_at", "recipient": "dpo@client", "threshold": "any"}
    return ContractClause(**{"kind": "dpa", **said, **more})


@pytest.fixture
def new_id() -> Callable[[], UUID]:
    ids: Iterator[int] = count(1000)
    return lambda: UUID(int=next(ids))


# The shipped rules


def test_the_playbook_rules_are_shipped_in_order() -> None:
    assert [rule.id for rule in rules()] == ["OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"]
    assert {rule.row.as_of for rule in rules()} == {"2026-11"}


def test_nothing_known_leaves_every_rule_open_and_calls_counsel() -> None:
    outcomes = run({})
    assert {rule: outcome.outcome for rule, outcome in outcomes.items()} == {
        "OB-S-1": "needs_facts",
        "OB-S-2": "needs_facts",
        "OB-S-3": "needs_facts",
        "OB-S-4": "required",
    }
    assert outcomes["OB-S-1"].missing_facts == ["personal_data", "individuals_count"]
    assert outcomes["OB-S-3"].missing_facts == ["clients_affected"]


def test_nothing_affected_triggers_nothing() -> None:
    outcomes = run({"personal_data": False, "phi": False, "clients_affected": []})
    assert {outcome.outcome for outcome in outcomes.values()} == {"not_triggered"}
    assert all(outcome.due_at is None and outcome.guideline_due_at is None for outcome in outcomes.values())


@pytest.mark.parametrize(
    ("individuals", "outcome"),
    [
        (499, "not_triggered"),
        (500, "likely"),
        ({"min": 100, "max": 499}, "not_triggered"),
        ({"min": 500, "max": 900}, "likely"),
        ({"min": 500}, "likely"),
        ({"min": 400, "max": 600}, "needs_facts"),
        ({"min": 400}, "needs_facts"),
    ],
)
def test_the_500_rule_counts_individuals(individuals: Any, outcome: str) -> None:
    assert run({"personal_data": True, "individuals_count": individuals})["OB-S-1"].outcome == outcome


def test_vector_1_640_people_in_two_states() -> None:
    facts = {
        "personal_data": True,
        "phi": False,
        "individuals_count": 640,
        "data_types": ["government_id"],
        "clients_affected": [],
        "residents_by_jurisdiction": {"US-CA": 600, "US-TX": 40},
    }
    outcomes = run(facts)
    assert outcomes["OB-S-1"].outcome == "likely"
    assert "residents_by_jurisdiction: US-CA 600, US-TX 40" in outcomes["OB-S-1"].because
    assert outcomes["OB-S-1"].due_at is None
    assert outcomes["OB-S-1"].guideline_due_at == at("2026-04-01T15:00")
    assert outcomes["OB-S-4"].outcome == "required"


def test_vector_2_three_patients_of_a_covered_entity() -> None:
    facts = {"personal_data": True, "phi": True, "individuals_count": 3, "clients_affected": [str(CLIENT)]}
    outcomes = run(facts, ClientProfile(id=CLIENT, hipaa_role="business_associate"))
    assert outcomes["OB-S-1"].outcome == "not_triggered"
    assert outcomes["OB-S-2"].outcome == "likely"
    assert outcomes["OB-S-2"].due_at == at("2026-05-01T15:00")
    assert any("covered entity's duty" in text for text in outcomes["OB-S-2"].because)
    assert outcomes["OB-S-4"].outcome == "required"


def test_counsel_is_due_with_the_assess_step() -> None:
    waiting = run({})["OB-S-4"]
    assert (waiting.due_at, waiting.pending_clock) == (at("2026-03-02T19:00"), True)
    known = run({}, instants={"assess_due_at": at("2026-03-03T10:00")})["OB-S-4"]
    assert (known.due_at, known.pending_clock) == (at("2026-03-03T10:00"), False)


# Contracts


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


# Clocks


def clocked(clock: dict[str, Any], instants: dict[str, datetime | None] | None = None, **more: Any) -> Outcome:
    return one({"personal_data": True}, {"clock": clock}, instants=instants, **more)


@pytest.mark.parametrize(
    ("duration", "start", "due"),
    [
        ("P30D", "2026-03-02T15:00", "2026-04-01T15:00"),
        ("P45D", "2026-05-01T08:00", "2026-06-15T08:00"),
        ("P60D", "2026-03-04T00:00", "2026-05-03T00:00"),
        ("PT36H", "2026-03-02T15:00", "2026-03-04T03:00"),
        ("PT72H", "2026-06-10T08:00", "2026-06-13T08:00"),
        ("P1M", "2026-06-13T08:00", "2026-07-13T08:00"),
        ("P1M", "2026-01-31T08:00", "2026-02-28T08:00"),
        ("P1M", "2028-01-31T08:00", "2028-02-29T08:00"),
        ("P2D", "2026-02-27T23:59", "2026-03-01T23:59"),
    ],
)
def test_a_duration_runs_from_its_event(duration: str, start: str, due: str) -> None:
    outcome = clocked({"event": "determined_at", "duration": duration}, {"determined_at": at(start)})
    assert (outcome.due_at, outcome.clock_started_at, outcome.pending_clock) == (at(due), at(start), False)


def test_days_keep_the_local_time_and_hours_do_not() -> None:
    new_york = Calendar(time_zone="America/New_York")  # clocks go forward on 2026-03-08
    assert clocked({"event": "discovered_at", "duration": "P30D"}, calendar=new_york).due_at == at("2026-04-01T14:00")
    assert clocked({"event": "discovered_at", "duration": "PT720H"}, calendar=new_york).due_at == at("2026-04-01T15:00")


def test_an_unset_event_counts_from_discovery() -> None:
    outcome = clocked({"event": "determined_at", "duration": "P30D"})
    assert (outcome.clock_started_at, outcome.pending_clock, outcome.due_at) == (None, True, at("2026-04-01T15:00"))
    assert outcome.because[-1] == "determined_at is not set: the date is the worst case, counted from discovery."


def test_a_notice_to_the_authority_follows_the_one_to_individuals() -> None:
    clock = {"event": "individuals_notified_at", "duration": "P15D"}
    assert clocked(clock).due_at == at("2026-03-17T15:00")
    told = clocked(clock, {"individuals_notified_at": at("2026-03-30T10:00")})
    assert (told.due_at, told.pending_clock) == (at("2026-04-14T10:00"), False)


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2026-06-05T20:00", "2026-06-11T20:00"),  # vector 10: Friday, four business days, the following Thursday
        ("2026-06-06T09:00", "2026-06-11T09:00"),  # Saturday
        ("2026-06-30T09:00", "2026-07-07T09:00"),  # Independence Day, observed on Friday the 3rd
    ],
)
def test_business_days_skip_weekends_and_the_recipients_holidays(start: str, due: str) -> None:
    clock = {"event": "materiality_determined_at", "business_days": 4, "country": "US"}
    outcome = clocked(clock, {"materiality_determined_at": at(start)}, calendar=Calendar(country="DE"))
    assert outcome.due_at == at(due)


def test_the_year_ends_where_the_tenant_is() -> None:
    clock = {"event": "year_end", "duration": "P60D"}
    assert clocked(clock).due_at == at("2027-03-02T00:00")  # the end of 1 March, 60 days after the year
    new_year = {"discovered_at": at("2027-01-01T02:00")}
    outcome = clocked(clock, new_year, calendar=Calendar(time_zone="America/New_York"))
    assert (outcome.clock_started_at, outcome.pending_clock) == (at("2027-01-01T05:00"), False)


@pytest.mark.parametrize(
    ("instants", "due", "pending"),
    [
        ({"aware_at": "2026-03-02T10:00", "classified_at": "2026-03-02T20:00"}, "2026-03-03T00:00", False),  # vector 8
        ({"aware_at": "2026-03-02T10:00", "classified_at": "2026-03-03T09:00"}, "2026-03-03T10:00", False),
        ({"aware_at": "2026-03-02T10:00"}, "2026-03-02T19:00", True),
        ({"classified_at": "2026-03-04T12:00"}, "2026-03-03T15:00", True),
    ],
)
def test_a_cap_counts_when_it_is_earlier(instants: dict[str, str], due: str, pending: bool) -> None:
    caps = [{"event": "aware_at", "duration": "PT24H"}]
    clock = {"event": "classified_at", "duration": "PT4H", "caps": caps}
    outcome = clocked(clock, {name: at(text) for name, text in instants.items()})
    assert (outcome.due_at, outcome.pending_clock) == (at(due), pending)


def test_vector_7_early_warning_notification_and_final_report() -> None:
    trigger = {"trigger": '"essential_entity" in sectors'}
    made = [
        {"id": "OB-T-24", **trigger, "clock": {"event": "aware_at", "duration": "PT24H"}},
        {"id": "OB-T-72", **trigger, "clock": {"event": "aware_at", "duration": "PT72H"}},
        {"id": "OB-T-1M", **trigger, "clock": {"event": "authority_notified_at", "duration": "P1M"}},
    ]
    instants = {"aware_at": at("2026-06-10T08:00"), "authority_notified_at": at("2026-06-12T08:00")}
    outcomes = run({}, made=made, instants=instants, organisation={"sectors": ["essential_entity"]})
    dues = ["2026-06-11T08:00", "2026-06-13T08:00", "2026-07-12T08:00"]
    assert [outcome.due_at for outcome in outcomes.values()] == [at(text) for text in dues]


def test_a_law_without_a_figure_gets_the_guideline() -> None:
    outcome = clocked({"event": "aware_at"})
    assert (outcome.due_at, outcome.guideline_due_at) == (None, at("2026-04-01T15:00"))


# Conditions


def test_an_unknown_role_is_a_missing_fact() -> None:
    rule = {"per": "client", "applies": 'gdpr_role == "controller"'}
    unknown = one({"personal_data": True}, rule, ClientProfile(id=CLIENT))
    assert (unknown.outcome, unknown.missing_facts) == ("needs_facts", ["client.gdpr_role"])


def test_vector_5_a_processor_tells_the_controller_and_not_the_authority() -> None:
    made = [
        {
            "id": "OB-T-SA",
            "per": "client",
            "applies": 'gdpr_role == "controller"',
            "applies_text": "The controller tells",
        },
        {"id": "OB-T-PROC", "per": "client", "applies": 'gdpr_role == "processor"', "toward": "client"},
    ]
    outcomes = run({"personal_data": True}, ClientProfile(id=CLIENT, gdpr_role="processor"), made=made)
    assert outcomes["OB-T-SA", CLIENT].outcome == "not_triggered"
    assert outcomes["OB-T-SA", CLIENT].because == ["The controller tells (client.gdpr_role: processor)"]
    assert outcomes["OB-T-PROC", CLIENT].outcome == "required"


@pytest.mark.parametrize(
    ("role", "data_role"), [("covered_entity", "owner"), ("business_associate", "maintainer"), (None, None)]
)
def test_the_data_role_follows_from_the_other_roles(role: str | None, data_role: str | None) -> None:
    rule = {"per": "client", "applies": 'data_role == "owner"'}
    expected = {"owner": "required", "maintainer": "not_triggered", None: "needs_facts"}[data_role]
    assert one({"personal_data": True}, rule, ClientProfile(id=CLIENT, hipaa_role=role)).outcome == expected


def test_without_clients_our_own_role_counts() -> None:
    rule = {"per": "client", "applies": 'hipaa_role == "covered_entity"'}
    outcome = one({"personal_data": True}, rule, organisation={"hipaa_role": "covered_entity"})
    assert (outcome.outcome, outcome.client_id) == ("required", None)


def per_state(*within: str, outside: tuple[str, ...] = (), **threshold: int) -> dict[str, Any]:
    return {
        "per": "jurisdiction",
        "residents": {"within": list(within), "outside": list(outside)},
        "threshold": {"fact": "residents", **threshold},
    }


@pytest.mark.parametrize(
    ("rule", "residents", "outcome"),
    [
        (per_state("US-TX", at_least=250), {"US-CA": 600, "US-TX": 40}, "not_triggered"),  # vector 1
        (per_state("US-OR", more_than=250), {"US-OR": 260, "US-WA": 240}, "required"),  # vector 6
        (per_state("US-WA", more_than=500), {"US-OR": 260, "US-WA": 240}, "not_triggered"),
        (per_state("US", more_than=500), {"US-NY": 500}, "not_triggered"),  # vector 4: media
        (per_state("US", more_than=500), {"US-NY": 300, "US-NJ": 501}, "required"),
        (per_state("US", outside=("US-NJ",), more_than=500), {"US-NY": 300, "US-NJ": 501}, "not_triggered"),
        (per_state("US", at_least=1), {"DE": 10, "US-NJ": 0}, "not_triggered"),
        (per_state("US", at_least=1), {"US": 10}, "required"),
    ],
)
def test_a_statute_counts_its_own_residents(rule: dict[str, Any], residents: dict[str, int], outcome: str) -> None:
    assert one({"personal_data": True, "residents_by_jurisdiction": residents}, rule).outcome == outcome


def test_unknown_residents_leave_a_statute_open() -> None:
    outcome = one({"personal_data": True}, per_state("US-TX", at_least=250))
    assert (outcome.outcome, outcome.missing_facts) == ("needs_facts", ["residents_by_jurisdiction"])


@pytest.mark.parametrize(
    ("individuals", "notified", "logged"), [(499, False, True), (500, True, False), (800, True, False)]
)
def test_vectors_3_and_4_500_or_more_and_fewer(individuals: int, notified: bool, logged: bool) -> None:
    made = [
        {"id": "OB-T-500", "threshold": {"fact": "individuals_count", "at_least": 500}},
        {"id": "OB-T-LOG", "threshold": {"fact": "individuals_count", "fewer_than": 500}},
    ]
    outcomes = run({"personal_data": True, "individuals_count": individuals}, made=made)
    assert (outcomes["OB-T-500"].outcome == "required") is notified
    assert (outcomes["OB-T-LOG"].outcome == "required") is logged


@pytest.mark.parametrize(
    ("types", "outcome"),
    [
        (["government_id", "contact_data"], "required"),
        (["phi"], "needs_legal"),
        (["contact_data"], "not_triggered"),
        (None, "needs_facts"),
    ],
)
def test_a_statute_lists_its_elements(types: list[str] | None, outcome: str) -> None:
    rule = {"elements": {"triggering": ["government_id"], "needs_legal": ["phi"]}}
    facts = {"personal_data": True} | ({"data_types": types} if types else {})
    assert one(facts, rule).outcome == outcome


@pytest.mark.parametrize(
    ("facts", "outcome", "missing"),
    [
        ({"encrypted": True, "key_compromised": False}, "not_triggered", []),
        ({"encrypted": True, "key_compromised": True}, "required", []),
        ({"encrypted": False}, "required", []),
        ({"encrypted": True}, "likely", ["key_compromised"]),
        ({}, "likely", ["encrypted", "key_compromised"]),
    ],
)
def test_an_exemption_counts_only_when_it_is_certain(facts: dict[str, Any], outcome: str, missing: list[str]) -> None:
    rule = {"exempt": [{"when": "encrypted && !key_compromised", "text": "Encrypted, the key stayed safe."}]}
    result = one({"personal_data": True, **facts}, rule)
    assert (result.outcome, result.missing_facts) == (outcome, missing)


@pytest.mark.parametrize(("harm", "outcome"), [(True, "required"), (False, "likely"), (None, "likely")])
def test_a_legal_test_stays_open_until_it_is_met(harm: bool | None, outcome: str) -> None:
    rule = {"legal_test": {"question": "Is harm to people likely?", "met": "individual_harm"}}
    facts = {"personal_data": True} | ({} if harm is None else {"individual_harm": harm})
    assert one(facts, rule).outcome == outcome


@pytest.mark.parametrize(
    ("before", "discovered", "outcome"),
    [
        ("needs_legal", "2027-12-01T12:00", "needs_legal"),  # vector 9: the date flag
        ("not_in_force", "2027-12-01T12:00", "not_triggered"),
        ("needs_legal", "2027-12-02T00:00", "required"),
    ],
)
def test_a_rule_knows_since_when_it_applies(before: str, discovered: str, outcome: str) -> None:
    rule = {
        "effective_from": "2027-12-02",
        "before_effective": before,
        "clock": {"event": "aware_at", "duration": "P10D"},
    }
    instants = {"discovered_at": at(discovered), "aware_at": at("2027-12-02T12:00")}
    result = one({"personal_data": True}, rule, instants=instants)
    assert result.outcome == outcome
    assert result.due_at == (None if outcome == "not_triggered" else at("2027-12-12T12:00"))


def test_only_counsel_can_say_and_an_open_question_is_counsels() -> None:
    rule = {"needs_legal": [{"when": 'channel == "voice"', "text": "Is a voice personal data?"}]}
    assert one({"personal_data": True, "channel": "email"}, rule).outcome == "required"
    assert one({"personal_data": True, "channel": "voice"}, rule).outcome == "needs_legal"
    assert one({"personal_data": True}, rule).outcome == "needs_legal"


def test_a_pending_rule_does_not_run() -> None:
    assert run({"personal_data": True}, made=[{"status": "pending"}]) == {}


@pytest.mark.parametrize(("now", "warned"), [("2026-07-31T23:59", False), ("2026-08-01T00:00", True)])
def test_an_old_rule_says_so(now: str, warned: bool) -> None:
    outcome = one({"personal_data": True}, {"as_of": "2026-02"}, now=at(now))
    assert any("last checked 2026-02" in text for text in outcome.because) is warned


def test_an_unverified_rule_says_so() -> None:
    outcome = one({"personal_data": True}, {"confidence": "L", "note": "Seen in one chart."})
    assert "Seen in one chart." in outcome.because
    assert any("unverified" in text for text in outcome.because)


def test_the_reasons_name_the_deciding_facts() -> None:
    rule = {"threshold": {"fact": "individuals_count", "at_least": 500}}
    outcome = one({"personal_data": True, "individuals_count": {"min": 10, "max": 40}}, rule)
    assert outcome.because == ["individuals_count: 10 to 40; the rule concerns 500 or more"]


@pytest.mark.parametrize(
    "row",
    [
        {"surplus": 1},
        {"id": "S-1"},
        {"toward": "nobody"},
        {"trigger": "no_such_fact"},
        {"trigger": "personal_data &&"},
        {"exempt": [{"when": "no_such_fact", "text": "Never."}]},
        {"mentions": ["no_such_fact"]},
        {"clock": {"event": "someday", "duration": "P1D"}},
        {"clock": {"event": "aware_at", "duration": "soon"}},
        {"clock": {"event": "aware_at", "duration": "P1D", "business_days": 1}},
        {"clock": {"event": "aware_at", "duration": "P1D", "country": "US"}},
        {"threshold": {"fact": "individuals_count"}},
        {"threshold": {"fact": "individuals_count", "at_least": 1, "more_than": 0}},
        {"threshold": {"fact": "residents", "at_least": 1}},
        {"threshold": {"fact": "phi", "at_least": 1}},
        {"per": "jurisdiction"},
        {"residents": {"within": ["US"]}},
        {"contract": True},
        {"after": ["OB-T-2"]},
        {"order": "before", "order_of": ["OB-T-2"]},
        {"order": "before"},
        {"as_of": "November 2026"},
        {"clock": {"event": "aware_at", "duration": "P1D", "worst_case": "soon"}},
        {"elements": {"triggering": ["passports"]}},
    ],
)
def test_a_rule_that_cannot_be_right_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, ValueError)):
        load(a_file(row))


def test_a_rule_cannot_appear_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        load(a_file({}, {}))


# Decisions


def rows(new_id: Callable[[], UUID], facts: dict[str, Any], *clients: ClientProfile) -> dict[str, Obligation]:
    merged = merge({}, list(run(facts, *clients).values()), NOW, new_id=new_id)
    return {row.rule_id: row for row in merged.new}


PHI = {"personal_data": True, "phi": True, "individuals_count": 3, "clients_affected": []}


def test_what_is_not_triggered_makes_no_row(new_id: Callable[[], UUID]) -> None:
    assert set(rows(new_id, PHI)) == {"OB-S-2", "OB-S-4"}


def test_the_same_evaluation_twice_changes_nothing(new_id: Callable[[], UUID]) -> None:
    stored = rows(new_id, PHI)
    assert merge(stored, list(run(PHI).values()), NOW, new_id=new_id) == ([], [], [])


def test_an_undecided_row_follows_the_facts(new_id: Callable[[], UUID]) -> None:
    stored = rows(new_id, {})
    merged = merge(stored, list(run(PHI).values()), NOW, new_id=new_id)
    assert merged.new == [] and merged.reopened == []
    assert {row.rule_id: row.outcome for row in stored.values()} == {
        "OB-S-1": "not_triggered",
        "OB-S-2": "likely",
        "OB-S-3": "not_triggered",
        "OB-S-4": "required",
    }
    assert {row.rule_id for row in merged.changed} == {"OB-S-1", "OB-S-2", "OB-S-3", "OB-S-4"}
    assert stored["OB-S-1"].due_at is None and not is_pending(stored["OB-S-1"])


def test_a_client_no_longer_affected_keeps_its_row(new_id: Callable[[], UUID]) -> None:
    facts = {**PHI, "clients_affected": [str(CLIENT)]}
    stored = rows(new_id, facts, ClientProfile(id=CLIENT, clauses=(a_clause(),)))
    merge(stored, list(run(PHI).values()), NOW, new_id=new_id)
    assert stored["OB-S-3"].outcome == "not_triggered"
    assert stored["OB-S-3"].client_id == CLIENT


def decided(row: Obligation, decision: str = "not_required", **more: Any) -> Obligation:
    said = {"rationale": RATIONALE, "opinion_reference": "OP-7"}
    return decide(row, decision, person_id=PERSON, now=NOW, **{**said, **more})


@pytest.mark.parametrize("decision", ["not_required", "waived_by_counsel"])
def test_a_decision_stands_until_the_outcome_rises(new_id: Callable[[], UUID], decision: str) -> None:
    row = decided(rows(new_id, {})["OB-S-2"], decision)
    stored = {"OB-S-2": row}
    unchanged = [o for o in run({}).values() if o.rule_id == "OB-S-2"]
    assert merge(stored, unchanged, NOW, new_id=new_id) == ([], [], [])

    risen = [o for o in run(PHI).values() if o.rule_id == "OB-S-2"]
    merged = merge(stored, risen, NOW, new_id=new_id)
    assert merged.reopened == [row] and merged.changed == []
    assert (row.decision, row.decided_by, row.rationale) == ("open", None, None)
    assert row.because[-1] == {
        "earlier_decision": decision,
        "rationale": RATIONALE,
        "opinion_reference": "OP-7",
        "decided_by": str(PERSON),
        "decided_at": "2026-03-02T16:00:00.000000Z",
        "outcome": "needs_facts",
        "replaced_at": "2026-03-02T16:00:00.000000Z",
        "reason": "The outcome rose from needs_facts to likely after the decision.",
    }
    assert merge(stored, risen, NOW, new_id=new_id) == ([], [], [])


def test_a_decision_stands_when_the_outcome_falls(new_id: Callable[[], UUID]) -> None:
    row = decided(rows(new_id, PHI)["OB-S-2"])
    before = row.outcome
    fallen = [o for o in run({}).values() if o.rule_id == "OB-S-2"]
    assert merge({"x": row}, fallen, NOW, new_id=new_id) == ([], [], [])
    assert (row.outcome, row.decision) == (before, "not_required")


def test_a_notice_decided_on_follows_the_clock_until_it_is_sent(new_id: Callable[[], UUID]) -> None:
    row = decided(rows(new_id, PHI)["OB-S-2"], "notify")
    row.overdue_announced_at = NOW
    earlier = run(PHI, instants={"discovered_at": at("2026-03-01T15:00")})["OB-S-2"]
    assert merge({"x": row}, [earlier], NOW, new_id=new_id).changed == [row]
    assert (row.due_at, row.decision, row.decided_by) == (at("2026-04-30T15:00"), "notify", PERSON)
    assert row.overdue_announced_at is None  # the new date will be announced in its turn

    sent = notified(row, at("2026-03-05T10:00"), person_id=PERSON, now=NOW)
    later = run(PHI)["OB-S-2"]
    assert merge({"x": sent}, [later], NOW, new_id=new_id) == ([], [], [])


def test_reconsidering_keeps_the_earlier_decision(new_id: Callable[[], UUID]) -> None:
    row = decided(decided(rows(new_id, PHI)["OB-S-2"]), "notify", rationale=None, opinion_reference=None)
    assert (row.decision, row.rationale, row.opinion_reference) == ("notify", None, None)
    assert row.because[-1]["earlier_decision"] == "not_required"


@pytest.mark.parametrize(
    ("decision", "more", "pointer"),
    [
        ("not_required", {"rationale": None}, "/rationale"),
        ("not_required", {"rationale": "   no   "}, "/rationale"),
        ("waived_by_counsel", {"opinion_reference": None}, "/opinion_reference"),
        ("waived_by_counsel", {"opinion_reference": " "}, "/opinion_reference"),
        ("open", {}, "/decision"),
        ("ignored", {}, "/decision"),
    ],
)
def test_a_decision_without_its_reasons_is_refused(
    new_id: Callable[[], UUID], decision: str, more: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        decided(rows(new_id, PHI)["OB-S-2"], decision, **more)
    assert refusal.value.errors[0].pointer == pointer


def test_a_sent_notice_settles_the_decision(new_id: Callable[[], UUID]) -> None:
    sent = notified(decided(rows(new_id, PHI)["OB-S-2"], "notify"), NOW, person_id=PERSON, now=NOW)
    with pytest.raises(Conflict) as refusal:
        decided(sent)
    assert refusal.value.code == "obligation-notified"


def test_the_same_decision_twice_is_a_conflict(new_id: Callable[[], UUID]) -> None:
    with pytest.raises(Conflict):
        decided(decided(rows(new_id, PHI)["OB-S-2"]))


def test_nothing_stands_in_the_way_of_notifying(new_id: Callable[[], UUID]) -> None:
    against = decided(rows(new_id, PHI)["OB-S-2"])
    sent = notified(against, at("2026-03-04T10:00"), person_id=PERSON, now=NOW)
    assert (sent.decision, sent.notified_at) == ("notify", at("2026-03-04T10:00"))
    assert sent.because[-1]["earlier_decision"] == "not_required"
    again = notified(sent, at("2026-03-09T10:00"), person_id=PERSON, now=NOW)
    assert again.notified_at == at("2026-03-04T10:00")


def test_the_state_says_what_is_late(new_id: Callable[[], UUID]) -> None:
    row = rows(new_id, PHI)["OB-S-2"]
    due = at("2026-05-01T15:00")
    late = at("2026-05-01T15:01")
    assert (state_of(row, due), state_of(row, late)) == ("open", "overdue")
    assert state_of(decided(row, "notify"), late) == "overdue"
    assert state_of(decided(row), late) == "not_required"
    assert state_of(notified(decided(row, "notify"), late, person_id=PERSON, now=late), late) == "notified"
