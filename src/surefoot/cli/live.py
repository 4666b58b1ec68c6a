"""What a search says of itself: a line on stderr while it takes long, and afterwards what held its proof up."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from surefoot.core.errors import InputError
from surefoot.core.proven import at_least

if TYPE_CHECKING:
    from surefoot.spec.query import Query
    from surefoot.verify.network import Network
    from surefoot.verify.progress import Progress

PATIENCE = 2.0  # seconds, before a first line; where lines stay, each comes twice as late as the one before
EVERY = 0.2  # of a second, on a terminal
NO_BOUND = -float("inf")


class Heard:
    """The stages of a search, as they began."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, Progress]] = []
        self.last: tuple[float, Progress] | None = None

    @contextmanager
    def shown(self, line: bool = True) -> Iterator[None]:
        """Listen to the searches within; show a line about them where they take long."""
        from surefoot.verify.progress import listening

        on = _Line() if line else None

        def hear(progress: "Progress") -> None:
            self.last = time.monotonic(), progress
            if not self.begun or self.begun[-1][1].stage != progress.stage:
                self.begun.append(self.last)
            if on is not None:
                on.show(progress)

        try:
            with listening(hear):
                yield
        finally:
            self.end = time.monotonic()
            if on is not None:
                on.clear()

    def explanation(self, network: "Network", query: "Query", seconds: float) -> dict[str, Any]:
        """Say how long each stage took and what was known when it began; and what CROWN's bound loses where."""
        from surefoot.core.deadline import Deadline
        from surefoot.core.plain import plain
        from surefoot.verify.explain import explain

        ends = [*(begin for begin, _ in self.begun[1:]), self.end]
        stages = []
        for (begin, progress), end in zip(self.begun, ends, strict=False):  # none has begun where none was needed
            known = None if progress.bound == NO_BOUND else progress.bound
            stages.append({"stage": progress.stage, "seconds": round(end - begin, 3), "bound_before": known})
        told: dict[str, Any] = {}

        def tell() -> None:
            found = explain(network, query)
            told.update({"why_none": "no output can be unsafe"} if found is None else plain(asdict(found)))

        try:
            Deadline.of(seconds).run(tell)
        except InputError as error:
            told["why_none"] = str(error)
        no_time = "no time was left to say which neurons cost the bound most; raise --limit"
        return {"stages": stages, **(told or {"why_none": no_time})}


class _Line:
    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.next = self.begin + PATIENCE
        self.live = sys.stderr.isatty()
        self.width = 0

    def show(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now < self.next:
            return
        elapsed = now - self.begin
        self.next = now + EVERY if self.live else self.begin + 2 * elapsed
        text = f"surefoot: {elapsed:.0f} s, {sentence(progress)}"
        if self.live:
            print(f"\r{text.ljust(self.width)}", end="", file=sys.stderr, flush=True)
            self.width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.live and self.width:
            print(f"\r{' ' * self.width}\r", end="", file=sys.stderr, flush=True)


def sentence(progress: "Progress") -> str:
    """Say one moment of a search.

    >>> from surefoot.verify.progress import Progress
    >>> sentence(Progress("relu-splitting", -0.25, 1200, 36))
    'relu-splitting: best bound -0.25, 1,200 subproblems bounded, 36 open'
    """
    bound = f"best bound {at_least(progress.bound, 4)}"
    if math.isinf(progress.bound):
        bound = "no bound yet" if progress.bound < 0 else "nothing is left open"
    counts = f", {progress.subproblems:,} subproblems bounded, {progress.open:,} open" if progress.subproblems else ""
    return f"{progress.stage}: {bound}{counts}"


def explained(answer: dict[str, Any]) -> list[str]:
    """Return the lines that tell an explanation; an empty last one ends them."""
    told = answer.get("explanation")
    if told is None:
        return []
    lines = ["stages: " + (", ".join(f"{s['stage']} {s['seconds']:.1f} s" for s in told["stages"]) or "none")]
    if "why_none" in told:
        return [*lines, told["why_none"], ""]
    lines.append(f"CROWN's bound of the first region: {at_least(told['bound'], 4)}")
    for layer in told["layers"]:
        lines.append(
            f"  {layer['name']}: {layer['unstable']:,} of {layer['values']:,} neurons unstable, "
            f"{layer['share']:.0%} of what relaxing costs"
        )
    for neuron in told["neurons"]:
        place = ",".join(map(str, neuron["place"]))
        ends = f"{neuron['lower']:.4g} to {neuron['upper']:.4g}"
        lines.append(f"  neuron {neuron['layer']}[{place}]: {ends}, {neuron['share']:.1%}")
    return [*lines, ""]
