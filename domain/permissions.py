"""Who may do what: one table of operations, read from data, asked by every door.

A caller passes when its roles, or the relations that the use case found between it and the thing, meet the words of
the operation. Limits to clients or periods narrow that further and are the database's business.
"""

from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from domain.glossary import CONTENT, STAFF, ActorKind, Mark, Role
from domain.shipped import shipped


class Relation(StrEnum):
    """What a use case finds between a caller and a thing. What each means stands in permissions.yaml."""

    STEP_ACTOR = "step_actor"
    ROLE_ACTOR = "role_actor"
    OPEN_STEP_ACTOR = "open_step_actor"
    LAST_STEP_ACTOR = "last_step_actor"
    REPORTER = "reporter"
    PARTICIPANT = "participant"
    AUTHOR = "author"
    APPROVER = "approver"
    MANAGER = "manager"
    GATE_ROLE = "gate_role"
    SELF = "self"
    OWN = "own"


MEMBER = "member"
CONTENT_WORD = "content"
FOR_SERVICE_ACCOUNTS = frozenset({Role.SERVICE_ACCOUNT.value, Relation.OWN.value})
"""The only words that let a service account pass: it never acts on steps, decides, approves or signs."""

Word = Literal["member", "content"] | Role | Relation


class OperationText(BaseModel):
    """One operation as written in the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_]+)+$")]
    text: Annotated[str, Field(min_length=1)]
    who: Annotated[list[Word], Field(min_length=1)]
    person: bool = False
    reads: bool = False
    source: Mark | None = None


class GroupText(BaseModel):
    """Operations that the table prints under one heading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    source: Mark
    operations: list[OperationText]


class Operation:
    """One row of the table, prepared for asking. `who` keeps the words as they are written."""

    __slots__ = ("group", "name", "needs_person", "reads", "roles", "source", "text", "who")

    def __init__(self, group: GroupText, text: OperationText) -> None:
        self.group = group.title
        self.name = text.name
        self.text = text.text
        self.who = tuple(str(word) for word in text.who)
        self.needs_person = text.person
        self.reads = text.reads
        self.source = (text.source or group.source).value
        words = set(self.who)
        if CONTENT_WORD in words:
            words |= {role.value for role in CONTENT}
        self.roles = frozenset(words)
        """Words that a role or a relation has to meet, the groups spelled out."""


@cache
def _operations() -> dict[str, Operation]:
    groups = TypeAdapter(list[GroupText]).validate_python(shipped("permissions.yaml")["groups"])
    found = [Operation(group, text) for group in groups for text in group.operations]
    operations = {operation.name: operation for operation in found}
    if len(operations) < len(found):
        raise ValueError("permissions.yaml names an operation twice")
    return operations


OPERATIONS: dict[str, Operation] = _operations()
"""Every operation by its name, in the order of the table."""

_RELATIONS_OF_PERSONS = frozenset(relation.value for relation in Relation) - {Relation.OWN.value}


def allows(operation: str, roles: Collection[str], kind: str, relations: Collection[str] = ()) -> bool:
    """Whether a caller with these roles and relations may do it.

    `kind` is `person` or `service_account`; the system itself acts as the rules tell it and is never asked, so any
    other kind is refused. Raises KeyError for an operation that is not in the table.
    """
    row = OPERATIONS[operation]
    if kind == ActorKind.SERVICE_ACCOUNT:
        if row.needs_person:
            return False
        return Role.SERVICE_ACCOUNT.value in row.roles or (Relation.OWN in relations and Relation.OWN in row.roles)
    if kind != ActorKind.PERSON:
        return False
    if not row.reads and _only_audits(roles):
        return Role.AUDITOR in row.roles
    return MEMBER in row.roles or not row.roles.isdisjoint(roles) or not row.roles.isdisjoint(_of_person(relations))


def may_ever(operation: str, roles: Collection[str], kind: str) -> bool:
    """Whether some relation could let such a caller do it: false means that asking further is pointless.

    Raises KeyError for an operation that is not in the table.
    """
    return allows(operation, roles, kind, [relation.value for relation in Relation])


def needs_person(operation: str) -> bool:
    """Whether only a person can do it. Raises KeyError for an operation that is not in the table."""
    return OPERATIONS[operation].needs_person


def _of_person(relations: Collection[str]) -> Iterator[str]:
    return (relation for relation in relations if relation in _RELATIONS_OF_PERSONS)


def _only_audits(roles: Collection[str]) -> bool:
    """Whether the caller is an auditor and nothing else: such a person writes nothing but its own audit work."""
    return Role.AUDITOR in roles and not set(roles) - STAFF - {Role.AUDITOR.value}


def permissions_page() -> str:
    """The table as the Markdown page docs/permissions.md."""
    lines = [HEAD.strip(), ""]
    group = ""
    for row in OPERATIONS.values():
        if row.group != group:
            group = row.group
            lines += ["", f"## {group}", "", "| Operation | Meaning | Who | Person | From |", "|---|---|---|---|---|"]
        who = ", ".join(f"`{word}`" for word in row.who)
        person = "yes" if row.needs_person else ""
        lines.append(f"| `{row.name}` | {row.text} | {who} | {person} | {row.source} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


HEAD = """
# Permissions

Who may do what. This page is printed from `domain/data/permissions.yaml`, the table that REST, GraphQL and hooks all
ask; `python -m domain.permissions` prints it again.

Beside the roles, the table uses these words:

| Word | Meaning |
|---|---|
| `member` | any authenticated person |
| `content` | every role but `reporting_staff`, `any_staff`, `manager`, `auditor`, `tenant_admin`, `service_account` |
| `service_account` | any service account |
| `step_actor` | holds an owner role of the step or the action's narrower role, is its assignee, or is `risk_owner` |
| `role_actor` | the same for any step of the incident, the staff roles left out |
| `open_step_actor`, `last_step_actor` | the same for a step that is still open, for the last step |
| `reporter` | reported or discovered the incident |
| `participant` | has a part in the incident, assigned persons included |
| `author`, `approver` | wrote or attached the thing, approved it |
| `manager` | holds that role, or is the author's recorded manager |
| `gate_role` | holds the role that the gate, the approval or the notification asks for |
| `self` | the thing is the caller's own |
| `own` | a service account: an incident it opened, or that carries a reference of its source |

`reporting_staff` and `any_staff` are held by every member. They make somebody an actor only in incidents that this
person reported, discovered, participates in or is assigned to, and never open restricted evidence that somebody else
attached. A service account never acts on steps, decides, approves or signs. `tenant_admin` alone reads no content of
incidents; `auditor` alone writes nothing but audit work. A client limit or a period limit narrows every row. Where a
row asks for a person, keys of service accounts are refused; four eyes compare persons, never keys.

From: S source playbook, A source article, X our extension.
"""

if __name__ == "__main__":
    print(permissions_page(), end="")  # noqa: T201
