"""Attaching evidence in tests, and looking at what it left behind."""

import hashlib
import os
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
RESTRICTED = {"kind": "transcript"}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def attach(http: httpx.AsyncClient, incident: dict[str, Any], data: bytes = PNG, **members: Any) -> Any:
    """Attach a file by a form."""
    name = members.pop("filename", "prompt.png")
    headers = members.pop("headers", None)
    url = f"/v1/incidents/{incident['number']}/evidence"
    return await http.post(url, files={"file": (name, data)}, data=members, headers=headers)


def incoming(settings: Settings) -> list[str]:
    folder = settings.data_dir / "evidence" / ".incoming"
    return os.listdir(folder) if folder.exists() else []


async def listed(http: httpx.AsyncClient, incident: dict[str, Any]) -> list[dict[str, Any]]:
    return (await http.get(f"/v1/incidents/{incident['id']}/evidence")).json()["items"]


def folder_of(settings: Settings, tenant: Any) -> Path:
    """Where the tenant's files lie."""
    return settings.data_dir / "evidence" / str(tenant.tenant_id)
