"""The guide of all settings, from their declarations: `docs/settings.md`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from app.settings import Settings

KIB, MIB, GIB = 1024, 1024**2, 1024**3
BESIDE = {
    "SSL_CERT_FILE": ("the usual ones", "Authorities that addresses we call are checked against, as a file (PEM)."),
}
"""Variables that libraries read: name -> default and meaning."""


def settings_guide() -> str:
    """One row per setting: its variable, its default, what it means and the bounds it is held to."""
    return "\n".join([*_head(), *sorted(_rows()), ""])


def variable_of(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting; the shortest where several are read."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return min((str(one) for one in alias.choices), key=len)
    return f"{Settings.model_config.get('env_prefix', '')}{name}".upper()


def _head() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "<!-- Generated from app/settings.py by `holdfast export-guides`. -->"
    yield ""
    yield "Every setting is an environment variable. A wrong one stops the start with a sentence that says which,"
    yield "and how to mend it. [Operating](operating.md) tells what runs where."
    yield ""
    yield "| variable | default | meaning |"
    yield "|---|---|---|"


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        meaning = f"{field.description}{_bounds(field)}"
        yield f"| `{variable_of(name, field)}` | {_default(field.default)} | {meaning} |"
    for variable, (default, meaning) in BESIDE.items():
        yield f"| `{variable}` | {default} | {meaning} |"


def _default(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, Path) and value.is_absolute():
        return f"`{'/'.join(value.parts[-2:])}` of the installation"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if not isinstance(value, int) or value < KIB else f"`{value}`{_as_size(value)}"


def _as_size(value: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if value % unit == 0:
            return f" ({value // unit} {name})"
    return ""


def _bounds(field: FieldInfo) -> str:
    limits = {key: getattr(one, key) for one in field.metadata for key in ("ge", "gt", "le") if hasattr(one, key)}
    low, high = limits.get("ge", limits.get("gt")), limits.get("le")
    if low is None:
        return ""
    least = "At least" if "ge" in limits else "More than"
    return f" {least} {low}, at most {high}." if high is not None else f" {least} {low}."
