"""Options that several commands share, said once."""

import re
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from surefoot.cli.names import DATA
from surefoot.core.errors import InputError

TablePath = Annotated[
    str,
    typer.Argument(
        help="Predictions: .parquet or a folder of them, also in an object store (columns `logits` or `probs`, and "
        "`label`), .npz (arrays "
        "`logits` or `probs`, and `labels`), .csv (columns `logit_0`, ... or `prob_0`, ..., and `label`), or .npy."
    ),
]
LabelsPath = Annotated[Optional[Path], typer.Option("--labels", help="The labels, for a .npy file of scores.")]
Scores = Annotated[
    Optional[Literal["logits", "probs"]],
    typer.Option("--scores", help="What the scores are, where the file does not say: never guessed from the values."),
]
DataName = Annotated[
    str,
    typer.Option(
        help=f"One of: {', '.join(DATA)}; or your own: x.npz with x and y, texts.csv with text and label, or a folder "
        "of folders of pictures."
    ),
]
DataFolder = Annotated[
    Optional[Path],
    typer.Option(
        "--folder", help="Where the files of a published set are; without it they come from the Hugging Face hub."
    ),
]
TrainRows = Annotated[
    Optional[int],
    typer.Option("--train-rows", min=1, help="Train on so many rows only, every class in the same proportions."),
]
Keep = Annotated[
    Optional[Literal["best", "last"]],
    typer.Option(
        help="Which epoch's weights: best by held-out NLL after temperature, or the last. Default: the recipe's."
    ),
]
Cluster = Annotated[
    Optional[str],
    typer.Option(
        "--cluster",
        help="Address of a Dask scheduler whose workers do it instead; they must see the same files.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=2**63 - 1, help="Of everything random: the same seed, the same output.")
]
Output = Annotated[
    Optional[str],
    typer.Option("--output", help="Which output is meant, by its name in the file, where the network has several."),
]
Shape = Annotated[
    Optional[list[str]],
    typer.Option(
        "--shape",
        metavar="NAME=SIDES",
        help="NAME=1,3,32,32: the sides of an input that the file leaves open, the batch first; or all rows of a fixed "
        "batch, which are one input then. Once for each input.",
    ),
]
Domain = Annotated[
    str,
    typer.Option(
        help="Least and largest value of every input, such as 0,1; or an .npz file of `lower` and `upper`, and perhaps "
        "`rows` and `bounds`: rows x <= bounds."
    ),
]
Memory = Annotated[
    Optional[float],
    typer.Option(
        "--memory",
        min=0.5,
        help="Gibibytes that may be used; default: what is free. `verify` leaves out methods that need more, and names "
        "them; other commands end.",
    ),
]
Limit = Annotated[
    float, typer.Option("--limit", "--timeout", min=0, help="Seconds, at most; what was found by then is said.")
]


def shapes_of(texts: list[str] | None) -> dict[str, tuple[int, ...]]:
    """Read the sides of inputs by name.

    Raises:
        InputError: something else than a name, =, and whole numbers from 1 between commas.

    >>> shapes_of(["x=1,3,32,32"])
    {'x': (1, 3, 32, 32)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, _, sides = text.rpartition("=")
        if not name or not re.fullmatch(r"0*[1-9][0-9]{0,9}(,0*[1-9][0-9]{0,9})*", sides):
            raise InputError(f"--shape {text}: a name and sides from 1 are needed, as in x=1,3,32,32")
        shapes[name] = tuple(map(int, sides.split(",")))
    return shapes
