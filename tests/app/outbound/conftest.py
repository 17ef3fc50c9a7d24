"""A service and couriers that may call this machine, and a receiver to call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from app.courier import Courier
from app.database import Database
from app.secrets import vault_of
from app.settings import Settings
from tests.conftest import serving
from tests.receiver import Receiver, receiving


@pytest.fixture(scope="module")
def loopback(settings: Settings) -> Settings:
    """Settings of an operator who lets events be sent to this machine."""
    return settings.model_copy(update={"webhook_networks": (ip_network("127.0.0.0/8"),)})


@pytest.fixture(scope="module")
async def near(loopback: Settings) -> AsyncIterator[str]:
    from api.server import create_api

    async with serving(create_api(loopback)) as address:
        yield address


@pytest.fixture
async def http(near: str, tenant: Any) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with httpx.AsyncClient(base_url=near, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
def courier(database: Database, loopback: Settings) -> Callable[..., Courier]:
    """Makes couriers; `ahead` winds their clock, forward or back."""

    def make(**ahead: float) -> Courier:
        return Courier(database, loopback, vault_of(loopback), clock=lambda: datetime.now(UTC) + timedelta(**ahead))

    return make
