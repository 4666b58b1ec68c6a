"""Networks as a VNN-LIB 2.0 file declares them, and the ONNX files that they are: types, shapes, one joined network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from surefoot.core.errors import InputError
from surefoot.core.onnx_file import load_onnx_model
from surefoot.core.rounding import SINGLE_LARGEST
from surefoot.graph.graph import Graph
from surefoot.graph.onnx_inputs import Shapes
from surefoot.graph.ops import Shape
from surefoot.graph.passes.joined import joined
from surefoot.spec.cases import Property, property_of
from surefoot.spec.formula import Assertions, Atom, is_input, renamed
from surefoot.spec.opening import Opened, open_joined, open_onnx
from surefoot.spec.runtime import Runner
from surefoot.spec.vnnlib2 import Declared, Specification, Tensor

SOUND_TYPES = ("real", "float32")  # what answers may speak of
_TYPES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}


@dataclass(frozen=True, eq=False)
class Joint:
    """One network that stands for all that are declared, and what is asked of it.

    Its inputs are those that are declared, those that are asserted to be equal taken once: `places` says where each
    declared number is among them. Its outputs are the declared hidden values and outputs, and perhaps its inputs.
    """

    specification: Specification
    graph: Graph
    run: Runner
    float32: bool
    asked: Property
    places: np.ndarray

    @property
    def must_hold_in_float32(self) -> bool:
        """Whether a declared type asks for more than real arithmetic."""
        return any(tensor.type != "real" for tensor in self.specification.tensors("input", "hidden", "output"))

    def assignment(self, x: np.ndarray, y: np.ndarray) -> list[tuple[Tensor, np.ndarray]]:
        """Return the flat values of every declared tensor, for an input and output of the joined network."""
        given, made = x[self.places], y
        values = []
        for tensor in self.specification.tensors("input", "hidden", "output"):
            if tensor.kind == "input":
                value, given = given[: tensor.size], given[tensor.size :]
            else:
                value, made = made[: tensor.size], made[tensor.size :]
            values.append((tensor, value))
        return values


def join(specification: Specification, files: Mapping[str, Path]) -> Joint:
    """Open the networks of a specification and join them.

    Raises:
        FileError: a file that is missing or damaged.
        InputError: a network without a file or a file without a network, other types or shapes than declared, types
            that no sound answer is had for, or a question that is none.
        MissingExtra: ONNX Runtime is not installed.
    """
    _see_files(specification, files)
    _see_types(specification)
    shared = _shared_inputs(specification)
    names = {f"X_{i}": f"X_{place}" for i, place in enumerate(shared.tolist())}
    asserted = Assertions()
    asserted.any = specification.asserted.any
    asserted.common = renamed([*specification.asserted.common, *_of_float32(specification)], names)
    asserted.cases = [renamed(case, names) for case in specification.asserted.cases]
    inputs = int(shared.max()) + 1
    asked = property_of(asserted, inputs, specification.outputs)
    opened: dict[tuple[Any, ...], Opened] = {}
    parts: list[tuple[Opened, np.ndarray]] = []
    first = 0
    for network in specification.networks:
        path = files[network.file_of]
        order, values, shapes = _matched(network, path)
        plain = len(values) == 1 and not network.of("hidden")
        key = str(path), values, tuple(sorted(shapes.items()))
        if key not in opened:
            opened[key] = open_onnx(path, values[0], shapes) if plain else open_joined(path, values, shapes)
        for tensor, value in zip(network.of("hidden", "output"), values, strict=True):
            _see_shape(tensor, value, opened[key].values.get(value, ()), path)
        sizes = [tensor.size for tensor in network.of("input")]
        starts = first + np.cumsum([0, *sizes])
        own = np.concatenate([np.arange(starts[i], starts[i] + sizes[i]) for i in order])
        parts.append((opened[key], shared[own]))
        first += sum(sizes)
    graph, run = assembled(parts, inputs, asked)
    return Joint(specification, graph, run, all(one.float32 for one, _ in parts), asked, shared)


def _see_files(specification: Specification, files: Mapping[str, Path]) -> None:
    needed = [network.name for network in specification.networks if network.equal_to is None]
    for name in needed:
        if name not in files:
            raise InputError(f"the network {name} has no file: --network {name}=FILE.onnx")
    for name in files:
        if name not in needed:
            raise InputError(f"a file is given for {name}, and the networks with a file are {', '.join(needed)}")


def _see_types(specification: Specification) -> None:
    for tensor in specification.tensors("input", "hidden", "output"):
        if tensor.type not in SOUND_TYPES:
            raise InputError(
                f"{tensor.name} is declared {tensor.type}; answers are sound for {' and '.join(SOUND_TYPES)}: declare "
                "it real if real arithmetic is what you ask about"
            )


def _of_float32(specification: Specification) -> Iterator[Atom]:
    """Say that an input of float32 is a number of it: at most the largest, either way."""
    number = 0
    for tensor in specification.tensors("input"):
        for i in range(number, number + tensor.size) if tensor.type == "float32" else ():
            for sign in (1, -1):
                yield Atom({f"X_{i}": Fraction(sign)}, Fraction(SINGLE_LARGEST))
        number += tensor.size


def _shared_inputs(specification: Specification) -> np.ndarray:
    """Number the inputs, those alike that are asserted to be equal in every case."""
    parent = list(range(specification.inputs))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    at_most: set[tuple[str, str]] = set()
    for atom in specification.asserted.common:
        if atom.strict or atom.bound != 0 or len(atom.weights) != 2 or not all(map(is_input, atom.weights)):
            continue
        (one, w), (two, v) = atom.weights.items()
        if w == -v:
            small, large = (one, two) if w > 0 else (two, one)
            at_most.add((small, large))
            if (large, small) in at_most:
                a, b = root(int(one[2:])), root(int(two[2:]))
                parent[max(a, b)] = min(a, b)
    roots = [root(i) for i in range(len(parent))]
    numbers = {value: number for number, value in enumerate(dict.fromkeys(roots))}
    return np.array([numbers[value] for value in roots])


def _matched(network: Declared, path: Path) -> tuple[list[int], tuple[str, ...], Shapes]:
    """Match declared tensors with a file's: the order of inputs, hidden values and outputs, whole shapes."""
    model = load_onnx_model(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in constants]
    found = {value.name: value for value in given}
    inputs = _by_name_or_order(network.of("input"), given, path)
    outputs = _by_name_or_order(network.of("output"), list(model.graph.output), path)
    hidden = network.of("hidden")
    if hidden:
        inferred = {value.name: value for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
        inferred |= {value.name: value for value in (*given, *model.graph.output)}
        for tensor in hidden:
            if tensor.node in inferred:
                _see_type(tensor, inferred[tensor.node], path)
    values = (*(tensor.node or "" for tensor in hidden), *outputs)
    shapes = {name: _whole(tensor, found[name]) for tensor, name in zip(network.of("input"), inputs, strict=True)}
    return [inputs.index(value.name) for value in given], values, shapes


def _whole(tensor: Tensor, value: onnx.ValueInfoProto) -> Shape:
    """Return the shape of an input: the file's, whose open sides are those that are declared, or 1."""
    sides = value.type.tensor_type.shape.dim
    if not value.type.tensor_type.HasField("shape"):
        return tensor.shape
    mine = tensor.shape if len(sides) == len(tensor.shape) else (1,) * len(sides)
    return tuple(side.dim_value if side.dim_value > 0 else n for side, n in zip(sides, mine, strict=True))


def _by_name_or_order(declared: Sequence[Tensor], values: Sequence[onnx.ValueInfoProto], path: Path) -> list[str]:
    """Return the file's name of each declared input or output: the one it says, or by order."""
    kind = declared[0].kind if declared else "output"
    found = {value.name: value for value in values}
    if any(tensor.node for tensor in declared):
        names = [tensor.node or "" for tensor in declared]
    else:
        names = [value.name for value in values]
    if len(names) != len(declared) or (kind == "input" and sorted(names) != sorted(found)) or set(names) - found.keys():
        raise InputError(
            f"{path} has the {kind}s {', '.join(found)}; declared are {', '.join(tensor.name for tensor in declared)}"
        )
    for tensor, name in zip(declared, names, strict=True):
        _see_type(tensor, found[name], path)
        if tensor.kind == "input":
            _see_shape(tensor, name, _whole(tensor, found[name]), path)
    return names


def _see_type(tensor: Tensor, value: onnx.ValueInfoProto, path: Path) -> None:
    number = value.type.tensor_type.elem_type
    kind = _TYPES.get(number)
    if number and tensor.type not in ("real", kind):
        name = kind or TensorProto.DataType.Name(number).lower()
        raise InputError(f"{tensor.name} is declared {tensor.type}, and {value.name!r} of {path} is {name}")


def _see_shape(tensor: Tensor, name: str, shape: Sequence[int], path: Path) -> None:
    """See that a value has the declared shape, but for sides of 1, which move no number."""
    if [n for n in shape if n != 1] != [n for n in tensor.shape if n != 1]:
        raise InputError(
            f"{tensor.name} is declared with the shape {list(tensor.shape)}, and {name!r} of {path} has {list(shape)}"
        )


def assembled(parts: Sequence[tuple[Opened, np.ndarray]], inputs: int, asked: Property) -> tuple[Graph, Runner]:
    """Return networks, each with the places of its inputs, as one: what is asked of it, and how it is run.

    Raises:
        InputError: products of what float64 networks give, which no float64 holds.
    """
    if asked.products and not all(one.float32 for one, _ in parts):
        raise InputError("products are read of networks of float32, whose products float64 holds")

    def run(x: np.ndarray) -> np.ndarray:
        outputs = [one.run(x[:, places]) for one, places in parts]
        if asked.of_inputs:
            outputs.append(x.astype(np.float64))
        y = np.concatenate(outputs, axis=1)
        return np.concatenate([y, *(y[:, [i]] * y[:, [j]] for i, j in asked.products)], axis=1)

    if len(parts) == 1 and not asked.of_inputs and np.array_equal(parts[0][1], np.arange(inputs)):
        return parts[0][0].graph, run
    graphs = [(one.graph, places.tolist()) for one, places in parts]
    return joined(graphs, inputs, asked.of_inputs, asked.products), run
