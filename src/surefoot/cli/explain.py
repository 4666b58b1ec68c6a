"""`surefoot explain`: why a network became miscalibrated, from the log of its training."""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.cli.options import Json
from surefoot.core.files import check_writable


def command(
    run: Annotated[Path, typer.Argument(help="The folder that `surefoot train` left, or one run's of `compare`.")],
    out: Annotated[
        Optional[Path],
        typer.Option("--out", "-o", help="Where to write the page; default: training.html in the folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say when a training began to overfit, and write a page of what each epoch did.

    Follows the paper's section 4: NLL, entropy, and confidence of right and wrong answers, on the rows trained on and
    held out; the norms of the last layer's weights and of the gradient.

    Example: surefoot explain runs/mine
    """
    from surefoot.evaluate.training_log import read_log, sentences_of
    from surefoot.report.page import write_training_page

    page = out or run / "training.html"
    check_writable(page)
    log = read_log(run)
    write_training_page(page, f"What happened in {run.resolve().name}?", log)
    sentences = sentences_of(log)
    if as_json:
        print(json.dumps({"sentences": sentences, "page": str(page), "log": log.columns}, indent=2, allow_nan=False))
    else:
        print(*sentences, f"\nPage: {page}", sep="\n")
