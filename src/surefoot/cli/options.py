"""Options that several commands share, said once."""

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

TablePath = Annotated[
    Path,
    typer.Argument(
        help="Predictions: .parquet or a folder of them (columns `logits` or `probs`, and `label`), .npz (arrays "
        "`logits` or `probs`, and `labels`), .csv (columns `logit_0`, ... or `prob_0`, ..., and `label`), or .npy."
    ),
]
LabelsPath = Annotated[Optional[Path], typer.Option("--labels", help="The labels, for a .npy file of scores.")]  # noqa: UP045
Scores = Annotated[
    Optional[Literal["logits", "probs"]],  # noqa: UP045
    typer.Option("--scores", help="What the scores are, where the file does not say: never guessed from the values."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything random: the same seed, the same output.")]
