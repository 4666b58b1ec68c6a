"""What the numbers say, in two plain sentences: is the model over- or under-confident, and what to do."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr

from surefoot.core.distributions import normal_quantile
from surefoot.core.precision import Zeros
from surefoot.core.predictions import Predictions
from surefoot.evaluate.evaluation import Evaluation, Measured
from surefoot.metrics import METRICS, Reading
from surefoot.metrics.intervals import LEAST_ROWS

ALPHA = 0.05
FEW_ROWS = 50  # to learn a calibrator on: with fewer, one more error changes even a temperature much
TELLING = 0.1  # rows that leave room for a larger gap between confidence and accuracy, or a larger ECE, are too few
TESTS = {  # what the verdict rests on, in words
    "ece": "ECE",
    "ks": "KS error",
    "spiegelhalter_pvalue": "Spiegelhalter's test",
    "overconfidence": "confidence minus accuracy",
}
OF_CLASSES = {"nll", "brier", "classwise_ece", "ks_classwise"}  # read more than the confidence in the predicted class
_FOR_CLASSES = ("vector", "dirichlet", "isotonic")  # calibrators that change each class's probabilities by themselves
_FOCAL = ("fl-", "flsc", "flsd", "focal", "dual-focal")


def percent(x: float) -> str:
    """Format a fraction as a percentage with two digits after the point below ten."""
    return f"{100 * x:.1f}%" if abs(x) >= 0.0995 else f"{100 * x:.2f}%"


def roughly(x: float) -> str:
    """Format a floor as a percentage: it comes of few draws, which are good for two digits."""
    return np.format_float_positional(100 * x, 2, fractional=False, trim="-") + "%"


def pvalues(measured: Measured) -> dict[str, float]:
    """Return the p-value of calibration by each of the four tests that the verdict rests on.

    ECE against its floor; the KS test, where the KS error is above its own floor too; Spiegelhalter's test; and
    confidence minus accuracy against 0, from its 95% interval. Those that these rows do not allow are left out.
    """
    r = measured.readings
    tests = {
        "ece": r["ece"].pvalue,
        "ks": max(r["ks"].pvalue, r["ks_pvalue"].value),
        "spiegelhalter_pvalue": r["spiegelhalter_pvalue"].value,
        "overconfidence": _of_interval(r["overconfidence"]),
    }
    return {name: value for name, value in tests.items() if not math.isnan(value)}


def _of_interval(gap: Reading) -> float:
    """Return the p-value of 0 by an interval that is as wide on the side of 0 as it is."""
    nearer = gap.low if gap.value > 0 else gap.high
    if math.isnan(nearer):
        return math.nan
    far = abs(gap.value) / max(abs(gap.value - nearer), 1e-300)
    return float(2 * ndtr(far * normal_quantile(ALPHA / 2)))


def rejecting(measured: Measured) -> list[str]:
    """Name the tests that reject calibration at 5%, corrected for their number. Reference: Holm 1979."""
    return _rejected(pvalues(measured))


def rejecting_besides(measured: Measured) -> list[str]:
    """Name the readings beside the four tests that reject calibration at 5%, corrected for the number of both.

    They read more than top-label confidence, or narrower bins of it: one may reject where none of the four tests does.
    Never of fewer than 10 rows. Readings that hang on one bin (MCE, RMSCE) are left out: their floors have long tails.
    """
    if measured.n < LEAST_ROWS:
        return []
    others = {name: r.pvalue for name, r in measured.readings.items() if METRICS[name].interval != "none"}
    others = {name: value for name, value in others.items() if name not in TESTS}
    values = pvalues(measured) | {name: value for name, value in others.items() if not math.isnan(value)}
    return [name for name in _rejected(values) if name in others]


def _rejected(values: Mapping[str, float]) -> list[str]:
    """Name those of several tests that reject at 5%, the surest first. Reference: Holm 1979."""
    rejected = []
    for rank, name in enumerate(sorted(values, key=lambda name: values[name])):
        if values[name] * (len(values) - rank) > ALPHA:
            break
        rejected.append(name)
    return rejected


def is_miscalibrated(measured: Measured) -> bool:
    """Decide whether the data contradict perfect calibration: one of four tests does, corrected for their number.

    Never of fewer than 10 rows.

    Property: says so of at most about 5% of calibrated models; of how many in simulation: results/verdicts.md.
    """
    return measured.n >= LEAST_ROWS and bool(rejecting(measured))


def direction(measured: Measured) -> str:
    """Name the direction: `over-confident`, `under-confident`, or `miscalibrated` (neither for certain, or both).

    Where the data do not contradict calibration: `indistinguishable`, or `too few rows` to tell.
    """
    gap = measured.readings["overconfidence"]
    if not is_miscalibrated(measured):
        floor = measured.readings["ece"].floor_high
        close = gap.low >= -TELLING and gap.high <= TELLING and floor <= TELLING  # false where one is NaN
        return "indistinguishable" if close else "too few rows"
    if gap.low > 0:
        return "over-confident"
    return "under-confident" if gap.high < 0 else "miscalibrated"


def diagnose(measured: Measured) -> str:
    """Say in one sentence whether the model's confidence can be believed on these rows."""
    r = measured.readings
    accuracy, claimed = r["accuracy"].value, r["accuracy"].value + r["overconfidence"].value
    ece = r["ece"]
    by_chance = (  # rare errors raise the mean above the 95th percentile
        f"about {roughly(ece.floor)} (up to {roughly(ece.floor_high)})"
        if ece.floor <= ece.floor_high
        else f"up to {roughly(ece.floor_high)} in 95 of 100 tables of this size"
    )
    facts = (
        f"it claims {percent(claimed)} and is right {percent(accuracy)} of the time; its ECE is {percent(ece.value)}, "
        f"where a perfectly calibrated model would show {by_chance} by chance"
    )
    rows = f"On these {measured.n:,} rows"
    rejects = f"{_listed(rejecting(measured))} reject{'s' if len(rejecting(measured)) == 1 else ''} calibration"
    proof = f"{rejects} ({len(pvalues(measured))} tests at 5%, corrected for their number)"
    match direction(measured):
        case "over-confident":
            return f"{rows} the model is over-confident: {facts}; {proof}."
        case "under-confident":
            return f"{rows} the model is under-confident: {facts}; {proof}."
        case "miscalibrated":
            how = "on the whole neither clearly over- nor under-confident"
            return f"{rows} the model is miscalibrated, {how}: {facts}; {proof}."
        case "too few rows":
            finding = f"These {measured.n:,} rows are too few to tell whether the model is calibrated"
            return f"{finding}: {facts}{_room(measured)}{_alone(measured)}."
        case _:
            finding = "the model is indistinguishable from a perfectly calibrated one"
            if rejecting_besides(measured):
                finding = "the model's top-label confidence is consistent with perfect calibration"
            return f"{rows} {finding} by {_listed(list(TESTS))}: {facts}{_room(measured)}{_alone(measured)}."


def _listed(names: list[str]) -> str:
    words = [TESTS.get(name) or METRICS[name].title for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _alone(measured: Measured) -> str:
    """Say what else the readings show, where none of the four tests rejects calibration after the correction.

    First those that reject it all the same, corrected for their number, and of what; then those that each alone would.
    """
    if measured.n < LEAST_ROWS:
        return ""
    rejected = rejecting_besides(measured)
    beyond = [name for name, r in measured.readings.items() if r.pvalue <= ALPHA and name not in rejected]
    tests = {"spiegelhalter_pvalue", "ks_pvalue"} & measured.readings.keys()
    beyond += sorted(name for name in tests if measured.readings[name].value <= ALPHA)
    said = ""
    if rejected:
        reject = "rejects" if len(rejected) == 1 else "reject"
        said = (
            f"; but {_listed(rejected)} {reject} calibration, corrected for the number of readings: {_wrong(rejected)}"
        )
    if beyond:
        lies = "lies" if len(beyond) == 1 else "lie"
        said += (
            f"; read alone, {_listed(beyond)} {lies} beyond what 95 of 100 calibrated models show, as one of many may"
        )
    return said


def _wrong(rejected: Sequence[str]) -> str:
    """Say what is not calibrated by readings that reject it beside the four tests of top-label confidence."""
    if set(rejected) & OF_CLASSES:
        return "the class probabilities are not calibrated"
    return "the confidence is not calibrated in every bin"


def _room(measured: Measured) -> str:
    """Say what the gap between confidence and accuracy may be besides; nothing where that has no interval."""
    gap = measured.readings["overconfidence"]
    if math.isnan(gap.low):
        return ""
    room = f"; its 95% interval of confidence minus accuracy is {percent(gap.low)} to {percent(gap.high)}"
    if gap.low <= 0 <= gap.high:
        return room
    leaning = "over" if gap.low > 0 else "under"
    return (
        f"{room}, which leans towards {leaning}-confidence, but the errors above are still what chance alone may show"
    )


def advice(evaluation: Evaluation) -> str:
    """Say in one sentence what to do about it; and in another if the calibrator has seen what it is judged on."""
    if not evaluation.shared:
        return _advice(evaluation)
    n = evaluation.after.n
    which = (
        f"The {n:,} rows measured are"
        if evaluation.shared == n
        else f"{evaluation.shared:,} of {n:,} rows measured are"
    )
    return f"{_advice(evaluation)} {which} among those that it was learnt on: what is measured after it flatters it."


def _advice(evaluation: Evaluation) -> str:
    before, after = evaluation.before, evaluation.after
    was, now = before.readings["nll"].value, after.readings["nll"].value
    if evaluation.method == "none":
        return _without_map(evaluation)
    name = _named(evaluation)
    eces = [percent(measured.readings["ece"].value) for measured in (before, after)]
    effect = f"ECE {eces[0]} to {eces[1]}, NLL {was:.4f} to {now:.4f}"
    if not is_miscalibrated(before) and not rejecting_besides(before):
        return _optional(direction(before) == "too few rows", name, effect, now < was - 0.01 * abs(was))
    if now >= was:
        name = name[0].upper() + name[1:]
        return f"{name} does not help ({effect}): gather more held-out rows, or try another calibrator."
    hint = _hint(evaluation)
    match direction(after):
        case "indistinguishable" if rejecting_besides(after):
            left = f"top-label confidence is then consistent with perfect calibration ({effect}){_alone(after)}"
            left += f"; {_others(evaluation)}"
        case "indistinguishable":
            left = f"what is left is indistinguishable from perfect calibration ({effect}){_alone(after)}"
        case "too few rows":
            left = f"it helps ({effect}); the rows are too few to tell what is left"
        case _:
            left = f"it helps ({effect}), but miscalibration remains; {_others(evaluation)}"
    return f"Apply {name}: {left}.{hint}"


def _others(evaluation: Evaluation) -> str:
    """Say what to try where a calibrator leaves something to repair."""
    if evaluation.chosen:
        return "no calibrator that was tried does better: more held-out rows, or another model, may"
    tried = [name for name in _FOR_CLASSES if name != evaluation.method]
    return f"try {', '.join(tried[:-1])} or {tried[-1]}, which change each class's probabilities by themselves"


def _without_map(evaluation: Evaluation) -> str:
    """Say what held-out rows say, where no calibrator was applied: chosen by them, or asked for."""
    remedy = evaluation.remedy
    tried = [name for name in remedy.nll if name != "none"]
    if evaluation.chosen and (is_miscalibrated(evaluation.before) or rejecting_besides(evaluation.before)):
        return "No calibrator that was tried helps for certain on held-out rows: more of them, or another model, may."
    if evaluation.chosen:
        return "Use its probabilities as they are: no calibrator that was tried helps for certain on held-out rows."
    if not tried:
        return "No calibrator was asked for, and the held-out rows are too few to try one."
    if remedy.method != "none":
        return (
            f"No calibrator was asked for; held-out rows prefer {remedy.method}: NLL {remedy.best:.4f} against "
            f"{remedy.nll['none']:.4f} as it is. Apply it, or let `--method auto` choose."
        )
    helps = f"{tried[0]} does not help" if len(tried) == 1 else f"none of {', '.join(tried)} helps"
    return f"Use its probabilities as they are: no calibrator was asked for, and {helps} for certain on held-out rows."


def _optional(too_few: bool, name: str, effect: str, gains: bool) -> str:
    """Say what a calibrator is worth to a model that nothing was seen against."""
    if too_few:
        return f"Gather more rows before you decide on a calibrator; on these {name} gives: {effect}."
    if gains:
        return f"Nothing must be done; {name} would still gain a little ({effect})."
    return f"Use its probabilities as they are; {name} does not improve them ({effect})."


def notes(zeros: Zeros | None, at_bound: bool | None, share_right: float) -> list[str]:
    """Say what must be known besides: what stored zeros count as, and that a fit had nothing to end at.

    Arguments:
        share_right: of the rows that the calibrator was learnt on, those answered rightly.
    """
    sentences = [] if zeros is None else [zeros.sentence]
    if at_bound and share_right in (0, 1):
        what = "wrong" if share_right else "right"
        sentences.append(
            f"Not one of the rows that the calibrator was learnt on is {what}: they do not bound it; more would tell."
        )
    elif at_bound:
        sentences.append(
            "The fit stopped at a limit of its search range: the rows it was learnt on do not determine it."
        )
    return sentences


def rows_learnt_on(held_out: Predictions) -> list[str]:
    """Say where the rows that a calibrator was learnt on are too few, or of one class alone."""
    sentences = []
    if held_out.n < FEW_ROWS:
        plural = "row" if held_out.n == 1 else "rows"
        sentences.append(f"Learnt on {held_out.n} {plural}: too few to trust; {FEW_ROWS} are the least worth a fit.")
    classes = np.unique(held_out.labels)
    if len(classes) == 1:
        only = int(classes[0])
        name = f" ({held_out.class_names[only]})" if held_out.class_names else ""
        sentences.append(
            f"Of {held_out.k} classes only {only}{name} occurs in the rows learnt on: nothing is known of the others."
        )
    return sentences


def _hint(evaluation: Evaluation) -> str:
    """Name another calibrator if held-out rows prefer it; for under-confident focal training, what else there is."""
    remedy, hint = evaluation.remedy, ""
    if remedy.method not in ("none", evaluation.method) and evaluation.method in remedy.nll:
        hint = (
            f" Held-out rows prefer {remedy.method}: NLL {remedy.best:.4f} against "
            f"{remedy.nll[evaluation.method]:.4f} for {evaluation.method}."
        )
    if direction(evaluation.before) != "under-confident" or not evaluation.provenance.get("loss", "").startswith(
        _FOCAL
    ):
        return hint
    tried = ", ".join(f"{name} {nll:.4f}" for name, nll in remedy.nll.items() if name != "none")
    return (
        f"{hint} Focal training is under-confident by a known amount (held-out NLL after {tried}): a smaller gamma or "
        f"cross entropy are worth a try, too."
    )


def _named(evaluation: Evaluation) -> str:
    learnt = f" with T = {evaluation.temperature:.3g}" if evaluation.temperature is not None else ""
    other = "" if evaluation.shared else "other "
    return f"the {evaluation.method} calibrator{learnt}, learnt on {evaluation.fitted_on:,} {other}rows"
