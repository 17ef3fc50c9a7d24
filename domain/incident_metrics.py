"""Figures over incidents: what each one means, what it leaves out, and by what it can be grouped.

The definitions travel with every answer, so that a figure is never read apart from its meaning.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from domain.refusals import InputError, Invalid

GROUPS = ("playbook", "severity", "client_id", "period", "step")
INTERVALS = ("day", "week", "month", "quarter", "year")
BASES = ("discovered_at", "reported_at")
GROUPS_MAX = 1_000

DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "population": "Reports whose basis lies in the half-open period and that the caller may see. Exercises are "
        "left out everywhere and only counted. A report of several clients counts for each, and once in the total.",
        "reports": "Everything reported, whatever became of it.",
        "rejected": "Reports found to be no incident, duplicates included.",
        "declared": "Incidents: declared and not rejected. Open ones are neither closed nor rejected.",
        "time_to_acknowledge": "From `reported_at` to the first touch. Every report counts, rejected ones too.",
        "time_to_contain": "From `discovered_at` to the first instant at which all steps before the post-incident one "
        "were complete. Declared incidents count.",
        "time_to_close": "From `discovered_at` to the last closing. Declared incidents count; a reopened one "
        "is pending.",
        "clock": "Times are elapsed time, at night and on hold too, between instants as the server recorded them; "
        "`discovered_at` is as claimed. SLA results are judged by when work was done, as claimed; "
        "`attainment_recorded` by when it was recorded.",
        "pending": "Eligible incidents that have not come so far; they are in no average.",
        "average": "`mean` is the arithmetic mean; `median` and `p90` interpolate linearly between the two nearest "
        "values. Over all n values, none sampled, none cut off.",
        "sla": "Steps of the present playbook of declared incidents. `breached` are open and past their deadline at "
        "`server_time`, `running` are open and not. Superseded playbooks of reclassified incidents are left out.",
        "attainment": "met / (met + met_late + breached); null without any. Skipped steps are overrides, which the "
        "list of exceptions holds, and are in neither part; running ones have no result yet.",
    }
)


def check_groups(asked: Sequence[str], known: Collection[str] = GROUPS) -> tuple[str, ...]:
    """The groups asked for, in their order. Raises Invalid for one that there is not, or that is named twice."""
    if len(asked) != len(set(asked)) or not set(asked) <= set(known):
        text = f"names each of these at most once, separated by commas: {', '.join(known)}"
        raise Invalid(f"`group_by` {text}.", errors=[InputError("/query/group_by", text)])
    return tuple(asked)


def check_size(groups: int) -> None:
    """Raise Invalid for an answer of more groups than anybody reads."""
    if groups > GROUPS_MAX:
        text = f"gives more than {GROUPS_MAX} groups: shorten the period, lengthen `interval` or group by less"
        raise Invalid(f"`group_by` {text}.", errors=[InputError("/query/group_by", text)])
