"""What the commands that train a matrix share: a bar while it runs, and a line for each network that is trained."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from surefoot.core.predictions import Predictions
from surefoot.core.tables import load_predictions
from surefoot.metrics import METRICS
from surefoot.train import Run, run_matrix


def run_with_bar(matrix: Sequence[Run], out: Path, jobs: int, cluster: str | None) -> dict[Run, Predictions]:
    """Train what is missing of a matrix; say on the error stream what is ready and how it does, beside a bar."""
    columns, console = (*Progress.get_default_columns(), TimeElapsedColumn()), Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"training {len(matrix)} networks", total=len(matrix))
        ready = 0

        def show(cell: Run) -> None:
            nonlocal ready
            ready += 1
            progress.advance(task)
            words = _on_test_rows(load_predictions(out / cell.name / "predictions.parquet"))
            console.print(f"{ready} of {len(matrix)} trained: {cell.loss}, seed {cell.seed}: {words}", highlight=False)

        return run_matrix(matrix, out, jobs, show, cluster)


def _on_test_rows(predictions: Predictions) -> str:
    """Say how a network does on the test part, before any calibrator."""
    test = predictions.part("test")
    accuracy, ece, nll = (
        metric.read(metric.observe(test.scored(), test.labels))
        for metric in (METRICS[name] for name in ("accuracy", "ece", "nll"))
    )
    return f"error {1 - accuracy:.2%}, ECE {ece:.2%}, NLL {nll:.3f}"
