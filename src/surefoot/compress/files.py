"""From an ONNX file to a smaller one, with its certificate and what the change costs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import torch
from jaxtyping import Float
from scipy.special import softmax
from torch import Tensor

from surefoot.compress.channel_check import mapped_difference
from surefoot.compress.channels import ChannelMap, channels_of
from surefoot.compress.checkpoint import Journal
from surefoot.compress.equal import Equality, equal, rounding_of_reading, searched
from surefoot.compress.file_equality import see_over
from surefoot.compress.interior import inside, with_interior
from surefoot.compress.rewrites import REWRITES
from surefoot.compress.stability import Patience, Stability, stability
from surefoot.compress.transform import Compressed, compress, open_amounts
from surefoot.core.deadline import NEVER, Deadline
from surefoot.core.errors import InputError
from surefoot.core.files import whole_file
from surefoot.core.onnx_file import load_onnx_model
from surefoot.core.proven import at_most
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Elementwise, Mul, Relu, Reshape, Softmax
from surefoot.graph.passes.affine import fused
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.softmax import flat_output, logits_of
from surefoot.proof.certificate import Certificate
from surefoot.proof.equality import check_equal
from surefoot.proof.files import save_certificate
from surefoot.proof.question import certificate_of_difference, checked_graph
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.checking import remove_certificate
from surefoot.spec.input_set import InputSet
from surefoot.spec.opening import Opened, open_onnx
from surefoot.spec.runtime import runner_of_onnx

SAFE = ("inactive", "unused")  # rewrites that only leave things out: no digit can be lost
TOLERANCE = 1e-5  # of the largest logit: what a rewrite may cost in float32
SAMPLES = 2000
RUNS = 50  # of ONNX Runtime, after which the limit of time is looked at
# of the time that is left, at most: for all rewriting with a certificate, and without; in that for the rewrites alone
WITH_CERTIFICATE, ALONE, REWRITING = 0.5, 0.9, 0.4
CLIPPED = 0.3  # of the time that is left, to bound what writing alone changes
_SAME = Equality(np.zeros(1), 0.0, np.zeros(0))  # of a network and itself


@dataclass(frozen=True)
class Report:
    """What a compression did. Bounds hold over the domain in real arithmetic; `met` was measured in float32."""

    units: tuple[int, int]
    parameters: tuple[int, int]
    active: int
    inactive: int
    open: int
    searched: int
    unfinished: int
    bound: float  # of any logit
    confidence_bound: float
    met: float  # of any logit, by ONNX Runtime
    confidence_met: float
    log: list[str] = field(default_factory=list)
    late: bool = False  # time was up before all of it was done
    undecided: int = 0  # of the unstable neurons: those of which it is not known whether they are stable
    certified: bool = False  # whether a certificate was written

    @property
    def sentence(self) -> str:
        """Say it."""
        if self.units[0] == 0:
            return "The network has no ReLU and no product: nothing to remove."
        if self.units[0] == self.units[1] and self.late:
            return "Nothing changed: time was up before anything smaller was proven to be the same."
        if self.units[0] == self.units[1]:
            stable = self.active + self.inactive
            if not stable + self.open:
                return "Nothing changed: of the products none is 0, read by nothing, or a multiple of another."
            undecided = f", {self.undecided} undecided" if self.undecided else ""
            return (
                f"Nothing changed: nothing to remove was found. Of {self.units[0]} units {stable} are stable over the "
                f"domain, {self.open - self.undecided} unstable{undecided}."
            )
        less = 1 - self.parameters[1] / self.parameters[0]
        return (
            f"{self.units[0]} units became {self.units[1]}, {self.parameters[0]:,} parameters {self.parameters[1]:,} "
            f"(-{less:.1%}); in real arithmetic no logit differs by more than {at_most(self.bound, 2)} over the "
            f"domain, no confidence by more than {at_most(self.confidence_bound, 2)}."
        )

    @property
    def of_units(self) -> str:
        """Say how many units are stable."""
        undecided = f", {self.undecided} not decided" if self.undecided else ""
        return (
            f"Over the domain {self.active} units are always active, {self.inactive} never, "
            f"{self.open - self.undecided} neither{undecided} ({self.searched} searched exactly)."
        )


def compress_file(
    path: Path,
    out: Path,
    domain: InputSet,
    seconds: float | Patience = 2.0,
    sample_inputs: Tensor | None = None,
    certificate: Path | None = None,
    tolerance: float = 0.0,
    clip: bool = False,
) -> Report:
    """Write a network that is equal over the domain and smaller, or the same file where nothing can go.

    With a `tolerance` units that are almost stable go too, as many as keep the proven change of every logit below it.
    `clip`: the file clips its input to the box, so that it promises something for every input. What exact searches find
    is kept beside `out` until it is written, so that a run that was stopped goes on. With a limit in `seconds` what was
    found and proven by then is written, and the log says what was not.

    Raises:
        FileError: a file that cannot be read or written.
        InputError: an operation or a domain that cannot be treated.
    """
    journal = Journal(out.with_name(f"{out.name}.journal"))
    if out.resolve() == path.resolve():
        raise InputError(f"{out} is the network itself: give another file to write to")
    journal.must_be_own()
    opened = open_onnx(path)
    whole = opened.graph
    see_over(domain, opened)
    graph = flat_output(logits_of(whole))
    if certificate is not None and any(isinstance(node.op, Mul | Elementwise) for node in graph.nodes):
        raise InputError(
            "a certificate of compression speaks of ReLUs: a network with products or functions has none. Leave it "
            "out; `surefoot equal` decides whether two polynomials are the same"
        )
    if domain.constraints is not None and clip:
        raise InputError("a clip moves inputs into a box: none can be had for a domain that rows cut")
    patience = Patience.of(seconds)
    until = patience.until
    mine = until.before(ALONE if certificate is None else WITH_CERTIFICATE)
    work = _Work(graph, with_interior(domain), Patience(patience.each, mine), sample_inputs, journal)
    in_time = mine.run(lambda: work.search(tolerance))
    compressed, small, difference = work.best
    if clip and difference is _SAME:  # it is written all the same, with weights in float32
        difference = equal(graph, small, work.domain, Patience(patience.each, until.before(CLIPPED)))
    if not in_time:
        kept = f"; searches are kept in {journal.folder}" if journal.holds else ""
        compressed.log.append(f"time is up: what was not proven by then stays{kept}")
    if compressed.removed or clip:
        box = Box.around(domain, whole.input_shape)
        clipped = (box.lower[0], box.upper[0]) if clip else None
        write_onnx(_ended_as(whole, small), out, _type_of(opened), _domain_words(domain), clipped)
    else:
        with whole_file(out) as temporary:
            temporary.write_bytes(load_onnx_model(path).SerializeToString())
    certified = certificate is not None and _certify(certificate, work, (whole, path), out, until, compressed.log)
    in_time = in_time and (certificate is None or certified)
    if in_time:
        journal.forget()
    met, confidence = _met(path, out, work.domain, until)
    active, inactive, unstable = compressed.stability.counts()
    undecided = compressed.stability.undecided()
    if not compressed.stability.signs:  # time may have been up before any was bounded
        undecided = unstable = _units(graph, Relu)
    return Report(
        (_units(graph), _units(compressed.graph)),
        (fused(graph).parameters(), fused(compressed.graph).parameters()),
        active,
        inactive,
        unstable,
        compressed.stability.searched,
        compressed.stability.open,
        difference.largest,
        difference.confidence,
        met,
        confidence,
        compressed.log,
        not in_time,
        undecided,
        certified,
    )


# the compression, the network as it is written, what it changes
Attempt: TypeAlias = tuple[Compressed, Graph, Equality]


def _domain_words(domain: InputSet) -> dict[str, str]:
    """Write a domain as the metadata of a file."""
    words = {"surefoot.domain.lower": end_words(domain.lower), "surefoot.domain.upper": end_words(domain.upper)}
    if domain.constraints is None:
        return words
    rows = {"surefoot.domain.rows": json.dumps(domain.constraints.rows.tolist())}
    return words | rows | {"surefoot.domain.bounds": json.dumps(domain.constraints.bounds.tolist())}


def _certify(
    certificate: Path, work: "_Work", given: tuple[Graph, Path], out: Path, until: Deadline, log: list[str]
) -> bool:
    """Write the certificate; where time is up, see that none of before is taken for it."""
    content = until.run(lambda: _certified(work, given, out, until))
    if content is not None:
        save_certificate(certificate, content)
        return True
    log.append("time is up: no certificate could be made")
    if certificate.is_file():
        gone = "was removed" if remove_certificate(certificate) else "is no certificate: it was left as it is"
        log.append(f"the {certificate} of before {gone}")
    return False


def _certified(work: "_Work", given: tuple[Graph, Path], out: Path, until: Deadline) -> Certificate:
    """Make the certificate of a file and its smaller one, and check it."""
    whole, path = given
    first, second = checked_graph(whole), checked_graph(open_onnx(out).graph)
    one, two = (
        stability(g, work.domain, Patience(work.patience.each, until.before(part)), work.sample_inputs,
                  journal=work.journal).proof()
        for g, part in ((first, 0.4), (second, 0.6))
    )  # fmt: skip
    certificate = certificate_of_difference((first, second), (one, two), (path, out))
    check_equal(certificate, first, second)
    return certificate


@dataclass(eq=False)
class _Work:
    """A network that is compressed over a domain, in one way or another; the best that is proven so far."""

    graph: Graph
    domain: InputSet
    patience: Patience
    sample_inputs: Tensor | None
    journal: Journal
    best: Attempt = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the network as it is."""
        self.best = Compressed(self.graph, Stability(self.graph, self.domain, [], {})), _as_written(self.graph), _SAME

    def search(self, tolerance: float) -> bool:
        """Compress exactly, then approximately if there is a tolerance; what is proven is kept as the best."""
        compressed, small, difference = self.attempt()
        x = inside(self.domain, self.graph.input_shape, SAMPLES)
        scale = 1 + float(evaluate(self.graph, x).abs().max())
        if not difference.largest <= TOLERANCE * scale:
            refused = (
                f"rewrites that combine units would change a logit by up to {at_most(difference.largest, 2)}: refused"
            )
            compressed, small, difference = self.attempt(SAFE)
            compressed.log.append(refused)
        self.best = compressed, small, difference
        if tolerance > 0:
            _approximate(self, tolerance)
        return not self.patience.until.is_over()

    def attempt(self, rewrites: Sequence[str] = tuple(REWRITES), almost: float = 0.0) -> Attempt:
        """Compress, and bound what changes, float32 weights included: by affine forms.

        Networks without such forms (products, functions, or too large) lose channels only, which needs none.
        """
        if not any(isinstance(node.op, Mul | Elementwise) for node in self.graph.nodes):
            compressed = self._compressed(fused(self.graph), rewrites, almost)
            small = _as_written(compressed.graph)
            try:
                return compressed, small, self._by_forms(small) if compressed.removed else _SAME
            except InputError:  # too large
                pass
        compressed = self._compressed(self.graph, (), almost)
        small = _as_written(compressed.graph)
        return compressed, small, self._by_channels(compressed, small) if compressed.removed else _SAME

    def _compressed(self, layers: Graph, rewrites: Sequence[str], almost: float) -> Compressed:
        patience = self.patience.before(REWRITING)
        return compress(layers, self.domain, patience, self.sample_inputs, rewrites, almost, self.journal)

    def _by_forms(self, small: Graph) -> Equality:
        one, two = pools_as_relus(self.graph), pools_as_relus(small)
        return equal(one, two, self.domain, self.patience, forms_alone=True, journal=self.journal)

    def _by_channels(self, compressed: Compressed, small: Graph) -> Equality:
        """Add what each removal of channels can change, and the rounding of weights."""
        region, constraints = Box.around(self.domain, self.graph.input_shape), self.domain.constraints

        def boxes(graph: Graph) -> list[Box]:
            return relax(graph, region, REAL, tighten_by_crown, multi_neuron=False, constraints=constraints).boxes

        same = [ChannelMap.same(channels_of(node)) for node in small.nodes]
        bound = mapped_difference(compressed.graph, small, same, boxes(compressed.graph), boxes(small))
        for before, step in compressed.steps:
            bound = bound + mapped_difference(before.graph, step.graph, step.matches, before.boxes, boxes(step.graph))
        bound = bound + rounding_of_reading((self.graph, small), self.domain)
        return searched(self.graph, small, self.domain, bound, self.patience.until)


def _approximate(work: _Work, tolerance: float) -> None:
    """Take units for stable that almost are: as many, by bisection, as keep the proven difference within tolerance."""
    amounts = open_amounts(work.best[0].stability)
    low, high = 0, len(amounts)
    while low < high:
        count = (low + high + 1) // 2
        tried = work.attempt(almost=float(amounts[count - 1]))
        if tried[2].largest <= tolerance:
            low, work.best = count, tried
            passed = f"{low} units that pass 0 by {at_most(float(amounts[low - 1]), 2)} or less were taken for stable"
            tried[0].log.append(passed)
        else:
            high = count - 1


def end_words(end: Float[np.ndarray, " d"]) -> str:
    """Write one end of a domain in JSON: a number where all inputs have the same, else all of them."""
    values = end.tolist()
    return json.dumps(values[0] if len(set(values)) == 1 else values)


def _type_of(opened: Opened) -> torch.dtype:
    """Return the type of the numbers that a network takes."""
    kinds = {value.type.tensor_type.elem_type for value in opened.model.graph.input}
    return torch.float64 if onnx.TensorProto.DOUBLE in kinds else torch.float32


def _as_written(graph: Graph) -> Graph:
    return graph.to(torch.float32).to(torch.float64)


def _ended_as(whole: Graph, logits: Graph) -> Graph:
    """End a graph of flat logits in the shape, and the softmax, of the network that was given."""
    builder = GraphBuilder.of(logits)
    last = len(builder.nodes) - 1
    if builder.nodes[last].shape != whole.output_shape:
        last = builder.add(Reshape(whole.output_shape), last)
    if isinstance(whole.nodes[-1].op, Softmax):
        last = builder.add(whole.nodes[-1].op, last)
    return builder.build(last)


def _units(graph: Graph, *kinds: type) -> int:
    return sum(int(np.prod(node.shape)) for node in graph.nodes if isinstance(node.op, kinds or (Relu, Mul)))


def _met(first: Path, second: Path, domain: InputSet, until: Deadline = NEVER) -> tuple[float, float]:
    """Measure the largest change of a logit and of a confidence that ONNX Runtime shows."""
    lower, upper = domain.lower.astype(np.float32), domain.upper.astype(np.float32)
    x = inside(domain, (domain.size,), SAMPLES, 1).float().numpy().clip(lower, upper)
    runs = [runner_of_onnx(load_onnx_model(path), logits=True) for path in (first, second)]
    given = np.split(x, range(RUNS, len(x), RUNS))
    met = []
    for batch in [x[:1], x[1:RUNS], *given[1:]]:  # one at least
        met.append([run(batch) for run in runs])
        if until.is_over():
            break
    one, two = (np.concatenate(outputs) for outputs in zip(*met, strict=True))
    if ((one >= 0) & (one <= 1)).all() and np.allclose(one.sum(1), 1, atol=1e-4):  # probabilities already
        return float("nan"), float(np.abs(one - two).max())
    return float(np.abs(one - two).max()), float(np.abs(softmax(one, axis=1) - softmax(two, axis=1)).max())
