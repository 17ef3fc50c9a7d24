"""The guide of the systems that can be called, from their data files: what to click, what to paste."""

from collections.abc import Iterator

from domain.connections import ConnectionSystem, connection_systems


def ticket_guide() -> str:
    """The whole guide."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Systems that can be called"
    yield ""
    yield "<!-- Generated from domain/data/connections by `holdfast export-guides`. -->"
    yield ""
    yield "What to click in each, what to paste into a connection, and the words that its tickets take, where it has"
    yield "tickets. How they are written is told in [Writing to tickets](tickets.md)."
    yield ""
    for system in sorted(connection_systems().values(), key=lambda one: one.title):
        yield from _system(system)


def _system(system: ConnectionSystem) -> Iterator[str]:
    yield f"## {system.title}"
    yield ""
    yield from (f"{number}. {click}" for number, click in enumerate(system.guide, 1))
    yield ""
    yield f"`system` is `{system.name}`, `base_url` such as `{system.base_url}`."
    yield ""
    yield "| `credentials` | what it is |"
    yield "|---|---|"
    for way in system.auth:
        for name, one in way.credentials.items():
            alone = f" ({way.title})" if len(system.auth) > 1 else ""
            yield f"| `{name}` | {one.title}{alone}{', optional' if one.optional else ''} |"
    yield ""
    if not system.map:
        return
    yield "| word in `map` | what it is |"
    yield "|---|---|"
    for name, word in system.map.items():
        yield f"| `{name}` | {word.title}{'; needed' if word.needed else ''} |"
    yield ""
