"""The published schema serves clients: typed ones can be made of it, and what would break them is told."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.surface import graph

SCHEMA = (Path(__file__).resolve().parents[2] / "openapi" / "schema.graphql").read_text(encoding="utf-8")
TSC = shutil.which("tsc")
USE = """import type { Mutation, Query, TransitionActionInput, TransitionActionResult } from "./schema";

export function late(query: Query): string[] {
  return query.incidents.nodes.filter((one) => one.slaState === "breached").map((one) => one.number);
}

export function told(result: TransitionActionResult): string {
  switch (result.__typename) {
    case "TransitionActionSuccess":
      return result.action?.status ?? "done";
    case "GateRefused":
      return `${result.gate}: ${result.missing.map((one) => one.message).join(", ")}`;
    default:
      return result.message;
  }
}

export const input: TransitionActionInput = { transition: "complete" };
// @ts-expect-error a transition that there is not
export const wrong: TransitionActionInput = { transition: "finish" };
// @ts-expect-error a field that there is not
export const missing = (query: Query) => query.incidents.nodes[0].nothing;
export type Done = Mutation["transitionAction"];
"""


NAME = r"[A-Za-z_][A-Za-z0-9_]*"
TYPE = rf"(?:Array<)*{NAME}(?: \| null>)*>*(?: \| null)?"
LINES = (
    rf"export type {NAME} = {NAME};",
    rf"export type {NAME} = '{NAME}'(?: \| '{NAME}')*;",
    rf"export type {NAME} = {NAME}(?: \| {NAME})*;",
    rf"export interface {NAME}(?: extends {NAME}(?:, {NAME})*)? \{{",
    rf"  {NAME}\??: {TYPE};",
    rf"  __typename: '{NAME}';",
    r"\}",
)
"""Everything that a line of the types may say."""
BUILT_IN = {"string", "number", "boolean", "unknown", "null", "Array", "export", "type", "interface", "extends"}


def test_typescript_of_the_schema_is_well_formed_and_names_what_it_declares(tmp_path: Path) -> None:
    """By its grammar, wherever the tests run; by the compiler too, where there is one. Clients in Python are generated,
    checked and used in tests/e2e/test_console.py."""
    from api.graphql.typescript import typescript_of

    text = typescript_of(graph.schema())
    lines = [line for line in text.splitlines() if line]
    assert [line for line in lines if not any(re.fullmatch(one, line) for one in LINES)] == []
    declared = re.findall(rf"^export (?:type|interface) ({NAME})", text, re.MULTILINE)
    assert len(set(declared)) == len(declared) > 200
    used = {name for line in lines for name in re.findall(NAME, re.sub(r"'[^']*'|^  \w+\??:", "", line))}
    assert used - BUILT_IN - set(declared) == set()
    assert text.count("{") == text.count("}")
    if TSC is not None:
        (tmp_path / "schema.ts").write_text(text, encoding="utf-8")
        (tmp_path / "use.ts").write_text(USE, encoding="utf-8")
        command = [TSC, "--noEmit", "--strict", "--target", "es2020", "use.ts"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[:2_000]


def test_typescript_says_what_may_be_absent() -> None:
    from graphql import build_schema

    from api.graphql.typescript import typescript_of

    text = typescript_of(
        build_schema("""
        interface Node { id: ID! }
        enum Level { low high }
        type Thing implements Node { id: ID! level: Level names: [String!]! }
        input ThingInput { name: String! level: Level }
        union Result = Thing
        type Query { thing: Result }
        """)
    )
    for line in (
        "export interface Thing extends Node {",
        "  __typename: 'Thing';",
        "  level: Level | null;",
        "  names: Array<string>;",
        "  name: string;",
        "  level?: Level | null;",
        "export type Level = 'low' | 'high';",
        "export type Result = Thing;",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ("  slaState: String\n", "  slaStates: String\n", "slaState was removed"),
        ("  evidenceCount: Int!\n", "  evidenceCount: String!\n", "changed type"),
        ("  node(id: ID!): Node\n", "  nodes(id: ID!): Node\n", "node was removed"),
    ],
)
def test_what_breaks_clients_is_told(before: str, after: str, word: str) -> None:
    from api.graphql.breaking import breaking_changes

    assert before in SCHEMA
    assert any(word in one for one in breaking_changes(SCHEMA, SCHEMA.replace(before, after)))


def test_what_is_added_breaks_nobody() -> None:
    from api.graphql.breaking import breaking_changes

    added = SCHEMA.replace("type Query {\n", "type Query {\n  another: String\n", 1)
    assert added != SCHEMA
    assert breaking_changes(SCHEMA, added) == []
    assert breaking_changes(added, SCHEMA) == ["Field Query.another was removed."]
