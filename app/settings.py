"""Settings: everything that an operator may choose, read once from the environment."""

import os
import secrets
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = IPv4Network | IPv6Network
MigrateMode = Literal["auto", "check", "off"]
MIB = 1024 * 1024
SECRET_KEY_LENGTH_MIN = 32
# What people copy from examples; a key that others know protects nothing.
SAMPLE_WORDS = (
    "change",
    "example",
    "sample",
    "secret",
    "password",
    "holdfast",
    "your-",
    "insert",
    "default",
    "test-key",
)


class Settings(BaseSettings):
    """One variable per field: `HOLDFAST_` and the name in capitals, for instance `HOLDFAST_PORT`."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_ignore_empty=True,
        validate_by_name=True,
    )

    data_dir: Path = Field(Path(".holdfast"), description="Folder for the embedded database, keys and evidence.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        None, description="Address callers use, for links and hook urls; without it the one listened on."
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Proxies whose X-Forwarded headers are believed, as networks separated by commas."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Host names answered to, separated by commas; empty answers to any."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Web origins of consoles that may call from a browser, over HTTP and sockets, separated by commas.",
    )

    graphql_operations: Path = Field(
        Path(__file__).parents[1] / "openapi" / "operations", description="Folder of the trusted GraphQL documents."
    )
    graphql_trusted_only: bool = Field(False, description="Run no GraphQL document but the trusted ones.")

    issuer_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Networks beside the public one where identity providers may be, separated by commas."
    )
    webhook_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Networks beside the public one that events may be sent into, separated by commas; plain http"
        " goes to a loopback address in them alone.",
    )

    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("HOLDFAST_DATABASE_URL", "DATABASE_URL"),
        description="PostgreSQL 15 or newer, as the runtime role; without it an embedded server is started.",
    )
    owner_database_url: SecretStr | None = Field(
        None, description="The same database as the role that owns the tables; only migrations use it."
    )
    migrate: MigrateMode | None = Field(
        None,
        description="At start: `auto` (without saying, when embedded) brings the schema up to date, `check` refuses an"
        " old one, `off` does not look.",
    )
    pool_min: int = Field(2, ge=0, le=1000, description="Connections kept open per process.")
    pool_max: int = Field(16, ge=1, le=1000, description="Connections at most per process.")
    pool_wait_seconds: float = Field(4.0, gt=0, le=60, description="How long a request waits for a connection.")
    pg_bindir: Path | None = Field(None, description="Folder of the PostgreSQL programs the embedded server uses.")
    pg_all_cores: bool = Field(False, description="Let the embedded server use cores this process is barred from.")

    secret_key: SecretStr | None = Field(
        None,
        description="Seals stored secrets; at least 32 characters, the same in every process. Without it one is made"
        " and kept in the data folder.",
    )
    previous_secret_key: SecretStr | None = Field(None, description="The key before the last rotation, still readable.")

    worker: bool = Field(True, description="Do background work inside `holdfast serve`.")
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus listener.")
    metrics_port: int = Field(9464, ge=0, le=65535, description="Its port; 0 switches the listener off.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line written.")
    log_format: Literal["json", "console"] = Field("json", description="One JSON object per line, or text for eyes.")

    json_body_bytes_max: int = Field(MIB, ge=1024, le=16 * MIB, description="Largest JSON body.")
    hook_body_bytes_max: int = Field(MIB, ge=1024, le=16 * MIB, description="Largest body of an inbound webhook.")
    body_stall_seconds: float = Field(10.0, gt=0, le=300, description="A body that brings nothing this long is cut.")
    body_total_seconds: float = Field(60.0, gt=0, le=3600, description="A body that is not an upload must end by then.")
    shutdown_seconds: int = Field(20, ge=1, le=300, description="How long requests may finish after SIGTERM.")

    evidence_file_bytes_max: int = Field(256 * MIB, ge=1024, description="Largest evidence file.")
    evidence_incident_bytes_max: int = Field(5 * 1024 * MIB, ge=1024, description="Evidence of one incident.")
    evidence_tenant_bytes_max: int = Field(500 * 1024 * MIB, ge=1024, description="Evidence of one tenant.")

    key_requests_per_minute: int = Field(60_000, ge=1, description="Requests of one credential.")
    tenant_requests_per_minute: int = Field(120_000, ge=1, description="Requests of one tenant.")
    source_requests_per_minute: int = Field(60_000, ge=1, description="Deliveries of one inbound source.")
    refused_credentials_per_minute: int = Field(60, ge=1, description="Wrong credentials of one address or prefix.")
    sockets_max: int = Field(5_000, ge=1, description="Open WebSockets and event streams of this process.")
    tenant_sockets_max: int = Field(2_000, ge=1, description="The same of one tenant in this process.")
    incidents_per_day: int = Field(1_000_000, ge=1, description="Incidents one tenant may open in a day.")

    @field_validator(
        "trusted_proxies", "allowed_hosts", "cors_origins", "issuer_networks", "webhook_networks", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        return SecretStr(driver_dsn(value.get_secret_value())) if value else None

    @field_validator("public_url")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http or https address such as https://incidents.example.com")
        return value.rstrip("/")

    @field_validator("secret_key", "previous_secret_key")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value()
        if len(text) < SECRET_KEY_LENGTH_MIN or len(set(text)) < SECRET_KEY_LENGTH_MIN // 4:
            raise ValueError(f"needs at least {SECRET_KEY_LENGTH_MIN} random characters; {_MAKE_ONE}")
        if any(word in text.lower() for word in SAMPLE_WORDS):
            raise ValueError(f"looks like a sample value that others know too; {_MAKE_ONE}")
        return value

    @property
    def embedded(self) -> bool:
        """Whether the service runs its own PostgreSQL."""
        return self.database_url is None

    @property
    def migrate_mode(self) -> MigrateMode:
        """What to do about the schema at start: `auto` only with the embedded server, unless told."""
        return self.migrate or ("auto" if self.embedded else "check")

    @property
    def base_url(self) -> str:
        """Address for links, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


_MAKE_ONE = 'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'


@lru_cache(maxsize=1)
def _variables() -> dict[str, str]:
    names = {name: f"HOLDFAST_{name.upper()}" for name in Settings.model_fields}
    return names | {"database_url": "DATABASE_URL", "holdfast_database_url": "DATABASE_URL"}


def explain(error: ValidationError) -> str:
    """One line per wrong setting: the variable, what is wrong, what would be right. Never shows a value."""
    lines: dict[str, str] = {}
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        variable = _variables().get(name.lower(), name)
        field = Settings.model_fields.get(name.lower().removeprefix("holdfast_"))
        said = fault["msg"].removeprefix("Value error, ")
        meaning = f" ({field.description})" if field and field.description else ""
        lines.setdefault(variable, f"{variable}: {said}{meaning}")
    return "\n".join(lines.values())


def driver_dsn(url: str) -> str:
    """`url` as asyncpg takes it: scheme postgresql, `sslmode` instead of SQLAlchemy's `ssl`.

    Raises ValueError when it is no PostgreSQL address.
    """
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] not in {"postgres", "postgresql"}:
        raise ValueError("must begin with postgresql://, for instance postgresql://holdfast:...@db.example.com/name")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("has a port that is no number; a / or @ inside a password is written %2F or %40") from None
    query = {"sslmode" if name == "ssl" else name: value for name, value in parse_qsl(parts.query)}
    if query.get("sslmode") == "true":
        query["sslmode"] = "require"
    # An empty authority keeps its slashes: postgresql:///name?host=/folder is a socket address.
    rest = urlunsplit(("", parts.netloc, parts.path, urlencode(query, safe="/"), ""))
    return "postgresql:" + (rest if rest.startswith("//") else "//" + rest)


def sqlalchemy_url(dsn: str) -> str:
    """A dsn of `driver_dsn` as SQLAlchemy takes it for the asyncpg driver."""
    scheme, _, rest = driver_dsn(dsn).partition("://")
    return f"{scheme}+asyncpg://{rest}".replace("?sslmode=", "?ssl=").replace("&sslmode=", "&ssl=")


def keep_secret(path: Path) -> str:
    """The secret in `path`, made (43 random characters, mode 0600) on first use; two processes agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)  # fails when another process was first: the file is whole or absent, never half
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def secret_key(settings: Settings) -> bytes:
    """The key that seals stored secrets: HOLDFAST_SECRET_KEY, else the one kept in the data folder."""
    given = settings.secret_key
    return (given.get_secret_value() if given else keep_secret(settings.data_dir / "secret-key")).encode()
