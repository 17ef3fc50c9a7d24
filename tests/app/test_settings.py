"""Settings: safe without any, and a wrong one is named with its remedy."""

import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, driver_dsn, explain, keep_secret, secret_key, sqlalchemy_url


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"HOLDFAST_{name.upper()}", raising=False)


def fault(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    return explain(caught.value)


def test_nothing_has_to_be_set() -> None:
    settings = Settings()
    assert settings.embedded
    assert settings.migrate_mode == "auto"
    assert settings.base_url == "http://127.0.0.1:8080"


def test_an_external_database_is_checked_but_not_migrated_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://a:b@h/d")
    assert Settings().migrate_mode == "check"
    monkeypatch.setenv("HOLDFAST_MIGRATE", "auto")
    assert Settings().migrate_mode == "auto"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOLDFAST_PORT", "abc", "integer"),
        ("HOLDFAST_PORT", "70000", "65535"),
        ("HOLDFAST_MIGRATE", "no", "'auto', 'check' or 'off'"),
        ("DATABASE_URL", "mysql://x:hunter2@y/z", "postgresql://"),
        ("DATABASE_URL", "postgresql://x:hunter/2@y/z", "%2F"),
        ("HOLDFAST_TRUSTED_PROXIES", "10.0.0.0/33", "IPv4 network"),
        ("HOLDFAST_PUBLIC_URL", "incidents.example.com", "https://"),
        ("HOLDFAST_SECRET_KEY", "hunter2", "at least 32"),
        ("HOLDFAST_SECRET_KEY", "a" * 64, "random"),
        ("HOLDFAST_SECRET_KEY", "change-me-please-4711-hunter2-abcdefgh", "sample value"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    said = fault(monkeypatch, name, value)
    assert all(line.startswith(f"{name}: ") for line in said.splitlines())
    assert words in said
    assert "hunter" not in said


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("HOLDFAST_ALLOWED_HOSTS", "a.example,b.example")
    settings = Settings()
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("given", "driver", "alchemy"),
    [
        ("postgres://a:b@h/d", "postgresql://a:b@h/d", "postgresql+asyncpg://a:b@h/d"),
        (
            "postgresql+asyncpg://a:b@h:1/d?ssl=true&x=y",
            "postgresql://a:b@h:1/d?sslmode=require&x=y",
            "postgresql+asyncpg://a:b@h:1/d?ssl=require&x=y",
        ),
        (
            "postgresql://a:b@/d?host=/tmp/x",
            "postgresql://a:b@/d?host=/tmp/x",
            "postgresql+asyncpg://a:b@/d?host=/tmp/x",
        ),
        ("postgresql:///d?host=/tmp/x", "postgresql:///d?host=/tmp/x", "postgresql+asyncpg:///d?host=/tmp/x"),
    ],
)
def test_every_spelling_of_an_address_reaches_the_driver(given: str, driver: str, alchemy: str) -> None:
    assert driver_dsn(given) == driver
    assert sqlalchemy_url(given) == alchemy


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://a:hunter2@h/d")
    monkeypatch.setenv("HOLDFAST_SECRET_KEY", "kV3-9sXqLm2ZtR7yBw8NpJc5HdGf4A1u")
    assert "hunter2" not in repr(Settings())
    assert "kV3" not in repr(Settings())


def test_a_kept_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret-key"
    first = keep_secret(path)
    assert len(first) >= 43
    assert keep_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [left.name for left in path.parent.iterdir()] == ["secret-key"]


def test_the_given_secret_key_wins_over_the_kept_one(tmp_path: Path) -> None:
    kept = secret_key(Settings(data_dir=tmp_path))
    assert kept == secret_key(Settings(data_dir=tmp_path))
    given = "kV3-9sXqLm2ZtR7yBw8NpJc5HdGf4A1u"
    assert secret_key(Settings(data_dir=tmp_path, secret_key=given)) == given.encode()  # type: ignore[arg-type]
