"""The directory of well-known AI services, and what it proposes for the inputs of an incident.

It pre-fills and decides nothing: a proposal becomes an answer only when a person sends it.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.refusals import InputError, Invalid
from domain.shipped import shipped
from domain.tools import host_of, name_key
from domain.words import words

LINKS = ("privacy", "deletion", "opt_out", "training", "retention", "dpa", "trust", "subprocessors", "breach_notice")


class Service(BaseModel):
    """One service. `links` leads to pages of the vendor; what is not known is null."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    name: str
    vendor: str
    domains: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")], ...] = ()
    aliases: tuple[str, ...] = ()
    links: dict[str, Annotated[str, Field(pattern=r"^https://")] | None] = {}
    as_of: str
    confidence: Literal["high", "medium", "low"]

    def at(self, path: str) -> str | None:
        """The text at a path such as `links.dpa`; None where it is not known."""
        name, _, member = path.partition(".")
        return self.links.get(member) if name == "links" else getattr(self, name)


@cache
def ai_services() -> tuple[Service, ...]:
    """Every service, by name."""
    data = shipped("ai_services.yaml")
    found = [Service.model_validate(_whole(row, str(data["as_of"]))) for row in data["services"]]
    return tuple(sorted(found, key=lambda service: name_key(service.name)))


def _whole(row: Mapping[str, Any], as_of: str) -> dict[str, Any]:
    given = row.get("links", {})
    if strange := given.keys() - set(LINKS):
        raise ValueError(f"{row['slug']}: there is no link {', '.join(sorted(strange))}")
    return {"as_of": as_of, **row, "links": {name: given.get(name) for name in LINKS}}


def service(slug: str | None) -> Service | None:
    """The service of this slug; None for none. Raises Invalid for one that the directory does not have."""
    if slug is None:
        return None
    found = next((one for one in ai_services() if one.slug == slug), None)
    if found is None:
        text = "is no service of the directory; see /v1/ai-services"
        raise Invalid(f"/service {text}.", errors=[InputError("/service", text)])
    return found


def find_service(name: str | None, url: str | None) -> Service | None:
    """The service of this name or alias, else the one reached at this address; None when the directory has none."""
    key, host = name_key(name or ""), host_of(url or "")
    for one in ai_services():
        if key and key in (name_key(called) for called in (one.name, *one.aliases)):
            return one
    for one in ai_services():
        if host and any(host == domain or host.endswith(f".{domain}") for domain in one.domains):
            return one
    return None


def search_services(text: str | None) -> list[Service]:
    """The services whose name, alias, vendor or domain holds every word of `text`; all without one."""
    wanted = words(text or "")
    return [one for one in ai_services() if all(any(word in said for said in _said(one)) for word in wanted)]


def _said(one: Service) -> Iterable[str]:
    return (name_key(said) for said in (one.slug, one.name, one.vendor, *one.aliases, *one.domains))
