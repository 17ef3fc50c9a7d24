"""The guide of each system, from its data file: what to click there, what to paste, what arrives.

The commands run as they stand, against a service that `make run` started.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from domain.mappings import SourceEvent, read_delivery
from domain.signatures import Hmac, Received, Scheme, Sns
from domain.systems import GuideText, SystemText, system_names, system_of, system_text

FOLDER = "docs/systems"
LABELS = {
    "external_id": "its id",
    "key": "number people know it by",
    "url": "link",
    "title": "title",
    "summary": "summary",
    "severity_hint": "severity there",
    "status": "status there",
    "client_ref": "client, as it is called there",
    "client_name": "client's name there",
    "reporter": "reported by",
    "assignee": "assigned there to",
    "created_at": "discovered",
    "labels": "labels",
    "observables": "observables",
    "ai_systems": "AI systems",
    "sender": "organisation (`limits.sender`)",
    "author": "account (`limits.own_authors`)",
    "correlation": "counted together by",
}
MEANS = {
    "open": "opens an incident",
    "update": "brings the incident up to date",
    "close": "asks a person to close",
    "comment": "adds a note to the timeline",
    "ignore": "is kept without effect",
}
SHOWN_MAX = 120  # characters of a value in the table


def guides() -> dict[str, str]:
    """The guide of every system, by the name of its file."""
    return {f"{name}.md": "\n".join(_guide(text)) for name in system_names() if (text := system_text(name)) is not None}


def _guide(text: SystemText) -> Iterator[str]:
    assert text.guide is not None, f"{text.system} has no guide"
    guide, proof = text.guide, proof_of(text)
    yield f"# {text.title}"
    yield ""
    yield f"<!-- Generated from domain/data/systems/{text.system}.yaml by `holdfast export-guides`. -->"
    yield ""
    yield guide.about
    yield "What deliveries mean, and every setting of a source, is told in [Sending alerts](../sending-alerts.md)."
    yield ""
    yield "## Here: add a source"
    yield ""
    yield f"The secret: {guide.secret}"
    yield ""
    yield from _added(text, proof)
    yield ""
    yield f"## There: {text.title}"
    yield ""
    yield f"Events to choose: {guide.events}"
    yield ""
    yield from (f"{number}. {click}" for number, click in enumerate(guide.clicks, 1))
    yield ""
    yield "## Try it"
    yield ""
    yield from _tried(text.system, guide, proof)
    yield ""
    yield "## What arrives"
    yield ""
    yield from _read(text.system, guide)
    yield ""
    if text.fetch:
        yield (
            "Such a delivery only names a part of what happened. With a `connection_id` (`POST /v1/connections`) the"
            " rest is fetched before it acts."
        )
        yield ""
    yield "The first of these that holds says what a delivery means:"
    yield ""
    for event in text.events:
        because = f" ({event.because})" if event.because else ""
        yield f"- It {MEANS[event.action]}{because}: `{' '.join(event.when.split())}`"
    yield ""
    if guide.notes:
        yield "## Good to know"
        yield ""
        yield from (f"- {note}" for note in guide.notes)
        yield ""


def proof_of(text: SystemText) -> Scheme:
    """The proof that the guide shows: the one it names, else the first that a line of shell can make."""
    assert text.guide is not None
    wanted = text.guide.proof
    kinds = ("hmac", "bearer", "header_token", "query_token", "body_token", "sns")
    found = [one for one in text.verify if (one.kind == wanted if wanted else one.kind in kinds)]
    return found[0]


def _added(text: SystemText, proof: Scheme) -> Iterator[str]:
    given: dict[str, Any] = {"name": text.title, "system": text.system}
    secret = ', "secret": "\'$SECRET\'"' if not isinstance(proof, Sns) else ""
    body = orjson.dumps(given).decode().replace('":"', '": "').replace('","', '", "')[:-1]
    yield "```sh"
    yield "HOLDFAST=http://127.0.0.1:8080"
    yield "KEY=$(cat .holdfast/admin-key)"
    if secret:
        yield "SECRET=correct-horse-battery-staple"
    yield 'answer=$(curl -s $HOLDFAST/v1/sources -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\'
    yield f"  -d '{body}{secret}}}')"
    if not secret:
        yield """ID=$(printf %s "$answer" | sed 's/^{"id":"\\([^"]*\\)".*/\\1/')"""
    yield """HOOK=$(printf %s "$answer" | sed 's/.*"hook_url":"\\([^"]*\\)".*/\\1/')"""
    yield 'echo "The address: $HOOK"'
    yield "```"


def _tried(name: str, guide: GuideText, proof: Scheme) -> Iterator[str]:
    alone = isinstance(proof, Sns)
    yield (
        "Nobody but Amazon can sign this, so ask what it would do:"
        if alone
        else "Send what it sends, proven as it proves it. The answer says `created` and the number of the incident:"
    )
    yield ""
    yield "```sh"
    yield "cat > sample.json <<'BODY'"
    yield guide.sample.rstrip("\n")
    yield "BODY"
    if alone:
        yield """{ printf '{"body":'; cat sample.json; printf '}'; } | curl -s $HOLDFAST/v1/sources/$ID/preview \\"""
        yield '  -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" --data-binary @-'
    else:
        address, headers = _proof(proof)
        headers = {"Content-Type": "application/json", **headers, **_titled(guide.headers)}
        if isinstance(proof, Hmac):
            yield from _signed(proof)
        yield f'curl -s "{address}" \\'
        yield from (f'  -H "{key}: {value}" \\' for key, value in headers.items())
        yield "  --data-binary @sample.json"
    yield "```"


def _titled(headers: dict[str, str]) -> dict[str, str]:
    return {"Content-Type" if name == "content-type" else name: value for name, value in headers.items()}


def _proof(proof: Scheme) -> tuple[str, dict[str, str]]:
    """The address and the headers of a proven request."""
    match proof.kind:
        case "hmac":
            more = {proof.timestamp_header: "$at"} if proof.timestamp_header else {}
            return "$HOOK", {proof.header: f"{proof.prefix}$sign", **more}
        case "bearer":
            return "$HOOK", {"Authorization": "Bearer $SECRET"}
        case "header_token":
            return "$HOOK", {proof.header: f"{proof.prefix}$SECRET"}
        case "query_token":
            return f"$HOOK?{proof.parameter}=$SECRET", {}
    return "$HOOK", {}


def _signed(proof: Hmac) -> Iterator[str]:
    key = '-hmac "$SECRET"'
    if proof.key == "sha256_digest":
        yield """digest=$(printf %s "$SECRET" | openssl dgst -sha256 | sed 's/^.* //')"""
        key = "-mac HMAC -macopt hexkey:$digest"
    content = "cat sample.json"
    before = proof.signed.partition("{body}")[0]
    if proof.timestamp_header:
        yield f"at=$(date {'+%s' if proof.timestamp_format == 's' else '-u +%Y-%m-%dT%H:%M:%SZ'})"
        before = before.replace("{timestamp}", "$at")
        content = f'{{ printf %s "{before}"; cat sample.json; }}'
    end = "-binary | openssl base64 -A" if proof.encoding == "base64" else "| sed 's/^.* //'"
    yield f"sign=$({content} | openssl dgst -{proof.algorithm} {key} {end})"


def sample_of(guide: GuideText) -> Received:
    """The sample as it is received."""
    headers = {"content-type": "application/json", **{name.lower(): value for name, value in guide.headers.items()}}
    return Received(body=guide.sample.encode(), headers=headers)


def _read(name: str, guide: GuideText) -> Iterator[str]:
    event: SourceEvent = read_delivery(system_of(name), sample_of(guide)).events[0]
    yield f"Of that body is read (it {MEANS[event.action]}):"
    yield ""
    yield "| here | from the sample |"
    yield "|---|---|"
    for field, label in LABELS.items():
        value = getattr(event, field)
        if value not in (None, [], {}):
            yield f"| {label} | {_shown(value)} |"


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value)
    if isinstance(value, dict):
        return _shown(value.get("name", ""))
    text = " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."
