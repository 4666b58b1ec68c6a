"""A property file and its network files as one network and the queries that are asked of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from surefoot.core.errors import InputError
from surefoot.graph.onnx_inputs import Shapes
from surefoot.spec.declared import Joint, assembled, join
from surefoot.spec.opening import Opened, open_onnx, see_agreement_within
from surefoot.spec.query import Query, Verdict, Violated
from surefoot.spec.vnnlib import is_version_2, parse_property, text_of
from surefoot.spec.vnnlib2 import parse_vnnlib2
from surefoot.verify.network import Network

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Asked:
    """A network and what is asked of it; `joint`: what VNN-LIB 2.0 declares of both; `plain`: the file's own graph.

    `outputs`: how many of the network's outputs are declared, or the file's own; others are its inputs, and products.
    """

    network: Network
    queries: list[Query]
    joint: Joint | None
    plain: bool
    outputs: int

    def as_asked(self, verdict: Verdict) -> Verdict:
        """Return a verdict with all inputs that are asked about, also those that are one, and the outputs alone."""
        if not isinstance(verdict, Violated):
            return verdict
        x = verdict.input if self.joint is None else verdict.input[self.joint.places]
        return replace(verdict, input=x, output=verdict.output[: self.outputs])


def read_question(
    prop: Path | str, network: Path | Mapping[str, Path], output: str | None = None, shapes: Shapes | None = None
) -> Asked:
    """Read a property and its networks, of one file or of several by name; see that the runtime agrees in its boxes.

    `output` and `shapes` are as for `open_onnx`; VNN-LIB 2.0 declares both.

    Raises:
        FileError: a file that is missing or damaged.
        InputError: no property or network that is read, networks other than those that are declared, or they and the
            runtime do not agree.
        MissingExtra: ONNX Runtime, or the parser of VNN-LIB 2.0, is not installed.
    """
    text = text_of(prop)
    if is_version_2(text):
        asked = _version_2(text, prop, network, output, shapes)
    elif isinstance(network, Path):
        asked = _version_1(text, prop, open_onnx(network, output, shapes))
    else:
        raise InputError(f"{prop} is VNN-LIB 1.0, which names no networks: `surefoot verify NETWORK {prop}`")
    boxes = [box for query in asked.queries for box in query.inputs.boxes]
    see_agreement_within(asked.network.whole, asked.network.run, boxes)
    return asked


def _named(prop: Path | str, read: Callable[[], T]) -> T:
    """Name the file where what it says is not read."""
    try:
        return read()
    except InputError as error:
        raise type(error)(f"{prop}: {error}") from error


def _version_1(text: str, prop: Path | str, opened: Opened) -> Asked:
    inputs, outputs = (int(np.prod(shape)) for shape in (opened.graph.input_shape, opened.graph.output_shape))
    asked = _named(prop, lambda: parse_property(text, inputs, outputs))
    graph, run = _named(prop, lambda: assembled([(opened, np.arange(inputs))], inputs, asked))
    network = replace(Network.of(graph, run, opened.float32), given=opened.inputs)
    return Asked(network, asked.queries, None, not asked.of_inputs, outputs)


def _version_2(
    text: str, prop: Path | str, network: Path | Mapping[str, Path], output: str | None, shapes: Shapes | None
) -> Asked:
    if output is not None or shapes:
        raise InputError(f"{prop} is VNN-LIB 2.0, which declares outputs and shapes: --output and --shape are for 1.0")
    specification = _named(prop, lambda: parse_vnnlib2(text))
    if isinstance(network, Path):
        named = [one.name for one in specification.networks if one.equal_to is None]
        if len(named) != 1:
            options = " ".join(f"--network {name}=FILE.onnx" for name in named)
            raise InputError(f"{prop} declares several networks: `surefoot verify {prop} {options}`")
        network = {named[0]: network}
    files = network
    joint = _named(prop, lambda: join(specification, files))
    opened = Network.of(joint.graph, joint.run, joint.float32)
    return Asked(opened, joint.asked.queries, joint, False, specification.outputs)
