"""The table of results: on the terminal while it grows, in RESULTS.md at the end."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Comparison, Figure, number

COSTS = (
    "Operation",
    "per second",
    "p50 ms",
    "p99 ms",
    "server us",
    "database us",
    "server core",
    "generator",
    "floor us / ours",
)
HEAD = """# Benchmark

Written by `make bench`. The floor is bare FastAPI and asyncpg on the same machine in the same minute: its POST inserts
one row and commits, its GET reads 50 rows of a similar table; neither authenticates. A ratio is our rate divided by the
floor's, taken in turns, the median of three runs. The floor and Holdfast run in one process each on one core; load
generator and PostgreSQL share another one. The generator is a closed loop of 16 connections unless said otherwise, so
latencies are those of a busy server. Absolute figures belong to this machine; the ratios travel.
"""


def show(console: Console, figure: Figure) -> None:
    """One line for a figure just taken."""
    colour = {"met": "green", "MISSED": "red"}.get(figure.verdict, "white")
    runs = ", ".join(number(value) for value in figure.values)
    console.print(
        f"[{colour}]{figure.verdict:>6}[/] {figure.name}: [bold]{number(figure.value)}[/] {figure.unit}"
        f" {f'({figure.goal})' if figure.goal else ''} [dim]{runs} {figure.note}[/]",
        highlight=False,
    )


def show_costs(console: Console, comparisons: Sequence[Comparison]) -> None:
    """What each operation cost."""
    table = Table(*COSTS, box=None, pad_edge=False)
    for row in _rows(comparisons):
        table.add_row(*row)
    console.print(table)


def write(
    path: Path,
    facts: Mapping[str, str],
    figures: Sequence[Figure],
    comparisons: Sequence[Comparison],
    remarks: Sequence[str],
) -> None:
    """RESULTS.md, whole."""
    parts = [HEAD, f"Taken on {datetime.now(UTC):%Y-%m-%d}.\n"]
    parts.append(_markdown(("Machine", ""), [[name, value] for name, value in facts.items()]))
    rows = [
        [
            one.name,
            f"{number(one.value)} {one.unit}",
            one.goal,
            one.verdict,
            ", ".join(map(number, one.values)),
            one.note,
        ]
        for one in figures
    ]
    parts.append("## Figures\n")
    parts.append(_markdown(("Figure", "Median", "Target", "", "Runs", "Note"), rows))
    parts.append("## What it costs\n")
    parts.append(_markdown(COSTS, _rows(comparisons)))
    parts.append(
        "`server us` and `database us` are processor time per request, of the API process and of all PostgreSQL"
        " processes; `server core` and `generator` are the shares of a core that the API process and the load generator"
        " used. `floor us / ours` is the ratio of the two servers' processor time per request: what the ratio of rates"
        " would be if nothing but the server were ever waited for, the steadier figure on a machine that is shared.\n"
    )
    parts += [f"- {remark}\n" for remark in remarks]
    path.write_text("\n".join(parts), encoding="utf-8")


def _rows(comparisons: Sequence[Comparison]) -> list[list[str]]:
    rows = [[*one.detail(), f"{one.cpu_ratio():.2f}"] for one in comparisons]
    floors = {one.floor_name: [*one.floor_detail(), ""] for one in comparisons}
    return [*floors.values(), *rows]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
