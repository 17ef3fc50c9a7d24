"""How the demo speaks to a running service: as people with keys, and as a system that signs its webhooks."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

TRIES_MAX = 20
PAUSE_SECONDS_MAX = 10.0


class DemoStopped(Exception):
    """The service answered something that the demo cannot go on with. The message says what."""


@dataclass(frozen=True)
class Member:
    """A person of the demo: an id, the roles held, and a key."""

    name: str
    id: str
    roles: tuple[str, ...]
    key: str


class Calls:
    """Calls of one service. Raises DemoStopped for any answer that is no success."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(base_url=address, timeout=60, trust_env=False)

    def ask(self, key: str, method: str, path: str, body: Any = None, *, once: str | None = None) -> Any:
        """The answer to a call with a key. `once` makes a POST take effect once, however often it is sent."""
        headers = {"Authorization": f"Bearer {key}", **({"Idempotency-Key": once} if once else {})}
        content = None if body is None else json.dumps(body).encode()
        return self.send(method, path, content, {"Content-Type": "application/json", **headers})

    def hook(self, url: str, secret: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Deliver a signed webhook to the address of a source."""
        content = json.dumps(body).encode()
        signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        told: dict[str, Any] = self.send("POST", "/hooks/" + url.rpartition("/")[2], content, headers)
        if told["incident"] is None:
            raise DemoStopped(f"A delivery opened no incident: {told['because']}")
        return told

    def send(self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Any:
        """One call. What asks to be tried later is tried later, a bounded number of times."""
        for _ in range(TRIES_MAX):
            try:
                answer = self._http.request(method, path, content=content, headers=headers)
            except httpx.HTTPError as error:
                raise DemoStopped(f"{self.address} does not answer any more ({type(error).__name__}).") from error
            if answer.status_code not in (429, 503) and not (answer.status_code == 409 and _is_under_way(answer)):
                break
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), PAUSE_SECONDS_MAX))
        if answer.status_code == 401:
            raise DemoStopped(
                f"{self.address} does not know the keys of the demo: it runs on another database. Name its data folder "
                "with HOLDFAST_DATA_DIR, or the port of yours with HOLDFAST_PORT."
            )
        if not answer.is_success:
            raise DemoStopped(f"{method} {path} was answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()


def _is_under_way(answer: httpx.Response) -> bool:
    """Whether the same call is being worked on by another process at this moment."""
    return "Retry-After" in answer.headers
