"""Facts: checked values, three states, and what D04 and D05 say by themselves."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import FACTS, check_fact, check_settable, derive, is_derived, known_values, scope_variables, state_of
from domain.refusals import Invalid

ONE = "0198c0de-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("credentials_exposed", True, True),
        ("credentials_exposed", "unknown", "unknown"),
        ("individuals_count", 640, 640),
        ("individuals_count", {"min": 10, "max": 20}, {"min": 10, "max": 20}),
        ("individuals_count", {"min": 10, "max": 10}, 10),
        ("individuals_count", {"min": 10}, {"min": 10, "max": None}),
        ("data_types", ["phi", "contact_data", "phi"], ["contact_data", "phi"]),
        ("channel", "voice", "voice"),
        ("vendor_retained", "yes", "yes"),
        ("vendor_retained", "unknown", "unknown"),
        ("harm", 4, 4),
        ("harm_cost", {"amount": "4000.50", "currency": "EUR"}, {"amount": "4000.50", "currency": "EUR"}),
        ("harm_cost", {"amount": 4000, "currency": "EUR"}, {"amount": "4000", "currency": "EUR"}),
        ("residents_by_jurisdiction", {"US-TX": 40, "US-CA": 600}, {"US-CA": 600, "US-TX": 40}),
        ("clients_affected", [ONE.upper(), ONE], [ONE]),
        ("unauthorised_actions", 0, 0),
    ],
)
def test_a_value_is_stored_in_one_form(name: str, value: Any, stored: Any) -> None:
    assert check_fact(name, value) == stored
    assert type(check_fact(name, value)) is type(stored)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("no_such_fact", True),
        ("a/b~c", True),
        ("credentials_exposed", "yes"),
        ("credentials_exposed", 1),
        ("credentials_exposed", None),
        ("individuals_count", -1),
        ("individuals_count", True),
        ("individuals_count", 1.0),
        ("individuals_count", {"min": 3, "max": 2}),
        ("individuals_count", {"max": 2}),
        ("individuals_count", {"min": 1, "max": 2, "about": 3}),
        ("individuals_count", 10**11),
        ("unauthorised_actions", {"min": 1, "max": 2}),
        ("data_types", ["phi", "passwords"]),
        ("data_types", "phi"),
        ("channel", "carrier pigeon"),
        ("channel", ["voice"]),
        ("harm", 5),
        ("harm", True),
        ("harm_cost", 4000),
        ("harm_cost", {"amount": 4.5, "currency": "EUR"}),
        ("harm_cost", {"amount": "-1", "currency": "EUR"}),
        ("harm_cost", {"amount": "٤", "currency": "EUR"}),
        ("harm_cost", {"amount": "1", "currency": "eur"}),
        ("residents_by_jurisdiction", {"California": 3}),
        ("residents_by_jurisdiction", {"US-CA": -3}),
        ("residents_by_jurisdiction", {"US-CA": "3"}),
        ("clients_affected", ["acme"]),
        ("clients_affected", [1]),
        ("clients_affected", [ONE] * 501),
    ],
)
def test_a_wrong_value_is_refused_with_a_pointer(name: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        check_fact(name, value)
    (error,) = caught.value.errors
    assert error.pointer == "/facts/" + name.replace("~", "~0").replace("/", "~1")
    assert caught.value.code in {"unknown-fact", "invalid-fact"}


def test_a_derived_fact_is_refused_naming_its_item() -> None:
    with pytest.raises(Invalid, match="D04") as caught:
        check_settable("individuals_count")
    assert caught.value.code == "derived-fact"
    check_settable("credentials_exposed")


ALL = frozenset(
    [
        "credentials_exposed",
        "data_types",
        "personal_data",
        "phi",
        "record_count",
        "individuals_count",
        "residents_by_jurisdiction",
        "encrypted",
        "key_compromised",
        "clients_affected",
        "client_acted_on_output",
        "client_incurred_cost",
        "client_harm",
        "individual_harm",
        "channel",
        "payment_initiated",
        "client_impersonated",
        "vendor_retained",
        "vendor_trained_on",
        "vendor_access_known",
        "deletion_confirmed",
        "policy_gap_found",
        "vulnerability_disclosed",
        "extension_reads_pages",
        "regulated_statement",
        "data_exfiltrated",
        "client_system_acted_on",
        "payment_recovered",
        "unauthorised_actions",
        "harm_cost",
        "exposure",
        "harm",
        "ai_system_role",
        "workflow_kind",
        "risk_to_individuals",
        "significant_incident",
        "major_ict_incident",
        "material_incident",
        "notification_incident",
        "covered_services_disrupted",
        "reportable_cyber_incident",
        "ai_system_class",
        "serious_ai_incident",
        "aware_at",
        "determined_at",
        "classified_at",
        "materiality_determined_at",
        "notified_by_vendor_at",
        "individuals_notified_at",
        "authority_notified_at",
        "intermediate_reported_at",
        "hhs_notified_at",
        "payment_made_at",
    ]
)
DERIVED = frozenset(
    [
        "data_types",
        "personal_data",
        "phi",
        "record_count",
        "individuals_count",
        "encrypted",
        "clients_affected",
        "residents_by_jurisdiction",
    ]
)


def test_every_fact_of_the_specification_is_there() -> None:
    assert set(FACTS) == ALL
    derived = {name for name in FACTS if is_derived(name)}
    assert derived == DERIVED
    assert not is_derived("no_such_fact")
    assert all(fact.title and fact.question.endswith("?") for fact in FACTS.values())


def test_conditions_see_known_facts_only() -> None:
    facts = {
        "phi": {"value": True, "state": "known"},
        "client_harm": {"value": "unknown", "state": "unknown"},
        "channel": {"value": None, "state": "not_asked"},
        "individuals_count": {"value": {"min": 3, "max": 9}, "state": "known"},
        "record_count": {"value": {"min": 3, "max": None}, "state": "known"},
        "harm_cost": {"value": {"amount": "12.50", "currency": "EUR"}, "state": "known"},
    }
    known, unknown = scope_variables(facts)
    assert known == {"phi": True, "individuals_count": 9, "harm_cost": 12.5}
    assert unknown == set(FACTS) - set(known)
    assert known_values(facts)["record_count"] == {"min": 3, "max": None}
    assert state_of("unknown") == "unknown"
    assert state_of(False) == "known"


def test_affected_data_says_what_is_affected() -> None:
    entries = [
        {"data_type": "government_id", "record_count": 12, "individuals_count": 12, "encrypted": True},
        {"data_type": "contact_data", "record_count": 40, "individuals_count": 40, "encrypted": True},
    ]
    assert derive({"D04": {"entries": entries}}) == {
        "data_types": ["contact_data", "government_id"],
        "personal_data": True,
        "phi": False,
        "record_count": 52,
        "individuals_count": {"min": 40, "max": 52},  # the entries may speak of the same people
        "encrypted": True,
    }


def test_a_head_count_of_the_parties_narrows_the_individuals() -> None:
    entries = [{"data_type": "contact_data", "individuals_count": 40}, {"data_type": "hr_record"}]
    groups = [
        {"kind": "client", "client_id": ONE, "count": 640},
        {"kind": "individual_group", "name": "their customers", "count": 640},
    ]
    assert derive({"D04": {"entries": entries}})["individuals_count"] == {"min": 40, "max": None}
    assert derive({"D04": {"entries": entries}, "D05": {"entries": groups}})["individuals_count"] == 640
    larger = [{"data_type": "contact_data", "individuals_count": 700}]
    # Two items that disagree never settle on the smaller number.
    assert derive({"D04": {"entries": larger}, "D05": {"entries": groups}})["individuals_count"] == 700


@pytest.mark.parametrize(
    ("states", "encrypted"),
    [
        ([True, True], True),
        ([True, False], False),
        ([True, "unknown"], None),
        ([True, None], None),
        ([False, None], False),
    ],
)
def test_data_is_encrypted_when_all_of_it_is(states: list[Any], encrypted: bool | None) -> None:
    entries = [{"data_type": "phi", "encrypted": state} for state in states]
    assert derive({"D04": {"entries": entries}}).get("encrypted") is encrypted


def test_a_credentials_type_exposes_credentials_and_its_absence_says_nothing() -> None:
    assert derive({"D04": {"entries": [{"data_type": "credentials_user"}]}})["credentials_exposed"] is True
    assert "credentials_exposed" not in derive({"D04": {"entries": [{"data_type": "phi"}]}})


def test_an_explicit_none_is_known() -> None:
    assert derive({"D04": {"none": True, "reason": "blocked"}, "D05": {"none": True, "reason": "blocked"}}) == {
        "data_types": ["none"],
        "personal_data": False,
        "phi": False,
        "record_count": 0,
        "individuals_count": 0,
        "clients_affected": [],
        "residents_by_jurisdiction": {},
    }


@pytest.mark.parametrize("value", [None, {}, {"entries": []}, {"entries": None}, "text", []])
def test_an_item_that_says_nothing_leaves_everything_unknown(value: Any) -> None:
    assert derive({"D04": value, "D05": value}) == {}


def test_parties_say_which_clients_and_where_people_live() -> None:
    other = str(uuid4())
    entries = [
        {"kind": "client", "client_id": ONE, "jurisdictions": {"US-CA": 120}},
        {"kind": "client", "client_id": other},
        {"kind": "individual_group", "count": 50, "jurisdictions": {"US-CA": 30, "GB": 4}},
    ]
    assert derive({"D05": {"entries": entries}}) == {
        "clients_affected": [ONE, other],
        "residents_by_jurisdiction": {"GB": 4, "US-CA": 150},
    }


COUNTS = st.one_of(
    st.none(),
    st.integers(0, 10**6),
    st.tuples(st.integers(0, 1000), st.one_of(st.none(), st.integers(0, 1000))).map(
        lambda ends: {"min": ends[0], "max": None if ends[1] is None else ends[0] + ends[1]}
    ),
)
ENTRY = st.fixed_dictionaries(
    {"data_type": st.sampled_from([str(value) for value in FACTS["data_types"].values])},
    optional={
        "record_count": COUNTS,
        "individuals_count": COUNTS,
        "encrypted": st.sampled_from([True, False, "unknown"]),
    },
)
PARTY = st.fixed_dictionaries(
    {"kind": st.sampled_from(["client", "individual_group", "own_staff", "third_party"])},
    optional={"count": COUNTS, "client_id": st.just(ONE), "jurisdictions": st.just({"US-CA": 3})},
)


@given(st.lists(ENTRY, max_size=4), st.lists(PARTY, max_size=4))
def test_what_is_derived_is_a_value_its_fact_allows(entries: list[Any], parties: list[Any]) -> None:
    derived = derive({"D04": {"entries": entries}, "D05": {"entries": parties}})
    for name, value in derived.items():
        assert check_fact(name, value) == value
    assert not {"data_types", "phi"} & derived.keys() or entries
