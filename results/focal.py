"""Run, or go on with, the trainings behind results/*.md and write what they say.

    python results/focal.py cifar10 --data ../shared/data --runs runs/results --jobs 2

A matrix that was stopped goes on; a finished one is only read. Nothing here is timed but the trainings themselves.
"""

from dataclasses import dataclass
from pathlib import Path

import harness
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from surefoot.core.files import read_json
from surefoot.data import load_data, ood_parts
from surefoot.evaluate.comparison import COLUMNS, STAGES, Comparison, compare
from surefoot.evaluate.diagnosis import direction
from surefoot.evaluate.ood import ood_values
from surefoot.evaluate.reproduction import claims_of
from surefoot.evaluate.training_log import read_log, sentences_of
from surefoot.report.page import write_page
from surefoot.report.tables import TITLES, format_floors, format_temperature, format_value, with_interval
from surefoot.train import Recipe, Run, cells, find_recipe, results_by_loss, run_matrix

PAPER = ("ce", "brier", "ls", "mmce-w-ref", "fl-3", "flsd-53")
NOISY = 2_000  # test images that are shown with noise
CHALLENGERS = ("fl-3", "flsd-53", "dual-focal", "adafocal")
BASELINES = ("ce", "brier", "ls", "mmce-w-ref")


@dataclass(frozen=True)
class Study:
    """One matrix: what is trained, on what, how."""

    data: str
    folder: str
    model: str
    losses: tuple[str, ...]
    recipe: Recipe
    train_rows: int | None = None

    def cells(self, shared: Path) -> list[Run]:
        """List its trainings: three seeds of each loss."""
        folder = str((shared / self.folder).resolve())
        return cells(
            [self.data], [self.model], self.losses, self.recipe, range(3), folder=folder, train_rows=self.train_rows
        )


STUDIES = {
    "cifar10": Study(
        "cifar10", "images/cifar10", "resnet20", (*PAPER, "dual-focal", "mdca", "adafocal"),
        find_recipe("fast", 20, "last"), train_rows=10_000,
    ),
    "sst": Study("sst", "text/sst", "tree-lstm", PAPER, find_recipe("quick", 2, "last")),
    "20news": Study(
        "20news-200", "text/20news-bydate", "pooling-cnn", PAPER, find_recipe("paper", 5, "last", "20news")
    ),
}  # fmt: skip


def main() -> None:
    """Read arguments, train what is missing, write the page and the Markdown."""
    parser = harness.parser(__doc__, jobs=2)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and text/")
    parser.add_argument("--runs", type=Path, default=Path("runs/results"))
    options = parser.parse_args()
    study, out = STUDIES[options.study], options.runs / options.study
    matrix = study.cells(options.data)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(options.study, total=len(matrix))
        found = run_matrix(matrix, out, options.jobs, lambda cell: progress.advance(task))
    comparison = compare(results_by_loss(found), "temperature", f"{study.model} on {study.data}")
    write_page(
        out / "report.html",
        f"Which loss knows how sure it is? {comparison.title}",
        list(comparison.examples),
        comparison,
    )
    sections = [
        heading(options.study, study, out, matrix),
        tables(comparison),
        verdict(comparison),
        training(out, matrix),
    ]
    if study.data == "cifar10":
        known = load_data(study.data, 0, matrix[0].folder)
        ood = {name: part.rows(np.arange(NOISY)) for name, part in ood_parts(known).items()}
        values = ood_values(found, out, ood, known.prepare)
        sections.append(noise(values))
    harness.write_page(f"{options.study}.md", sections)


def heading(name: str, study: Study, out: Path, matrix: list[Run]) -> str:
    """Say what was run, by which command, where, and how long it took."""
    seconds = [read_json(out / cell.name / "run.json")["seconds"] for cell in matrix]
    rows = f"{study.train_rows:,} of its images" if study.train_rows else "all of its rows"
    return (
        f"# {study.model} on {study.data}\n\n"
        f"`python results/focal.py {name} --data ../shared/data`, {len(matrix)} trainings (three seeds a loss), two at "
        f"a time on one core each of {harness.processor()}, torch {torch.__version__}; {sum(seconds) / 60:.0f} "
        f"core-minutes by the clock, with other work beside them.\n\nTrained on {rows}, {study.recipe.epochs} epochs, "
        f"recipe `{study.recipe}`. The weights of the last epoch are kept, as the paper did."
    )


def tables(comparison: Comparison) -> str:
    """Lay the paper's table out as Markdown, before and after the temperature."""
    parts = []
    for stage in STAGES:
        after = stage == "after"
        heads = ["loss", *(TITLES[c] + ("" if c == "nll" else " %") for c in COLUMNS), *(["T"] if after else [])]
        rows = []
        for row in comparison.rows:
            values = row.at(stage)
            texts = [format_value(c, values[c]) + (" **best**" if values[c].best else "") for c in COLUMNS]
            rows.append([row.loss, *texts, *([format_temperature(row)] if after else [])])
        floors = [format_floors(comparison, stage, c) for c in COLUMNS]
        rows.append(["*noise floor*", *floors, *([""] if after else [])])
        parts += [f"## {'After temperature' if after else 'As trained'}", harness.table(heads, rows)]
    note = f"Mean over three seeds on {comparison.n:,} test rows, with its 95% interval over seeds and rows."
    return "\n\n".join([*parts, note])


def verdict(comparison: Comparison) -> str:
    """Say what the numbers say of the paper's claim, of each loss's direction, and of what to use."""
    lines = ["## What it says about the claim", ""]
    lines += [f"- {claim.sentence}" for claim in claims_of(comparison, CHALLENGERS, BASELINES)]
    lines += ["", "First seed of each loss, as trained: "]
    directions = [f"{e.title} {direction(e.before)}" for e in comparison.examples]
    lines[-1] += ", ".join(directions) + "."
    return "\n".join([*lines, "", comparison.recommendation.sentence])


def training(out: Path, matrix: list[Run]) -> str:
    """Say when over-fitting began, from the first seed's log of cross entropy and of FLSD-53."""
    lines = ["## What happened in training (`surefoot explain`, first seed)", ""]
    for cell in matrix:
        if cell.seed == 0 and cell.loss in ("ce", "flsd-53"):
            lines.append(f"- {cell.loss}: " + " ".join(sentences_of(read_log(out / cell.name))))
    return "\n".join(lines)


def noise(values: dict) -> str:
    """Lay out the AUROC against the Gaussian noise of CIFAR-10-C."""
    names = [name for name, score in values if score == "entropy"]
    rows = []
    for loss in values[names[0], "entropy"]:
        areas = [values[name, "entropy"][loss]["before"] for name in names]
        rows.append([loss, *(with_interval(mean, low, high, 1) for mean, low, high in areas)])
    parts = [
        "## AUROC against 2,000 of the images with Gaussian noise (formula of CIFAR-10-C), by entropy, %",
        harness.table(["loss", *names], rows),
        "Against SVHN: not yet run (the data are not to be had here).",
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
