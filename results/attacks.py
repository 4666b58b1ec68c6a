"""Attack what the product promises, kind by kind; write attacks.json and, from it, attacks.md.

python results/attacks.py --jobs 2              # all kinds
python results/attacks.py questions --count 50  # one: its row is written anew, the others stay
"""

import argparse
import importlib
import inspect
import os
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from focal import processor
from joblib import Parallel, delayed

import fuzz
from fuzz import Attack
from surefoot import __version__
from surefoot.core.files import read_json, write_json, write_text

PORTIONS = 50  # an attack is made in so many portions, each with a seed of its own


def main() -> None:
    """Attack and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = sorted(module.name for module in pkgutil.iter_modules(fuzz.__path__))
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(kinds)}; default: all")
    parser.add_argument("--count", type=int, help="cases of each kind; default: what the kind names")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    kept = Path(__file__).parent / "attacks.json"
    for kind in options.kinds or kinds:
        row = attacked(kind, options.count, options.jobs)
        rows = read_json(kept) if kept.exists() else {}
        write_json(kept, {name: {**rows, kind: row}[name] for name in kinds if name in rows or name == kind})
        write_text(kept.with_suffix(".md"), page(list(read_json(kept).values())))


def attacked(kind: str, wanted: int | None, jobs: int) -> str:
    """Attack one kind; return its row of the table."""
    module = importlib.import_module(f"fuzz.{kind}")
    begin, count = time.monotonic(), int(wanted or module.CASES)
    share = -(-count // PORTIONS)
    met: list[Any] = list(Parallel(jobs)(delayed(module.attack)(seed, share) for seed in range(PORTIONS)))
    total = sum(met, Attack())
    for fault in total.faults[:20]:
        print(f"{kind}: FAULT {fault}", flush=True)
    ends = ", ".join(f"{n:,} {end}" for end, n in total.outcomes.most_common())
    what = " ".join((inspect.getdoc(module) or "").split("\n\n", maxsplit=1)[0].split())
    command = f"`python results/attacks.py {kind} --count {count}`"
    row = f"| {kind} | {what} | {total.tried:,} ({ends}) | {module.BEFORE} | {len(total.faults)} | {command} |"
    print(f"{row}  {time.monotonic() - begin:.0f} s", flush=True)
    return row


def page(rows: list[str]) -> str:
    """Write the page."""
    heads = "| kind | what is tried | cases (how they ended) | found before | faults now | command |"
    text = [
        "# Attacks on what is promised",
        f"`python results/attacks.py`, {PORTIONS} seeds a kind, surefoot {__version__}, on {processor()}. A fault is "
        "something false that is accepted, something true that is refused, or an error that is not one clear line. "
        "*Found before* is what the same attack met when it was first run, on the code before its faults were mended.",
        "\n".join([heads, "|" + "---|" * 6, *rows]),
    ]
    return "\n\n".join(text) + "\n"


if __name__ == "__main__":
    main()
