"""Rules of a source, and what the shipped signs make of reports as people word them."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.mappings import SourceEvent, Unmappable, read_delivery
from domain.playbooks import suggest
from domain.refusals import Invalid
from domain.signatures import Received
from domain.systems import read_mapping, system_of

REPORTS = yaml.safe_load((Path(__file__).parents[1] / "suggested_playbooks.yaml").read_text(encoding="utf-8"))
BODY = {"event_action": "trigger", "dedup_key": "k", "title": "Quota of the model gateway", "summary": "Too many."}


def read(rules: list[dict[str, Any]], **body: Any) -> tuple[SourceEvent, list[str]]:
    mapping = read_mapping({"rules": rules}).model_dump_json(exclude_unset=True)
    raw = json.dumps({**BODY, **body}).encode()
    found = read_delivery(system_of("generic", mapping), Received(body=raw, headers={}))
    return found.events[0], found.faults


@pytest.mark.parametrize(("slug", "title", "summary"), REPORTS, ids=[title for _, title, _ in REPORTS])
def test_a_report_calls_for_its_playbook(slug: str, title: str, summary: str) -> None:
    found = suggest({"title": title, "summary": summary, "labels": []})
    assert (found.slug, bool(found.because)) == (slug, True), found


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        {"when": 'report.severity_hint == "critical"', "playbook": "ai-vendor-breach"},
        {"when": '"quota" in words', "playbook": "shadow-ai", "because": "The gateway told of it."},
        {"when": "true", "playbook": "data-leakage"},
    ]
    event, faults = read(rules)
    assert event.met is not None
    assert (event.met.place, event.met.playbook) == ("/mapping/rules/1", "shadow-ai")
    assert (event.met.because, faults) == ("The gateway told of it.", [])
    event, _ = read(rules, severity_hint="critical")
    assert event.met is not None
    assert event.met.because == 'It met a rule of the source: report.severity_hint == "critical"'
    assert read(rules, event_action="resolve")[0].met is None


def test_what_was_not_said_is_an_empty_text_to_a_rule() -> None:
    seen = 'report.client_name == "" && report.labels == [] && report.ai_systems == ["Chat"] && report.action == "open"'
    event, faults = read([{"when": seen, "facts": {"data_exfiltrated": True}}], ai_systems=["Chat"])
    assert faults == []
    assert event.met is not None
    assert event.met.facts == {"data_exfiltrated": True}


def test_a_rule_that_fails_does_not_hold_and_is_told_of() -> None:
    event, faults = read(
        [{"when": "report.title > 3", "playbook": "shadow-ai"}, {"when": "true", "playbook": "shadow-ai"}]
    )
    assert event.met is not None
    assert event.met.place == "/mapping/rules/1"
    assert faults[0].startswith("/mapping/rules/0/when: ")


def test_a_rule_sees_no_body() -> None:
    with pytest.raises(Invalid) as refused:
        read_mapping({"rules": [{"when": 'body.title == "x"', "playbook": "shadow-ai"}]})
    assert refused.value.errors[0].pointer == "/mapping/rules/0/when"


def test_a_costly_mapping_holds_nobody_up_for_long() -> None:
    """By 30 rules of this kind a hundred items took four seconds, in which nobody else was served."""
    when = " || ".join(f"words.exists(x, x.contains('{index}q'))" for index in range(10))
    fields = {"external_id": "item.id", "title": "item.title", "summary": "item.summary"}
    given = {"items": "body.items", "fields": fields, "events": [{"when": "true", "action": "open"}]}
    mapping = read_mapping({**given, "rules": [{"when": when, "playbook": "shadow-ai"}] * 30})
    summary = " ".join(f"w{index:04}" for index in range(1_600))
    items = [{"id": str(index), "title": "It leaks", "summary": summary} for index in range(100)]
    received = Received(body=json.dumps({"items": items}).encode(), headers={})
    began = time.thread_time()
    with pytest.raises(Unmappable, match="took too long"):
        read_delivery(system_of("generic", mapping.model_dump_json(exclude_unset=True)), received)
    assert time.thread_time() - began < 1.5
    few = Received(body=json.dumps({"items": items[:2]}).encode(), headers={})
    assert len(read_delivery(system_of("generic", mapping.model_dump_json(exclude_unset=True)), few).events) == 2
