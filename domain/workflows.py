"""The automated workflow that an incident is about: stopped by one action, returned by the outcome of another."""

from enum import StrEnum

from msgspec import Struct


class WorkflowStatus(StrEnum):
    """Whether an automated workflow that an incident is about does its work."""

    RUNNING = "running"
    SUSPENDED = "suspended"
    IN_SERVICE = "in_service"
    RESTRICTED = "restricted"
    RETIRED = "retired"


class Workflow(Struct, frozen=True, kw_only=True):
    """The action that suspends an automated workflow, and the one whose outcome says how it returns."""

    suspended_by: str
    returned_by: str
    outcomes: dict[str, str]
