"""Facts read from the documentation: D04 (affected data) and D05 (impacted parties)."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.counts import Count, known_minimum, span, total, upper_end
from domain.fact_types import FACTS
from domain.severity_rules import rules

Json = Any
Entries = Sequence[Mapping[str, Json]]


def derive(documents: Mapping[str, Json], facts: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """The derived facts that are known: {name: value}; what is unknown is left out.

    `documents` maps item ids to their values: D04 {entries: [{data_type, record_count, individuals_count, ...}]} and
    D05 {entries: [{kind, client_id, count, jurisdictions}]}, either {none: true, reason}, None while missing.
    `credentials_exposed` is in the result (true) only when the data types name credentials: false is never derived.
    `facts` is accepted for symmetry with severity and not read.
    """
    parties = _entries(documents.get("D05"))
    known = _of_parties(parties) if parties is not None else {}
    affected = _entries(documents.get("D04"))
    if affected is not None:
        known |= _of_data(affected, parties)
    return known


def _entries(document: Json) -> Entries | None:
    """The entries of an item; none at all for an explicit `none`, None while the item says nothing."""
    if not isinstance(document, Mapping):
        return None
    if document.get("none") is True:
        return ()
    entries = document.get("entries")
    if not isinstance(entries, list | tuple) or not entries:
        return None
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _of_data(entries: Entries, parties: Entries | None) -> dict[str, Json]:
    present = {entry.get("data_type") for entry in entries}
    types = [str(name) for name in FACTS["data_types"].values if name in present] or (["none"] if not entries else [])
    known: dict[str, Json] = {}
    if types:
        known["data_types"] = types
        known["personal_data"] = not rules().personal_data.isdisjoint(types)
        known["phi"] = "phi" in types
        if any(name.startswith("credentials_") for name in types):
            known["credentials_exposed"] = True
    records = 0 if not entries else total(entry.get("record_count") for entry in entries)
    if records is not None:
        known["record_count"] = records
    individuals = _individuals(entries, parties)
    if individuals is not None:
        known["individuals_count"] = individuals
    encrypted = [entry.get("encrypted") for entry in entries]
    if any(state is False for state in encrypted):
        known["encrypted"] = False
    elif encrypted and all(state is True for state in encrypted):
        known["encrypted"] = True
    return known


def _individuals(entries: Entries, parties: Entries | None) -> Count | None:
    """How many people: the entries may speak of the same ones, so the number lies between the largest and the sum.

    A head count of the impacted parties narrows that: it is the upper end unless an entry alone is larger.
    """
    if not entries:
        return 0
    counts = [entry.get("individuals_count") for entry in entries]
    added = total(counts)
    heads = _heads(parties)
    if added is None:
        return heads
    low = max(known_minimum(count) for count in counts)
    largest = max((upper_end(count) or known_minimum(count)) for count in counts)
    high = upper_end(added)
    if heads is not None:
        low = max(low, known_minimum(heads))
        if (at_most := upper_end(heads)) is not None:
            high = max(at_most, largest) if high is None else min(high, max(at_most, largest))
    return span(low, None if high is None else max(low, high))


def _heads(parties: Entries | None) -> Count | None:
    """People among the impacted parties. A client's own number may repeat a group's: groups go first."""
    if not parties:
        return None
    groups = [party for party in parties if party.get("kind") != "client"]
    return total(party.get("count") for party in (groups or parties))


def _of_parties(entries: Entries) -> dict[str, Json]:
    clients = [entry.get("client_id") for entry in entries if entry.get("kind") == "client" and entry.get("client_id")]
    known: dict[str, Json] = {"clients_affected": list(dict.fromkeys(map(str, clients)))}
    residents: dict[str, int] = {}
    for entry in entries:
        jurisdictions = entry.get("jurisdictions")
        if isinstance(jurisdictions, Mapping):
            for code, people in jurisdictions.items():
                residents[str(code)] = residents.get(str(code), 0) + known_upper(people)
    if residents or not entries:
        known["residents_by_jurisdiction"] = dict(sorted(residents.items()))
    return known


def known_upper(people: Json) -> int:
    """A number of residents: a range counts at its upper end, an open one at what is known."""
    end = upper_end(people)
    return known_minimum(people) if end is None else end
