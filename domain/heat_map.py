"""The heat map of a register: how many entries lie in each of the 25 cells, before controls and with them."""

from collections.abc import Iterable, Mapping
from typing import Any

from domain.risks import BANDS, band

SCALE = range(1, 6)


def heat_map(found: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Both maps from rows {map, likelihood, impact, count, refs}; cells that no row names hold nothing.

    Cells run from likelihood 1 and impact 1 on, impact fastest. `bands` counts entries per band of each map.
    """
    given = {(row["map"], row["likelihood"], row["impact"]): row for row in found}
    whole: dict[str, Any] = {"bands": {}}
    for name in ("inherent", "residual"):
        cells = [
            _cell(given.get((name, likelihood, impact)), likelihood, impact) for likelihood in SCALE for impact in SCALE
        ]
        whole[name] = cells
        whole["bands"][name] = {
            one: sum(cell["count"] for cell in cells if cell["band"] == one) for _, one in reversed(BANDS)
        }
    return whole


def _cell(row: Mapping[str, Any] | None, likelihood: int, impact: int) -> dict[str, Any]:
    score = likelihood * impact
    return {
        "likelihood": likelihood,
        "impact": impact,
        "score": score,
        "band": band(score),
        "count": row["count"] if row is not None else 0,
        "refs": list(row["refs"]) if row is not None else [],
    }
