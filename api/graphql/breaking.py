"""What a change of the schema breaks for its clients: `python -m api.graphql.breaking < earlier.graphql`."""

import sys
from pathlib import Path

from graphql import build_schema, find_breaking_changes

SCHEMA = Path(__file__).parents[2] / "openapi" / "schema.graphql"


def breaking_changes(earlier: str, later: str) -> list[str]:
    """A sentence for each thing that documents for the earlier schema could rely on and the later one lacks."""
    return [one.description for one in find_breaking_changes(build_schema(earlier), build_schema(later))]


def main() -> None:
    """Compare the schema on standard input with the one in the working tree. Exits with 1 when something breaks."""
    found = breaking_changes(sys.stdin.read(), SCHEMA.read_text(encoding="utf-8"))
    print(*found, sep="\n", end="\n" if found else "")  # noqa: T201 (a command prints)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
