"""`surefoot contrast`: which of several calibrators or models is better on the same rows, if any."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from surefoot.cli.options import Json, Seed

_WIDE = 110  # columns from which cells have room around them
_NAME = 12  # letters of a name that are never broken

if TYPE_CHECKING:
    from rich.table import Table

    from surefoot.evaluate.paired import Contrast


def command(
    tables: Annotated[list[str], typer.Argument(help="One table and --methods, or several tables of the same rows.")],
    methods: Annotated[
        str, typer.Option(help="Calibrators between commas, learnt on the held-out part and compared on the rest.")
    ] = "",
    metrics: Annotated[str, typer.Option(help="Names between commas.")] = "nll,brier,ece,ks",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare calibrators or models on the same rows.

    Every pair is compared by a paired bootstrap of the rows and one row more (errors that were not seen may occur);
    p-values are adjusted for the number of pairs (Holm), intervals are of each pair alone. With one table,
    its calibrators are learnt on the `validation` part (or a random half) and compared on the other. Several tables are
    compared as they are, on their `test` parts if they have them.

    Example: surefoot contrast mine.parquet --methods none,temperature,spline,auto
    """
    if methods and len(tables) > 1:
        from surefoot.core.errors import InputError

        raise InputError(
            f"--methods compares calibrators on one table, and {len(tables)} are given: leave one of both out"
        )
    from rich.console import Console

    from surefoot.core.plain import plain
    from surefoot.evaluate.contrasted import maps_of, models_of
    from surefoot.evaluate.paired import contrast
    from surefoot.metrics import find_metric

    wanted = [find_metric(name.strip()) for name in metrics.split(",")]
    sides = maps_of(tables[0], [name.strip() for name in methods.split(",")], seed) if methods else models_of(tables)
    contrasts = contrast(sides.rows, sides.labels, wanted, seed)
    if as_json:
        for sentence in sides.sentences:  # beside the list, whose form is read by others
            print(f"surefoot: {sentence}", file=sys.stderr)
        print(json.dumps([plain(c) | {"better": c.better} for c in contrasts], indent=2, allow_nan=False))
        return
    console = Console()
    several = len(sides.rows) > 2
    console.print(_layout(contrasts, len(sides.labels), shortened(list(sides.rows)), several, console.width < _WIDE))
    for sentence in sides.sentences:
        console.print(sentence)
    alone = " The interval and p are of each pair alone." if several else ""
    console.print(f"Better: at 5%, by p adjusted for the number of pairs (Holm).{alone}")


def shortened(names: list[str]) -> dict[str, str]:
    """Leave out the folders, and the ending, that all names share: what is left still differs.

    >>> shortened(["runs/x/one/p.parquet", "runs/x/two/p.parquet"])
    {'runs/x/one/p.parquet': 'one', 'runs/x/two/p.parquet': 'two'}
    """
    parts = [name.rstrip("/").split("/") for name in names]
    for end in (0, -1):
        while all(len(part) > 1 for part in parts) and len({part[end] for part in parts}) == 1:
            parts = [part[1:] if end == 0 else part[:-1] for part in parts]
    short = ["/".join(part) for part in parts]
    bare = [name.rpartition(".")[0] for name in short]
    if all(bare) and len({name.rpartition(".")[2] for name in short}) == 1:
        short = bare
    return dict(zip(names, short if len(set(short)) == len(set(names)) else names, strict=True))


def _layout(contrasts: "list[Contrast]", n: int, short: dict[str, str], several: bool, narrow: bool) -> "Table":
    """Lay out the pairs; of several, with the p-value of each alone, which its interval belongs to."""
    from rich.table import Table

    from surefoot.metrics import METRICS
    from surefoot.report.readings import show

    table = Table(title=f"{n:,} rows", title_justify="left", padding=(0, 0 if narrow else 1))
    name = min(max(map(len, short.values())), _NAME)
    word = max(len(word) for c in contrasts for word in ("metric", *METRICS[c.metric].title.split()))
    table.add_column("metric", max_width=word if narrow else None)
    for heading in ("a", "b"):
        table.add_column(heading, overflow="fold", min_width=name)  # a name that is cut may be another's
    for heading in ("a - b", "95% interval", *(["p"] if several else []), "p\nadjusted"):
        table.add_column(heading, justify="right")
    table.add_column("better", overflow="fold", min_width=name)
    for c in contrasts:
        interval = c.note or f"{show(c.metric, c.low)} to {show(c.metric, c.high)}"
        better = "no significant difference" if c.better is None else short[c.better]
        pvalues = [show("pvalue", p) for p in ((c.pvalue, c.adjusted) if several else (c.adjusted,))]
        cells = (METRICS[c.metric].title, short[c.a], short[c.b], show(c.metric, c.difference), interval)
        table.add_row(*cells, *pvalues, better)
    return table
