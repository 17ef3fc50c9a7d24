"""The systems that we call, as data: how each is signed in to, what can be asked of it, what its answers mean.

A new system is one YAML file in `data/connections/`. An operation is one request or several, of which each sees the
answers to those before it.
"""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.expressions import Expression, Scope
from domain.refusals import InputError, Invalid
from domain.shipped import shipped, shipped_names
from domain.templates import Address, Written, compiled

VARIABLES = frozenset(
    {"connection", "credentials", "incident", "event", "client", "map", "ticket", "note", "status", "record"}
)
"""What an operation may be told. Each is unknown where it means nothing: `note` when a ticket is read."""
ANSWERED = frozenset({"body", "item"})
RETRIED = frozenset({408, 425, 429, *range(500, 600)})
CREDENTIAL_MAX = 4_000  # characters

Kind = Literal["done", "retry", "gone", "refused"]
Text = Annotated[str, Field(min_length=1, max_length=1_000)]
Member = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]{0,40}$")]  # what is fetched may keep the names it has there
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CredentialText(_Model):
    """One thing that somebody copies out of the system."""

    title: Text
    optional: bool = False


class TokenText(_Model):
    """A token that is asked for with a form (OAuth2 client credentials, RFC 6749 4.4).

    `host` is where, where that is not the system itself.
    """

    path: Text
    host: Text | None = None
    query: dict[str, Any] = {}
    form: dict[str, Any]


class AuthText(_Model):
    """One way to sign in. `basic` is user and password, each an expression over `credentials`."""

    title: Text
    credentials: Annotated[dict[Label, CredentialText], Field(min_length=1, max_length=10)]
    basic: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = None
    headers: dict[str, Text] = {}
    token: TokenText | None = None


class RequestText(_Model):
    """One request. What it is answered is known to those after it as `name`."""

    method: Literal["GET", "POST", "PUT", "PATCH"] = "GET"
    path: Text
    query: dict[str, Any] = {}
    headers: dict[str, Text] = {}
    body: Any = None
    name: Label | None = None


class OperationText(_Model):
    """What can be asked. `answer` reads the last body, or with `each` every element of a list in it as `item`.

    `gone` are the answers that say that the thing is not there any more, `retry` those that others mean in earnest and
    this system means for a while.
    """

    requests: Annotated[list[RequestText], Field(min_length=1, max_length=3)]
    each: Text | None = None
    where: Text | None = None
    answer: dict[Member, Text] = {}
    gone: list[int] = []
    retry: list[int] = []

    @model_validator(mode="before")
    @classmethod
    def _one_request(cls, value: Any) -> Any:
        """A single request may stand where the list would."""
        if isinstance(value, dict) and "requests" not in value:
            own = {name: value[name] for name in cls.model_fields if name in value}
            return {**own, "requests": [{name: one for name, one in value.items() if name not in own}]}
        return value


class MapText(_Model):
    """A word that a tenant may set for its tickets, as a whole or for each client."""

    title: Text
    needed: bool = False


class ConnectionSystemText(_Model):
    """One system as its file describes it. `base_url` is an example of what is typed in."""

    system: Label
    title: Text
    base_url: Text
    guide: Annotated[list[Text], Field(min_length=1)]  # what to click there, in order
    auth: Annotated[list[AuthText], Field(min_length=1, max_length=4)]
    headers: dict[str, str] = {}
    map: dict[Label, MapText] = {}
    operations: Annotated[dict[Label, OperationText], Field(min_length=1)]


class Asked(Struct, frozen=True):
    """A compiled request."""

    method: str
    path: Address
    query: Written
    headers: Written
    body: Written | None
    name: str | None


class Operation(Struct, frozen=True, kw_only=True):
    """A compiled operation."""

    requests: tuple[Asked, ...]
    each: Expression | None
    where: Expression | None
    answer: dict[str, Expression]
    gone: frozenset[int]
    retry: frozenset[int]

    def kind(self, status: int) -> Kind:
        """What an answer of this status means."""
        if 200 <= status < 300:
            return "done"
        if status in self.gone:
            return "gone"
        return "retry" if status in RETRIED or status in self.retry else "refused"


class Token(Struct, frozen=True):
    """How a token is asked for."""

    path: Address
    query: Written
    form: Written
    host: Expression | None = None


class Auth(Struct, frozen=True, kw_only=True):
    """A compiled way to sign in."""

    title: str
    credentials: dict[str, CredentialText]
    basic: tuple[Expression, ...]
    headers: Written
    token: Token | None

    def takes(self, given: Collection[str]) -> bool:
        """Whether these names are all that it needs, and nothing that it does not know."""
        needed = {name for name, one in self.credentials.items() if not one.optional}
        return needed <= set(given) <= self.credentials.keys()


class ConnectionSystem(Struct, frozen=True, kw_only=True):
    """A system, compiled."""

    name: str
    title: str
    base_url: str
    guide: tuple[str, ...]
    auth: tuple[Auth, ...]
    headers: dict[str, str]
    map: dict[str, MapText]
    operations: dict[str, Operation]

    def auth_for(self, given: Collection[str]) -> Auth:
        """The way to sign in with these credentials. Raises Invalid with pointers below `/credentials`."""
        for one in self.auth:
            if one.takes(given):
                return one
        ways = " or ".join(
            ", ".join(f"{name}{' (optional)' if one.optional else ''}" for name, one in auth.credentials.items())
            for auth in self.auth
        )
        raise Invalid(
            f"{self.title} is signed in to with other credentials.", errors=[InputError("/credentials", f"give {ways}")]
        )


def connection_system(name: str) -> ConnectionSystem:
    """A system by its name. Raises Invalid with a pointer to `/system`."""
    found = connection_systems().get(name)
    if found is None:
        there_are = ", ".join(sorted(connection_systems()))
        raise Invalid("No system of this name can be called.", errors=[InputError("/system", f"one of {there_are}")])
    return found


@cache
def connection_systems() -> Mapping[str, ConnectionSystem]:
    """All systems that can be called, by name. Raises InvalidExpression and ValidationError for a faulty file."""
    texts = [ConnectionSystemText.model_validate(shipped(name)) for name in shipped_names("connections")]
    return {text.system: compile_connection_system(text) for text in texts}


def compile_connection_system(text: ConnectionSystemText) -> ConnectionSystem:
    """A system ready to be called. Raises InvalidExpression."""
    return ConnectionSystem(
        name=text.system,
        title=text.title,
        base_url=text.base_url,
        guide=tuple(text.guide),
        auth=tuple(_auth(one) for one in text.auth),
        headers=text.headers,
        map=text.map,
        operations={name: _operation(one) for name, one in text.operations.items()},
    )


def known(
    variables: Mapping[str, Any], answers: Mapping[str, Any] | None = None, *, ends_at: float | None = None
) -> Scope:
    """What the expressions of a call see, until `ends_at` of CPU time. What is not given is unknown."""
    given = {**variables, **(answers or {})}
    return Scope(given, (VARIABLES | ANSWERED) - given.keys(), ends_at=ends_at)


def _auth(text: AuthText) -> Auth:
    names = {"credentials", "connection"}
    token = None
    if text.token is not None:
        given = text.token
        host = None if given.host is None else compiled(given.host, names)
        token = Token(Address(given.path, names), Written(given.query, names), Written(given.form, names), host)
    return Auth(
        title=text.title,
        credentials=dict(text.credentials),
        basic=tuple(compiled(one, names) for one in text.basic or ()),
        headers=Written(text.headers, names),
        token=token,
    )


def _operation(text: OperationText) -> Operation:
    names = set(VARIABLES)
    asked = []
    for one in text.requests:
        body = None if one.body is None else Written(one.body, names)
        query, headers = Written(one.query, names), Written(one.headers, names)
        asked.append(Asked(one.method, Address(one.path, names), query, headers, body, one.name))
        if one.name is not None:
            names.add(one.name)
    names |= ANSWERED
    return Operation(
        requests=tuple(asked),
        each=None if text.each is None else compiled(text.each, names),
        where=None if text.where is None else compiled(text.where, names),
        answer={name: compiled(one, names) for name, one in text.answer.items()},
        gone=frozenset(text.gone),
        retry=frozenset(text.retry),
    )
