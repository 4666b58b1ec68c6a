"""A table of the paper beside what was trained here, and a verdict on each number and on the paper's claim."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from surefoot.evaluate.comparison import STAGES, Comparison
from surefoot.evaluate.published import FROM_MEMORY, RERUN, published

COLUMN_OF = {"ece": "ece", "ada-ece": "ada_ece", "classwise-ece": "classwise_ece", "nll": "nll", "error": "error"}

# As files have them; `cannot be told apart` is shown as "indistinguishable".
Outcome = Literal["reproduced", "not reproduced", "cannot be told apart", "no published number", "another recipe"]


@dataclass(frozen=True)
class Entry:
    """One number: here with its 95% interval, as published (NaN-free: None where there is none), the verdict.

    `half_width` is half of the interval, as files of before have it.
    """

    loss: str
    stage: str
    mean: float
    low: float
    high: float
    published: float | None
    from_memory: bool
    verdict: Outcome
    half_width: float = field(init=False)

    def __post_init__(self) -> None:
        """Compute half the interval."""
        object.__setattr__(self, "half_width", (self.high - self.low) / 2)


def judge(
    mean: float, low: float, high: float, target: float | None, tolerance: float, same_recipe: bool = True
) -> Outcome:
    """Compare a mean and its interval with a published number, which itself is one run of many that could have been.

    Reproduced: the whole interval lies within what two runs of the paper's code lie apart. Not reproduced: none of it
    does. Else the two are indistinguishable. Without the paper's own recipe there is nothing to reproduce.

    >>> judge(4.5, 4.4, 4.6, 4.35, 0.3), judge(9.0, 8.5, 9.5, 4.35, 0.3), judge(4.5, 2.5, 6.5, 4.35, 0.3)
    ('reproduced', 'not reproduced', 'cannot be told apart')
    """
    if target is None:
        return "no published number"
    if not same_recipe:
        return "another recipe"
    if math.isnan(low) or math.isnan(high):  # of one seed, where nothing says how the rows would move it
        low = high = mean
    if target - tolerance <= low and high <= target + tolerance:
        return "reproduced"
    return "not reproduced" if low > target + tolerance or high < target - tolerance else "cannot be told apart"


def entries(
    table: str,
    data: str,
    model: str,
    values: Mapping[str, Mapping[str, tuple[float, float, float]]],
    same_recipe: bool,
    comparable: bool = True,
) -> list[Entry]:
    """Lay a table's numbers beside the published ones; `values[loss][stage]` is a mean and the ends of its interval.

    `comparable` says that they are of the kind that was published at all.
    """
    entries = []
    for loss, stages in values.items():
        pair = published(table, data, model, loss) if comparable else None
        for i, stage in enumerate(STAGES):
            target = pair[i] if pair else None
            verdict = judge(*stages[stage], target, RERUN[table][i], same_recipe)
            from_memory = (table, data, loss) in FROM_MEMORY
            entries.append(Entry(loss, stage, *stages[stage], target, from_memory, verdict))
    return entries


def values_of(comparison: Comparison, table: str) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Take a table's column from a comparison, in the paper's units: percent, but for NLL."""
    scale = 1 if table == "nll" else 100
    column = COLUMN_OF[table]
    values: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in comparison.rows:
        cells = {stage: row.at(stage)[column] for stage in STAGES}
        values[row.loss] = {stage: (scale * c.mean, scale * c.low, scale * c.high) for stage, c in cells.items()}
    return values


@dataclass(frozen=True)
class Claim:
    """The paper's claim for one pair of losses at one stage: is the challenger's ECE lower?"""

    challenger: str
    baseline: str
    stage: str
    difference: float
    p_lower: float
    p_higher: float
    tests: int

    @property
    def sentence(self) -> str:
        """Say what the paired test says, at 5% corrected for the number of claims."""
        level = 0.05 / self.tests
        size = f"{100 * abs(self.difference):.2f} points"
        where = "as trained" if self.stage == "before" else "after recalibration"
        pair = f"{self.challenger} against {self.baseline}, {where}"
        if self.p_lower < level:
            return f"{pair}: better, ECE lower by {size}; the claim holds here."
        if self.p_higher < level:
            return f"{pair}: worse, ECE higher by {size}; the claim fails here."
        return f"{pair}: no significant difference ({size})."


def claims_of(comparison: Comparison, challengers: Sequence[str], baselines: Sequence[str]) -> list[Claim]:
    """Test the paper's claim, that focal losses are better calibrated, on every pair of losses that was trained."""
    present = comparison.pvalues["before"]
    pairs = [(c, b) for c in challengers for b in baselines if c in present and b in present]
    rows = {row.loss: row for row in comparison.rows}
    claims = []
    for stage in STAGES:
        for challenger, baseline in pairs:
            a, b = (rows[x].at(stage)["ece"].mean for x in (challenger, baseline))
            tests = comparison.pvalues[stage]
            p_lower, p_higher = tests[challenger][baseline], tests[baseline][challenger]
            claims.append(Claim(challenger, baseline, stage, a - b, p_lower, p_higher, 2 * len(pairs)))
    return claims
