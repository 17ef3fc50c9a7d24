"""No address and no name makes us call the inside, though the inside is there and the rules are those of production."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_webhook_endpoints import INSIDE

ROOT = Path(__file__).resolve().parents[2]
UNSHARE = ["unshare", "--net", "--mount", "--map-root-user", "--user"]
REFUSED = "it lies in a network that is not public"
NAMES = [f"https://{one}.example/" for one in ("rebound", "mixed", "metadata", "mapped", "sixth", "both", "whatever")]


@pytest.fixture(scope="module")
def sent() -> Any:
    """What came of sending to every address, in a network where all of them lead somewhere."""
    try:
        subprocess.run([*UNSHARE, "true"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no network namespaces on this machine")
    urls = ["https://public.example/", "https://rebinding.example/", *NAMES, *INSIDE]
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.rebinding"],
        input=json.dumps(urls),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_inside_is_never_called(sent: Any) -> None:
    assert len(sent["said"]) > 60
    assert sent["inside"] == 0
    assert "sent" not in sent["said"].values()


def test_a_public_name_is_called_and_one_that_turns_inward_is_not_called_there(sent: Any) -> None:
    # Twice the public one, and the other one as long as it was public. Nobody there speaks TLS.
    assert sent["outside"] == 3
    assert sent["said"]["https://public.example/"] == "it did not answer"
    assert sent["said"]["https://rebinding.example/"] == REFUSED


def test_all_names_that_lead_inside_are_refused_alike(sent: Any) -> None:
    assert {sent["said"][url] for url in NAMES} == {REFUSED}
