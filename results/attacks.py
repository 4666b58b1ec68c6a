"""Attack what the product promises, kind by kind; write attacks.json and, from it, attacks.md.

python results/attacks.py --jobs 2              # all kinds
python results/attacks.py questions --count 50  # one: its row is written anew, the others stay
"""

import importlib
import inspect
import pkgutil
import time

import harness
from joblib import Parallel

import fuzz
from fuzz import Attack
from surefoot import __version__

KINDS = sorted(module.name for module in pkgutil.iter_modules(fuzz.__path__))
RESULTS = "attacks.json"
PORTIONS = 50  # an attack is made in so many portions, each with a seed of its own


def main() -> None:
    """Attack and write."""
    parser = harness.parser(__doc__, jobs=2)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--count", type=int, help="cases of each kind; default: what the kind names")
    options = parser.parse_args()
    for kind in options.kinds or KINDS:
        harness.Kept(RESULTS).add(kind, attacked(kind, options.count, options.jobs))
        harness.write_page("attacks.md", page())


def attacked(kind: str, wanted: int | None, jobs: int) -> str:
    """Attack one kind; return its row of the table."""
    module = importlib.import_module(f"fuzz.{kind}")
    begin, count = time.monotonic(), int(wanted or module.CASES)
    share = -(-count // PORTIONS)
    met = harness.spread(Parallel(jobs), module.attack, [(seed, share) for seed in range(PORTIONS)])
    total = sum(met, Attack())
    for fault in total.faults[:20]:
        print(f"{kind}: FAULT {fault}", flush=True)
    ends = ", ".join(f"{n:,} {end}" for end, n in total.outcomes.most_common())
    what = " ".join((inspect.getdoc(module) or "").split("\n\n", maxsplit=1)[0].split())
    command = f"`python results/attacks.py {kind} --count {count}`"
    print(f"{kind}: {time.monotonic() - begin:.0f} s", flush=True)
    return harness.row([kind, what, f"{total.tried:,} ({ends})", module.BEFORE, len(total.faults), command])


def page() -> list[str]:
    """Write the page."""
    kept = harness.Kept(RESULTS)
    heads = ("kind", "what is tried", "cases (how they ended)", "found before", "faults now", "command")
    return [
        "# Attacks on what is promised",
        f"`python results/attacks.py`, {PORTIONS} seeds a kind, surefoot {__version__}, on {harness.processor()}. "
        "A fault is something false that is accepted, something true that is refused, or an error that is not one "
        "clear line. "
        "*Found before* is what the same attack met when it was first run, on the code before its faults were mended.",
        "\n".join([harness.table(heads, []), *(kept[kind] for kind in KINDS if kind in kept)]),
    ]


if __name__ == "__main__":
    main()
