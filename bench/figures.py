"""What a figure is, and the sample it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from bench.load import Outcome


@dataclass(frozen=True)
class Sample:
    """One run of one load against one server. Times per request are microseconds of processor time."""

    outcome: Outcome
    server_us: float
    database_us: float
    server_load: float

    @property
    def rate(self) -> float:
        """Successes per second."""
        return self.outcome.rate


@dataclass
class Figure:
    """A measured value with its target. `values` are those of the single runs; their median counts."""

    name: str
    unit: str
    values: Sequence[float]
    target: float | None = None
    better: Literal["higher", "lower"] = "lower"
    note: str = ""

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """Whether the target is met; empty where there is none."""
        if self.target is None:
            return ""
        met = self.value >= self.target if self.better == "higher" else self.value <= self.target
        return "met" if met else "MISSED"

    @property
    def goal(self) -> str:
        """The target with its direction."""
        if self.target is None:
            return ""
        return f"{'>=' if self.better == 'higher' else '<='} {number(self.target)}"


@dataclass
class Comparison:
    """Pairs of runs, ours and the floor's, taken right after one another."""

    name: str
    floor_name: str
    target: float | None
    pairs: list[tuple[Sample, Sample]] = field(default_factory=list)  # (floor, ours)
    wanted: range = range(200, 300)  # the statuses of ours that count as successes

    def figure(self) -> Figure:
        """The ratio of the rates."""
        ratios = [ours.rate / floor.rate if floor.rate else 0.0 for floor, ours in self.pairs]
        faults = sum(ours.outcome.faults for _, ours in self.pairs)
        note = f"{faults} faults: {self._first_fault()}" if faults else ""
        return Figure(self.name, f"of {self.floor_name}", ratios, self.target, "higher", note)

    def _first_fault(self) -> str:
        return next((ours.outcome.first_fault for _, ours in self.pairs if ours.outcome.first_fault), "connections")[
            :120
        ]

    def cpu_ratio(self) -> float:
        """The floor's processor time per request by ours."""
        return median(floor.server_us for floor, _ in self.pairs) / median(own.server_us for _, own in self.pairs)

    def detail(self) -> list[str]:
        """A row of the table of costs: medians over the runs."""
        ours = [one for _, one in self.pairs]
        return [
            self.name,
            *_costs(ours),
        ]

    def floor_detail(self) -> list[str]:
        """The same of the floor."""
        return [self.floor_name, *_costs([one for one, _ in self.pairs])]


def _costs(samples: Sequence[Sample]) -> list[str]:
    def middle(values: Sequence[float]) -> float:
        return median(values)

    return [
        f"{middle([one.rate for one in samples]):,.0f}",
        f"{middle([one.outcome.quantile(0.5) for one in samples]) * 1e3:.1f}",
        f"{middle([one.outcome.quantile(0.99) for one in samples]) * 1e3:.1f}",
        f"{middle([one.server_us for one in samples]):,.0f}",
        f"{middle([one.database_us for one in samples]):,.0f}",
        f"{middle([one.server_load for one in samples]):.0%}",
        f"{middle([one.outcome.generator_load for one in samples]):.0%}",
    ]


def number(value: float) -> str:
    """A value with as many digits as it deserves."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
