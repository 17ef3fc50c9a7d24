"""Severity: the sixteen worked examples, unknowns, ranges and floors one by one."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import derive
from domain.playbooks import catalogue
from domain.severity import LEVELS, Severity, highest, severity
from domain.severity_rules import rules


def of(playbook: str | None, *types: str, count: Any = None, **facts: Any) -> Severity:
    """Severity with these data types, derived facts included; `count` is the number of individuals."""
    entry = [{"data_type": name, "individuals_count": count} for name in types]
    known = derive({"D04": {"entries": entry} if entry else {"none": True, "reason": "no data"}})
    if count is not None:
        known["individuals_count"] = count
    return severity(known | facts, playbook=playbook)


# case, (playbook, data types, individuals, facts), (S, V, E, H, D, D', L, base, floors, level)
EXAMPLES: list[tuple[str, tuple[str, list[str], Any, dict[str, Any]], tuple[Any, ...]]] = [
    (
        "generic prompt in an unapproved assistant",
        ("shadow-ai", ["generic_prompt"], 1, {"exposure": "uncontrolled", "harm": 0}),
        (1, 1, 2, 0, 0, 0, 0, "SEV4", "F11", "SEV4"),
    ),
    (
        "contact list of 40 in a public chatbot",
        ("data-leakage", ["contact_data"], 40, {}),
        (2, 2, 2, 1, 1, 1, 1, "SEV4", "F11", "SEV3"),
    ),
    (
        "the same list with 640 persons",
        ("data-leakage", ["contact_data"], 640, {}),
        (2, 3, 2, 1, 2, 2, 2, "SEV3", "F3 F11", "SEV2"),
    ),
    (
        "12 social security numbers, business account, training off",
        ("data-leakage", ["government_id"], 12, {"exposure": "limited"}),
        (3, 2, 1, 1, 2, 1, 1, "SEV4", "F11", "SEV3"),
    ),
    (
        "clinical notes of 3 patients",
        ("data-leakage", ["phi"], 3, {}),
        (4, 1, 2, 1, 2, 2, 2, "SEV3", "F4 F11", "SEV3"),
    ),
    (
        "clinical notes of 800 patients",
        ("data-leakage", ["phi"], 800, {}),
        (4, 3, 2, 1, 4, 4, 4, "SEV1", "F3 F4 F11", "SEV1"),
    ),
    (
        "domain administrator password",
        ("data-leakage", ["credentials_privileged"], None, {}),
        (4, 2, 2, 1, 3, 3, 3, "SEV2", "F1 F11", "SEV2"),
    ),
    (
        "wrong advice, client changed nothing",
        ("bad-output", [], None, {"exposure": "uncontrolled", "client_acted_on_output": False}),
        (0, 0, 2, 1, 0, 0, 1, "SEV4", "F11", "SEV4"),
    ),
    (
        "wrong advice, client bought for 4,000",
        (
            "bad-output",
            [],
            None,
            {
                "exposure": "uncontrolled",
                "client_harm": True,
                "client_incurred_cost": True,
                "client_acted_on_output": True,
                "harm_cost": {"amount": "4000", "currency": "USD"},
            },
        ),
        (0, 0, 2, 2, 0, 0, 2, "SEV3", "F5 F11", "SEV2"),
    ),
    (
        "deepfake call, 60,000 not recovered",
        (
            "ai-phishing",
            [],
            None,
            {
                "exposure": "uncontrolled",
                "payment_initiated": True,
                "payment_recovered": False,
                "harm_cost": {"amount": "60000", "currency": "USD"},
            },
        ),
        (0, 0, 2, 3, 0, 0, 3, "SEV2", "F6 F11", "SEV2"),
    ),
    (
        "impersonation wave, nobody answered",
        ("ai-phishing", [], None, {"exposure": "uncontrolled", "client_impersonated": True}),
        (0, 0, 2, 1, 0, 0, 1, "SEV4", "F7 F11", "SEV2"),
    ),
    (
        "client source code behind a shared link",
        ("source-code-exposure", ["source_code_client"], None, {"exposure": "public"}),
        (3, 2, 3, 1, 2, 3, 3, "SEV2", "F11", "SEV2"),
    ),
    (
        "vendor breach with 25,000 contacts",
        ("ai-vendor-breach", ["contact_data"], 25_000, {"exposure": "public"}),
        (2, 4, 3, 1, 3, 4, 4, "SEV1", "F3 F11", "SEV1"),
    ),
    (
        "injected mail made an agent forward contracts",
        ("prompt-injection", ["contract"], None, {"exposure": "public", "unauthorised_actions": 5}),
        (2, 2, 3, 3, 1, 2, 3, "SEV2", "F8 F11", "SEV2"),
    ),
    (
        "paste blocked before sending",
        ("data-leakage", ["contact_data"], 900, {"exposure": "contained", "harm": 0}),
        (2, 3, 0, 0, 2, 0, 0, "SEV4", "F11", "SEV3"),
    ),
    (
        "unapproved ranking, one applicant wrongly rejected",
        ("high-impact-ai-use", ["hr_record"], 30, {"exposure": "uncontrolled", "individual_harm": True}),
        (3, 2, 2, 3, 2, 2, 3, "SEV2", "F5 F11", "SEV2"),
    ),
]


@pytest.mark.parametrize(("given_", "expected"), [example[1:] for example in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_worked_example(given_: tuple[str, list[str], Any, dict[str, Any]], expected: tuple[Any, ...]) -> None:
    playbook, types, count, facts = given_
    result = of(playbook, *types, count=count, **facts)

    s, v, e, h, d, d_prime, larger, base, floors, level = expected
    assert (s, v, e, h) == (result.S, result.V, result.E, result.H)
    assert (result.D, result.D_prime, result.L) == (d, d_prime, larger)
    assert (result.base, " ".join(result.floors), result.level) == (base, floors, level)
    assert not result.provisional
    assert result.rules_version == rules().version


def test_a_new_incident_stands_at_the_floor_of_its_playbook_and_is_provisional() -> None:
    result = severity({}, playbook="data-leakage")
    assert (result.level, result.floors, result.provisional, result.H) == ("SEV3", ("F11",), True, 1)
    assert severity({}, playbook=None).level == "SEV4"
    assert severity({}, playbook="generic-ai-incident").level == "SEV4"


@pytest.mark.parametrize(
    ("count", "volume", "provisional"),
    [
        (0, 0, False),
        (1, 1, False),
        (9, 1, False),
        (10, 2, False),
        (499, 2, False),
        (500, 3, False),
        (9_999, 3, False),
        (10_000, 4, False),
        ({"min": 5, "max": 600}, 3, False),
        (None, 2, True),
        ({"min": 3, "max": None}, 2, True),
        ({"min": 40, "max": None}, 3, True),
        ({"min": 600, "max": None}, 4, True),
        ({"min": 20_000, "max": None}, 4, True),
    ],
)
def test_volume_counts_a_range_at_its_upper_end_and_an_unknown_one_a_band_up(
    count: Any, volume: int, provisional: bool
) -> None:
    result = of("data-leakage", "contact_data", count=count)
    assert (result.V, result.provisional) == (volume, provisional)


def test_the_larger_of_individuals_and_records_counts() -> None:
    known = {"data_types": ["contact_data"], "personal_data": True}
    assert severity(known | {"individuals_count": 40, "record_count": 700}).V == 3
    assert severity(known | {"individuals_count": 700, "record_count": 40}).V == 3


def test_uncountable_data_beside_countable_data_needs_the_count_still() -> None:
    assert of("source-code-exposure", "source_code_own").provisional is False
    assert of("source-code-exposure", "source_code_own", "contact_data").provisional is True
    assert of("source-code-exposure", "source_code_own", "contact_data", count=3).V == 2


def test_affected_data_stands_in_for_the_facts_derived_from_it() -> None:
    entries = [{"data_type": "phi", "individuals_count": 800}]
    assert severity({}, playbook="data-leakage", affected_data=entries).level == "SEV1"
    assert severity({}, playbook="data-leakage", affected_data=[]).provisional is False


@pytest.mark.parametrize(
    ("playbook", "types", "facts", "floor"),
    [
        ("generic-ai-incident", ["credentials_privileged"], {"exposure": "limited"}, "F1"),
        ("generic-ai-incident", ["credentials_user"], {"exposure": "limited"}, "F2"),
        ("generic-ai-incident", ["contact_data"], {"exposure": "limited", "individuals_count": 500}, "F3"),
        ("generic-ai-incident", ["phi"], {"exposure": "limited", "individuals_count": 1}, "F4"),
        ("generic-ai-incident", [], {"individual_harm": True}, "F5"),
        ("generic-ai-incident", [], {"payment_initiated": True}, "F6"),
        ("generic-ai-incident", [], {"client_impersonated": True}, "F7"),
        ("prompt-injection", [], {"unauthorised_actions": 1}, "F8"),
    ],
)
def test_a_floor_holds_and_its_opposite_does_not(
    playbook: str, types: list[str], facts: dict[str, Any], floor: str
) -> None:
    assert floor in of(playbook, *types, **facts).floors
    opposite = {name: _opposite(name, value) for name, value in facts.items()}
    assert floor not in of(playbook, *types, **opposite).floors
    unknown = dict.fromkeys(facts, "unknown") | {"exposure": "contained"}
    assert floor not in of(playbook, *types, **unknown).floors


def _opposite(name: str, value: Any) -> Any:
    if name == "exposure":
        return "contained"
    return (not value) if isinstance(value, bool) else value - 1


def test_a_payment_not_known_to_be_recovered_counts_as_lost() -> None:
    assert "F6" in of("ai-phishing", payment_initiated=True, payment_recovered="unknown").floors
    recovered = of("ai-phishing", payment_initiated=True, payment_recovered=True)
    assert ("F6" in recovered.floors, recovered.H) == (False, 2)


def test_duties_raise_the_level() -> None:
    assert severity({}, playbook="shadow-ai", regulator_duty=True).level == "SEV2"
    result = severity({}, playbook="shadow-ai", contract_duty=True)
    assert (result.level, result.floors) == ("SEV3", ("F10", "F11"))


@pytest.mark.parametrize("disposition", ["false_positive", "duplicate", "test"])
def test_what_was_no_incident_has_no_playbook_floor(disposition: str) -> None:
    assert severity({"harm": 0}, playbook="data-leakage", disposition=disposition).level == "SEV4"


@pytest.mark.parametrize(
    ("facts", "harm"),
    [
        ({}, 1),
        ({"client_harm": False}, 1),
        ({"client_harm": False, "individual_harm": False}, 0),
        ({"client_harm": False, "individual_harm": False, "client_acted_on_output": True}, 2),
        ({"harm_cost": {"amount": "9999.99", "currency": "USD"}}, 2),
        ({"harm_cost": {"amount": "10000", "currency": "USD"}}, 3),
        ({"harm_cost": {"amount": "0", "currency": "USD"}}, 1),
        ({"harm": 4}, 4),
        ({"harm": 0, "client_harm": True}, 0),  # a person's assessment goes before the derivation
        ({"unauthorised_actions": 0}, 1),
    ],
)
def test_harm_is_derived_until_a_person_sets_it(facts: dict[str, Any], harm: int) -> None:
    assert harm == severity(facts, playbook="bad-output").H


def test_the_threshold_is_the_tenants() -> None:
    cost = {"harm_cost": {"amount": "600", "currency": "EUR"}, "data_types": ["none"]}
    assert severity(cost, playbook="bad-output", harm_cost_threshold=Decimal(500)).H == 3
    assert severity(cost, playbook="bad-output", currency="USD").provisional is True
    assert severity(cost, playbook="bad-output", currency="EUR").provisional is False


def test_highest_prefers_the_lower_number() -> None:
    assert highest("SEV3", "SEV1") == "SEV1"
    assert highest("SEV4", "SEV4") == "SEV4"


@given(
    st.sampled_from(sorted(rules().playbook_floors)),
    st.lists(st.sampled_from(sorted(name for names in rules().sensitivity.values() for name in names)), max_size=4),
    st.one_of(st.none(), st.integers(0, 20_000)),
    st.sampled_from(["contained", "limited", "uncontrolled", "public"]),
    st.dictionaries(
        st.sampled_from(["client_harm", "individual_harm", "payment_initiated", "payment_recovered"]),
        st.booleans(),
    ),
)
def test_more_exposure_never_lowers_a_severity(
    playbook: str, types: list[str], count: int | None, exposure: str, facts: dict[str, Any]
) -> None:
    contained = of(playbook, *types, count=count, exposure="contained", **facts)
    exposed = of(playbook, *types, count=count, exposure=exposure, **facts)
    assert LEVELS.index(exposed.level) <= LEVELS.index(contained.level)
    assert exposed.level == min([exposed.base, *_floor_levels(exposed, playbook)])


def _floor_levels(result: Severity, playbook: str) -> list[str]:
    levels = {rule.id: str(rule.level) for rule in rules().floors} | {"F11": rules().playbook_floors[playbook]}
    return [levels[floor] for floor in result.floors]


def test_a_playbook_says_the_floor_that_the_tables_hold() -> None:
    for book in catalogue().list():
        assert rules().playbook_floors[book.slug] == book.severity_floor, book.slug
