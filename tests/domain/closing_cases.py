"""Incidents that wait for a signature, built once and copied for each test."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

from domain.closing import DocumentationIncomplete, closing_gaps, standing
from tests.domain import engine
from tests.domain.engine import ADA, Story, alone, declared

MANY = engine.LIST | {"individuals_count": 640, "record_count": 640}
PAT = engine.person(9, "Pat Lone", "tenant_admin", "risk_owner", "it_security", email="pat@msp.example")


@cache
def _ready(*people: Any, data: bool = False) -> Story:
    return engine.ready(declared(*people), data=MANY if data else None)


def ready() -> Story:
    """A SEV3 incident that only waits for its signature."""
    return copy.deepcopy(_ready())


def grave() -> Story:
    """A SEV2 incident that waits for two signatures."""
    story = copy.deepcopy(_ready(data=True))
    assert (story.incident.severity, story.incident.severity_highest) == ("SEV2", "SEV2")
    return story


@cache
def _lone(grave: bool) -> Story:
    story = declared(PAT, by=PAT)
    engine.contain(story, PAT, data=MANY if grave else None)
    engine.escalate(story, PAT)
    engine.assess(story, PAT)
    engine.remedy(story, PAT, PAT)
    return engine.review(story, PAT, PAT, overrides=[alone()] if grave else [])


def lone(*, grave: bool = False) -> Story:
    """All done by the only person of the provider."""
    return copy.deepcopy(_lone(grave))


def gaps(story: Story, who: Any = ADA) -> set[tuple[str, str]]:
    """What the sign-off says is missing."""
    with pytest.raises(DocumentationIncomplete) as refused:
        story.sign(who)
    assert refused.value.gate == "G-ALL-2"
    return {(m.kind, m.ref) for m in refused.value.missing}


def gaps_of(story: Story) -> set[tuple[str, str]]:
    """What stands against signing, whoever signs."""
    return {(m.kind, m.ref) for m in story.do(ADA, closing_gaps)}


def standing_of(story: Story) -> int:
    """How many signatures stand."""
    return len(story.do(ADA, standing))
