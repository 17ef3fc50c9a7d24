"""/docs: the OpenAPI document as one page of plain HTML. No script, nothing loaded from elsewhere."""

import asyncio
import html
from functools import lru_cache
from threading import Lock
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.pages import POLICY, PlainRoute, page
from api.schemas import openapi

DOCUMENT_TYPE = "application/json; charset=utf-8"
# Making the document takes a second of CPU: beside the loop, so that nobody else waits, and one at a time.
_making = Lock()


async def _document(request: Request) -> Response:
    return Response(await asyncio.to_thread(_document_bytes, request.app), 200, None, DOCUMENT_TYPE)


async def _reference(request: Request) -> Response:
    return HTMLResponse(await asyncio.to_thread(_reference_text, request.app), 200, {"Content-Security-Policy": POLICY})


ROUTES = [PlainRoute("/openapi.json", _document, methods=["GET"]), PlainRoute("/docs", _reference, methods=["GET"])]


@lru_cache(maxsize=4)
def _document_bytes(api: Any) -> bytes:
    with _making:
        return orjson.dumps(openapi(api))


@lru_cache(maxsize=4)
def _reference_text(api: Any) -> str:
    with _making:
        document = openapi(api)
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    parts = [f"<h2>{html.escape(tag)}</h2>{''.join(entries)}" for tag, entries in by_tag.items()]
    schemas = "".join(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    info = document["info"]
    head = (
        f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>"
        f"<p>{html.escape(info.get('description', ''))}</p>"
        '<p>The whole truth for machines: <a href="/openapi.json">openapi.json</a>.'
        ' Errors: <a href="/problems">problems</a>.'
    )
    return page("API reference", f"{head}{''.join(parts)}<h2>Schemas</h2>{schemas}")


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f"<p>{html.escape(operation.get('description', ''))}</p>"]
    granted = operation.get("x-operation")
    if granted:
        names = [granted] if isinstance(granted, str) else granted
        lines.append(f"<p>Permission: {', '.join(f'<code>{html.escape(name)}</code>' for name in names)}</p>")
    for one in operation.get("parameters", []):
        about = html.escape(f"{one['in']}; {one.get('description', '')}")
        lines.append(f"<div><code>{html.escape(one['name'])}</code> <small>{about}</small></div>")
    body = operation.get("requestBody", {}).get("content", {})
    lines += [f"<p>Body: {_reference_to(content.get('schema', {}))}</p>" for content in body.values()]
    for status, answer in sorted(operation["responses"].items()):
        content: dict[str, Any] = next(iter(answer.get("content", {}).values()), {})
        shown = _reference_to(content.get("schema", {})) if status < "3" else html.escape(answer["description"])
        lines.append(f"<div><code>{status}</code> {shown}</div>")
    summary = html.escape(operation.get("summary", ""))
    title = f'<span class="method">{method.upper()}</span> <code>{html.escape(path)}</code> {summary}'
    return f"<details><summary>{title}</summary>{''.join(lines)}</details>"


def _reference_to(schema: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name:
        return f'<a href="#{html.escape(name)}"><code>{html.escape(name)}</code></a>'
    return f"<code>{html.escape(str(schema.get('type', 'any')))}</code>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    text = html.escape(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())
    name = html.escape(name)
    return f'<details id="{name}"><summary><code>{name}</code></summary><pre>{text}</pre></details>'
