"""The data files that are shipped beside the rules, read once at load."""

from importlib.resources import files
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is ten times faster, where it is built


def shipped(name: str) -> Any:
    """The content of `domain/data/<name>`, a YAML file.

    Raises FileNotFoundError when the package was built without it and yaml.YAMLError when it is no YAML.
    """
    text = (files("domain") / "data").joinpath(*name.split("/")).read_text(encoding="utf-8")
    return yaml.load(text, Loader=_Loader)  # noqa: S506  (the safe loader, in C where there is one)


def shipped_names(folder: str) -> list[str]:
    """Names of the YAML files in `domain/data/<folder>`, sorted, as `shipped` takes them."""
    entries = (files("domain") / "data" / folder).iterdir()
    return sorted(f"{folder}/{entry.name}" for entry in entries if entry.name.endswith(".yaml"))
