"""`holdfast demo`: a believable provider with clients, people and incidents of every playbook at every stage."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.running import EXIT_REFUSED, EXIT_UNUSABLE, Json, fail, read_settings, run_on_database, say

if TYPE_CHECKING:
    from app.cli.demo_provider import Kept, Provider
    from app.serving import Opened
    from app.settings import Settings

KEPT, KEY = "demo.json", "demo-key"
LISTENS = re.compile(r"Holdfast listens on (http://\S+)")


def demo(
    context: typer.Context,
    playbook: Annotated[list[str] | None, typer.Option(help="Only incidents of this playbook; repeatable.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the running service [HOLDFAST_HOST, _PORT].")] = None,
    as_json: Json = False,
) -> None:
    """Fill a tenant of its own with a made-up provider.

    Its people, clients and incidents come through the doors of the service. Works on the one that runs on the data
    folder; starts one for so long where none runs. Safe to run again.
    """
    settings = read_settings(context)

    from app.cli.demo_calls import Calls, DemoStopped
    from app.cli.demo_provider import Kept, Provider
    from app.cli.demo_story import read_story

    story = read_story()
    wanted = playbook or list(story["headlines"])
    if unknown := sorted(set(wanted) - set(story["headlines"])):
        fail(f"--playbook: there is no {', '.join(unknown)}. Known: {', '.join(story['headlines'])}.", EXIT_UNUSABLE)
    try:
        with _served(settings, url) as address:
            kept = Kept(settings.data_dir / KEPT)
            _make_tenant(settings, kept, story)
            calls = Calls(address)
            try:
                provider = Provider(calls, kept, story)
                _fill(provider, story, wanted, quiet=as_json)
                _tell(provider, settings, as_json=as_json)
            finally:
                calls.close()
    except DemoStopped as stopped:
        fail(f"{stopped} Run the demo again to go on from here.", EXIT_REFUSED)


def _make_tenant(settings: "Settings", kept: "Kept", story: dict[str, Any]) -> None:
    """A tenant of its own: nothing of the demo ever stands between real records."""
    if kept.made:
        return
    first = story["first_person"]

    async def work(found: "Opened") -> None:
        from app.tenants import NewTenant, create_tenant

        def keep(new: NewTenant) -> None:
            kept.made = {
                "tenant_id": str(new.tenant_id),
                "person_id": str(new.person_id),
                "key": new.key,
                "began_at": datetime.now(UTC).isoformat(),
            }
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept.save()
            with open(os.open(settings.data_dir / KEY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(new.key + "\n")

        await create_tenant(found.database, story["tenant"], person_name=first["name"], email=first["email"], keep=keep)

    run_on_database(settings, work)
    kept.changed += 1


def _fill(provider: "Provider", story: dict[str, Any], playbooks: list[str], *, quiet: bool) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from app.cli.demo_provider import cases

    before: list[tuple[str, Callable[[], None]]] = [
        ("people", provider.make_people),
        ("clients", provider.make_clients),
        ("sources", provider.make_sources),
    ]
    waiting = [case for case in cases(story, playbooks) if not provider.is_done(case)]
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task("", total=len(before) + len(waiting))
        for name, make in before:
            progress.update(task, description=name)
            make()
            progress.advance(task)
        for case in waiting:
            progress.update(task, description=f"{case.playbook}: {case.title}")
            provider.make_incident(case)
            progress.advance(task)
        progress.update(task, description="done")


def _tell(provider: "Provider", settings: "Settings", *, as_json: bool) -> None:
    """What is there now, and how to look at it."""
    kept = provider.kept
    counts = provider.ask("GET", "/v1/incidents/counts?group_by=status")
    by_status = {group["status"]: group["count"] for group in counts["counts"]}
    answer = {
        "changed": kept.changed > 0,
        "tenant_id": kept.made["tenant_id"],
        "address": provider.calls.address,
        "key_file": str(settings.data_dir / KEY),
        "people": len(kept.part("people")),
        "clients": len(kept.part("clients")),
        "sources": len(kept.part("sources")),
        "incidents": len(kept.part("incidents")),
        "by_status": by_status,
    }
    statuses = ", ".join(f"{count} {status}" for status, count in by_status.items())
    made = f"{answer['people']} people, {answer['clients']} clients, {answer['incidents']} incidents ({statuses})"
    lines = [f"{provider.story['tenant']}: {made}."]
    if not answer["changed"]:
        lines.append("Everything was there already; nothing was changed.")
    lines.append(f"Key of {provider.story['first_person']['name']}: {settings.data_dir / KEY}")
    lines.append(f"Everybody's keys: {settings.data_dir / KEPT}")
    say(answer, as_json=as_json, lines=lines)


@contextlib.contextmanager
def _served(settings: "Settings", url: str | None) -> Iterator[str]:
    """The address of the running service, or of one that is started for the length of the block."""
    import httpx

    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104  (where to call, not listen)
    address = url or f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        if settings.port or url:
            httpx.get(f"{address}/healthz", timeout=5, trust_env=False)
            yield address
            return
    except httpx.ConnectError:
        if url:
            fail(f"--url: nothing answers at {url}. Start the service, or leave the option away.", EXIT_UNUSABLE)
    command = [sys.executable, "-m", "app.cli", "--data-dir", str(settings.data_dir), "serve", "--port", "0"]
    quiet = {**os.environ, "HOLDFAST_LOG_LEVEL": "error"}
    with subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (it is ourselves)
        try:
            assert process.stdout is not None, "it was asked for"
            found = next((match for line in process.stdout if (match := LISTENS.search(line))), None)
            if found is None:
                fail("The service did not start; what it said stands above.", EXIT_UNUSABLE)
            yield found[1]
        finally:
            process.terminate()
