"""A reader finds every step, action, role, time, control, mark and basis of a playbook, and what versions differ in."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import yaml

from api.rest import playbooks as surface
from app.tenants import NewTenant
from domain.gates import Gate
from domain.playbooks import catalogue, playbook_of
from domain.procedures import Action, Content, Step
from domain.timeline import canonical

EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "expected_playbooks.yaml").read_text()
)


async def read(http: httpx.AsyncClient, path: str) -> Any:
    answer = await http.get(f"/v1/playbooks{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("slug", list(EXPECTED))
async def test_a_reader_of_the_specification_finds_all_of_it(http: httpx.AsyncClient, slug: str) -> None:
    found, expected = await read(http, f"/{slug}"), EXPECTED[slug]
    steps = {step["id"]: step for step in found["steps"]}
    actions = {action["id"]: (action, step["id"]) for step in found["steps"] for action in step["actions"]}
    for ref, (phase, title, roles, time, controls, mark) in expected.get("steps", {}).items():
        step = steps[ref]
        assert (step["phase"], step["title"], step["source"]) == (phase, title, mark)
        assert (step["owner_roles"], step["controls"]) == (roles, controls)
        assert (step["sla"]["value"] or step["sla"]["kind"], step["sla"]["clock_start"]) == (time, "discovered_at")
        assert step["summary"]
    for ref, (kind, required, mark, fills, *_) in expected["actions"].items():
        action, _ = actions[ref]
        assert (action["type"], action["source"], action["fills"]) == (kind, mark, fills)
        assert (action["required_if"] is None) == (required == "always")
        assert action["text"]
        assert action["basis"] or mark != "X"
    for ref, outcomes in expected.get("outcomes", {}).items():
        assert actions[ref][0]["outcomes"] == outcomes
    assert set(expected["gates"]) <= {gate["id"] for gate in found["gates"]}
    assert {f"G-ALL-{n}" for n in range(1, 12)} <= {gate["id"] for gate in found["gates"]}


async def test_a_variant_comes_resolved_and_says_what_it_added(http: httpx.AsyncClient) -> None:
    base, variant = await read(http, "/bad-output"), await read(http, "/ai-misinformation")
    assert (base["extends"], base["added"]) == (None, None)
    assert (variant["extends"], variant["extends_version"]) == ("bad-output", base["version"])
    assert variant["added"]["actions"] == list(EXPECTED["ai-misinformation"]["actions"])
    assert variant["added"]["controls"] == {"BO.2": ["CC2.3"], "BO.3": ["CC2.3"]}
    inherited = [action["id"] for step in base["steps"] for action in step["actions"]]
    mine = [action["id"] for step in variant["steps"] for action in step["actions"]]
    assert [ref for ref in mine if ref in inherited] == inherited
    assert variant["steps"][1]["owner_roles_if"] == {"legal_counsel": "regulated_statement"}


def test_every_word_of_a_playbook_is_shown() -> None:
    words = {surface.PlaybookStep: Step, surface.PlaybookAction: Action, surface.PlaybookGate: Gate}
    for shown, kept in words.items():
        assert set(kept.__struct_fields__) - {"step_id", "missing"} == set(shown.model_fields), shown
    assert set(Content.__struct_fields__) <= set(surface.Playbook.model_fields)


async def test_the_hash_is_that_of_the_content(http: httpx.AsyncClient) -> None:

    for item in (await read(http, ""))["items"]:
        whole = await read(http, f"/{item['slug']}")
        assert sha256(canonical(whole["resolved"])).hexdigest() == whole["hash"] == item["hash"]
        assert {name: whole[name] for name in item} == item


async def test_versions_are_listed_and_read_one_by_one(http: httpx.AsyncClient) -> None:
    listed = await read(http, "/bad-output/versions")
    assert [(v["version"], v["status"]) for v in listed["items"]] == [("1.0.0", "published")]
    assert await read(http, "/bad-output/versions/1.0.0") == await read(http, "/bad-output")


@pytest.mark.parametrize(
    "path",
    [
        "/no-such",
        "/no-such/versions",
        "/bad-output/versions/9.9.9",
        "/bad-output/versions/1.0.0/differences/9.9.9",
        "/no-such/versions/1.0.0/differences/1.0.0",
    ],
)
async def test_what_there_is_not_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/v1/playbooks{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")


async def second_version(superuser: asyncpg.Connection, tenant: NewTenant) -> None:
    """A version 1.10.0 of data-leakage that this tenant alone has."""
    shipped = catalogue().get("data-leakage")
    assert shipped is not None
    content = orjson.loads(orjson.dumps(shipped.resolved()))
    content |= {"version": "1.10.0", "title": "Data Entered into a Public AI Tool"}
    first = content["steps"][0]
    first["sla"]["value"] = "PT10M"
    first["actions"][0], first["actions"][1] = first["actions"][1], first["actions"][0]
    first["actions"][0]["text"] = "Capture it at once"
    first["actions"].append({**first["actions"][1], "id": "DL.1.7", "source": "X"})
    content["steps"][3]["actions"] = [a for a in content["steps"][3]["actions"] if a["id"] != "DL.4.5"]
    content["gates"] = [gate for gate in content["gates"] if gate["id"] != "G-DL-4"]
    made = playbook_of(content)
    await superuser.execute(
        "INSERT INTO playbook_versions (tenant_id, hash, slug, version, title, description, resolved)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)",
        tenant.tenant_id,
        made.hash,
        made.slug,
        made.version,
        made.title,
        made.description,
        orjson.dumps(made.resolved()).decode(),
    )


async def test_differences_name_what_came_what_went_and_what_reads_differently(
    http: httpx.AsyncClient, superuser: asyncpg.Connection, tenant: NewTenant
) -> None:
    await second_version(superuser, tenant)
    found = await read(http, "/data-leakage/versions/1.0.0/differences/1.10.0")
    assert (found["earlier"]["version"], found["later"]["version"], found["is_same"]) == ("1.0.0", "1.10.0", False)
    assert {edit["member"]: edit["after"] for edit in found["header"]} == {
        "version": "1.10.0",
        "title": "Data Entered into a Public AI Tool",
    }
    assert found["steps"]["edited"] == [
        {
            "id": "DL.1",
            "members": [
                {
                    "member": "sla",
                    "before": {"kind": "duration", "value": "PT15M", "clock_start": "discovered_at"},
                    "after": {"kind": "duration", "value": "PT10M", "clock_start": "discovered_at"},
                }
            ],
        }
    ]
    actions = found["actions"]
    assert (actions["added"], actions["removed"]) == (["DL.1.7"], ["DL.4.5"])
    assert actions["reordered"] == ["DL.1.2", "DL.1.1"]
    assert [(part["id"], [e["member"] for e in part["members"]]) for part in actions["edited"]] == [
        ("DL.1.2", ["text"])
    ]
    assert (found["gates"]["added"], found["gates"]["removed"]) == ([], ["G-DL-4"])
    back = await read(http, "/data-leakage/versions/1.10.0/differences/1.0.0")
    assert (back["actions"]["added"], back["actions"]["removed"]) == (["DL.4.5"], ["DL.1.7"])
    same = await read(http, "/data-leakage/versions/1.0.0/differences/1.0.0")
    assert (same["is_same"], same["header"], same["actions"]["edited"]) == (True, [], [])
    assert (await read(http, "/data-leakage"))["version"] == "1.10.0"  # by number, not by letter
    assert [v["version"] for v in (await read(http, "/data-leakage/versions"))["items"]] == ["1.0.0", "1.10.0"]
