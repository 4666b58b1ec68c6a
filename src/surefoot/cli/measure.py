"""`surefoot measure`: every reading of a table, with its interval and noise floor."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli import names
from surefoot.cli.options import Cluster, Json, LabelsPath, Scores, Seed, TablePath

if TYPE_CHECKING:
    from surefoot.evaluate.measuring import Group, MeasurementPlan


def command(
    table: TablePath,
    labels: LabelsPath = None,
    scores: Scores = None,
    split: Annotated[Optional[str], typer.Option(help="Measure only this part, such as test.")] = None,
    by: Annotated[
        Optional[str],
        typer.Option(help="Measure each value of this column alone, too, and name the worst."),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help=f"Names between commas, `standard`, or `all`. There are: {', '.join(names.METRICS)}."),
    ] = "standard",
    calibrator: Annotated[
        Optional[Path],
        typer.Option("--map", help="Apply this calibrator first (a file that `surefoot recalibrate` wrote)."),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Leave intervals and noise floors out.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that read pieces of a Parquet table.")] = 1,
    cluster: Cluster = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure calibration from a table of logits or probabilities and labels.

    Prints accuracy, NLL, Brier score, ECE (15 bins, open below, closed above; also debiased), adaptive and classwise
    ECE, MCE, RMSCE, KS error with its p-value, AUROC of correctness, Spiegelhalter's test: each with a 95% interval for
    its expected value on test sets of this size (or the reason why there is none) and the noise floor, what a perfectly
    calibrated model with the same confidences would show on as many rows. Parquet (any number of files, also in an
    object store, s3://bucket/folder) is read piece by piece, in constant memory; the numbers do not depend on the
    division into files, jobs or machines. Fractions in JSON, percent in the table; NaN is null.

    Example: surefoot measure predictions.parquet --split test --by site --json
    """
    from surefoot.evaluate.measuring import MeasurementPlan, worst_group
    from surefoot.metrics import METRICS, STANDARD, find_metric

    chosen = {"standard": STANDARD, "all": tuple(METRICS.values())}
    wanted = chosen.get(metrics) or tuple(find_metric(name.strip()) for name in metrics.split(","))
    fitted = None
    if calibrator is not None:
        from surefoot.recalibrate import load_calibrator

        fitted = load_calibrator(calibrator)
    plan = MeasurementPlan(wanted, split, by, fitted, not fast, not fast, seed, labels, scores)
    groups = _measure_with_bar(table, plan, jobs, cluster, quiet=as_json or not sys.stderr.isatty())
    worst = {m.name: worst_group(groups, m) for m in wanted if m.better != "none"} if by else {}
    if as_json:
        print(json.dumps(_as_json(groups, by, worst), indent=2, allow_nan=False))
    else:
        _show(str(table).rstrip("/").rsplit("/", 1)[-1], groups, by, worst, fast)


def _measure_with_bar(
    table: str, plan: "MeasurementPlan", jobs: int, cluster: str | None, quiet: bool
) -> "dict[str, Group]":
    from rich.console import Console
    from rich.progress import Progress

    from surefoot.evaluate.measuring import measure_table

    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("measuring", total=None)
        return measure_table(
            table, plan, jobs=jobs, cluster=cluster,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip


def _show(name: str, groups: "dict[str, Group]", by: str | None, worst: dict[str, str | None], fast: bool) -> None:
    from rich.console import Console

    from surefoot.metrics import METRICS
    from surefoot.report.readings import READINGS_NOTE, groups_table, readings_table, show

    whole, console = groups[""], Console()
    console.print(readings_table(whole.readings, f"{name} — {whole.n:,} rows, {whole.k} classes"))
    if not fast:
        console.print(READINGS_NOTE)
    if whole.zeros is not None:
        console.print(whole.zeros.sentence)
    if by:
        console.print(groups_table(groups, by))
        worst_groups = [
            f"{METRICS[m].title}: {g} ({show(m, groups[g].readings[m].value)}, all rows "
            f"{show(m, whole.readings[m].value)})"
            for m, g in worst.items() if g is not None
        ]  # fmt: skip
        none = (
            "known only with intervals, which --fast leaves out"
            if fast
            else "no group differs significantly from all rows"
        )
        note = " Intervals are widened for the number of groups; an error of calibration must exceed chance, too."
        console.print(f"Worst by {by}: {'; '.join(worst_groups) or none}.{note if worst_groups else ''}")


def _as_json(groups: "dict[str, Group]", by: str | None, worst: dict[str, str | None]) -> dict:
    from surefoot.core.plain import plain

    def zeros(group: "Group") -> dict:
        return {} if group.zeros is None else {"zeros": plain(group.zeros)}

    whole = groups[""]
    answer = {"n": whole.n, "k": whole.k} | plain(whole.readings) | zeros(whole)
    if by:
        each = {name: {"n": g.n} | plain(g.readings) | zeros(g) for name, g in groups.items() if name}
        answer |= {"by": by, "groups": each, "worst": worst}
    return answer
