"""What the commands that train a matrix share: a bar while it runs."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from surefoot.core.predictions import Predictions
from surefoot.train import Run, run_matrix


def run_with_bar(matrix: Sequence[Run], out: Path, jobs: int, cluster: str | None) -> dict[Run, Predictions]:
    """Train what is missing of a matrix, with a progress bar on the terminal's error stream."""
    columns, console = (*Progress.get_default_columns(), TimeElapsedColumn()), Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"training {len(matrix)} networks", total=len(matrix))
        return run_matrix(matrix, out, jobs, lambda cell: progress.advance(task), cluster)
