"""The directory of AI services, and what it proposes for the inputs of an incident."""

from typing import Any

import pytest

from domain.ai_services import LINKS, ai_services, find_service, search_services, service
from domain.playbooks import catalogue
from domain.proposed_inputs import propose_inputs
from domain.refusals import Invalid
from domain.tools import host_of, name_key


def test_every_service_is_one_of_its_kind() -> None:
    every = ai_services()
    assert len(every) >= 60
    for called in ([one.slug for one in every], [d for one in every for d in one.domains]):
        assert len(called) == len(set(called))
    names = [name_key(name) for one in every for name in {one.name, *one.aliases}]
    assert len(names) == len(set(names))


def test_what_is_not_known_is_null_and_low_confidence_claims_no_data_terms() -> None:
    for one in ai_services():
        assert tuple(one.links) == LINKS
        assert one.as_of == "2026-11"
        if one.confidence == "low":
            assert not {name for name in ("dpa", "deletion", "retention", "training") if one.links[name]}


@pytest.mark.parametrize(
    ("name", "url", "slug"),
    [
        ("ChatGPT", None, "chatgpt"),
        ("chat  gpt", None, "chatgpt"),
        (None, "https://chat.openai.com/c/1", "chatgpt"),
        ("Something", "https://app.fireflies.ai", "fireflies"),
        ("Claude", "https://chatgpt.com", "claude"),
        ("ExampleChat", "https://notchatgpt.com", None),
        (None, "https://[bad", None),
        ("", "", None),
    ],
)
def test_a_service_is_found_by_name_then_by_address(name: str | None, url: str | None, slug: str | None) -> None:
    found = find_service(name, url)
    assert (found.slug if found else None) == slug


def test_a_search_wants_every_word() -> None:
    assert [one.slug for one in search_services("github copilot")] == ["github-copilot"]
    assert search_services("github nothing-like-it") == []
    assert len(search_services(None)) == len(ai_services())
    assert service(None) is None
    with pytest.raises(Invalid):
        service("no-such-service")


@pytest.mark.parametrize(
    ("url", "host"), [("https://www.A.example/x", "a.example"), ("a.example", "a.example"), ("", ""), ("http://[", "")]
)
def test_a_host_is_read_from_an_address(url: str, host: str) -> None:
    assert host_of(url) == host


def test_it_proposes_for_open_actions_what_it_knows() -> None:
    playbook = catalogue().get("data-leakage")
    assert playbook is not None
    systems: list[dict[str, Any]] = [{"name": "In-house model"}, {"name": "ChatGPT"}]
    found = {(p.action_id, p.input): p.value for p in propose_inputs(playbook, systems, ["DL.2.3", "DL.4.1"])}
    assert found == {
        ("DL.2.3", "deletion_process"): "https://privacy.openai.com",
        ("DL.2.3", "opt_out_process"): "https://privacy.openai.com",
        ("DL.4.1", "portal_url"): "https://privacy.openai.com",
    }
    assert propose_inputs(playbook, systems[:1], ["DL.2.3"]) == []


def test_it_proposes_where_a_check_is_answered() -> None:
    playbook = catalogue().get("shadow-ai")
    assert playbook is not None
    found = {
        p.action_id: p.value for p in propose_inputs(playbook, [{"name": "ChatGPT"}], ["SA.2.1", "SA.2.3", "SA.2.4"])
    }
    assert found == {
        "SA.2.1": {"source": "https://trust.openai.com"},
        "SA.2.3": {"source": "https://openai.com/policies/data-processing-addendum/"},
    }
