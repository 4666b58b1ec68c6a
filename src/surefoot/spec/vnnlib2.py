"""VNN-LIB 2.0: what is asked about one network or several, read by the standard's own parser.

Inputs of all networks are X_0, X_1, ... in the order of their declarations, each flattened row-major; hidden values and
outputs likewise Y_0, Y_1, ... Numbers are the decimals that the text says.

Reference: VNN-LIB standard 2.0, chapters 3 and 4.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError, MissingExtra, pip_install
from surefoot.spec.exact import decimal
from surefoot.spec.formula import Assertions, Clauses, Term, comparison, conjunction
from surefoot.spec.vnnlib import see_nesting

Kind: TypeAlias = Literal["input", "hidden", "output"]
_SIGNS = {"LessEqual": "<=", "GreaterEqual": ">=", "LessThan": "<", "GreaterThan": ">", "Equal": "==", "NotEqual": "!="}
_TYPES: dict[str, str] = {"Real": "real", "F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Tensor:
    """A declared tensor: its name, element type and shape; of a hidden one `node` names the value in the file."""

    name: str
    kind: Kind
    type: str
    shape: tuple[int, ...]
    node: str | None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Declared:
    """A declared network; `equal_to` names the one whose file it shares."""

    name: str
    tensors: tuple[Tensor, ...]
    equal_to: str | None

    @property
    def file_of(self) -> str:
        """The name of the network whose file it is: its own, or the one it equals."""
        return self.equal_to or self.name

    def of(self, *kinds: Kind) -> list[Tensor]:
        """Return its tensors of some kinds, in their order."""
        return [tensor for tensor in self.tensors if tensor.kind in kinds]


@dataclass(frozen=True)
class Specification:
    """Networks that a file declares, and what it asserts of them."""

    networks: tuple[Declared, ...]
    asserted: Assertions

    def tensors(self, *kinds: Kind) -> list[Tensor]:
        """Return the tensors of all networks of some kinds, in their order."""
        return [tensor for network in self.networks for tensor in network.of(*kinds)]

    @property
    def inputs(self) -> int:
        """How many numbers all networks are given."""
        return sum(tensor.size for tensor in self.tensors("input"))

    @property
    def outputs(self) -> int:
        """How many numbers they are asked for."""
        return sum(tensor.size for tensor in self.tensors("hidden", "output"))


def parse_vnnlib2(text: str) -> Specification:
    """Read a text of VNN-LIB 2.0.

    >>> text = "(vnnlib-version <2.0>) (declare-network f (declare-input X real [2]) (declare-output Y real [1]))"
    >>> read = parse_vnnlib2(text + "(assert (< X[1] Y[0]))")
    >>> read.networks[0].name, read.asserted.common[0].weights
    ('f', {'X_1': Fraction(1, 1), 'Y_0': Fraction(-1, 1)})

    Raises:
        InputError: not VNN-LIB 2.0, or a product of more than two variables.
        MissingExtra: the parser is not installed.
    """
    try:
        import vnnlib  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"reading VNN-LIB 2.0 needs vnnlib: {pip_install('verify')}") from error
    see_nesting(text)  # what reads it is recursive
    try:
        query = vnnlib.parse_query_string(text)
    except vnnlib.VNNLibException as error:
        raise InputError(f"this is not VNN-LIB 2.0: {_one_line(str(error))}") from error
    except (IndexError, ValueError, RuntimeError, OverflowError) as error:  # of C++, for numbers that it cannot hold
        raise InputError(f"a number, a shape or an index is larger than the parser holds ({error})") from error
    networks = tuple(_network(network) for network in query.networks)
    names = dict(_names(networks))
    asserted = Assertions()
    for assertion in query.assertions:
        tick()
        asserted.add(_clauses(assertion.expr, names))
    return Specification(networks, asserted)


def _one_line(text: str) -> str:
    """Say the first of the errors that the parser lists."""
    try:
        first = json.loads(text)["errors"][0]
        return f"line {first['line']}: {first['message']}, {first['offendingSymbol']!r}. {first['hint']}"
    except (ValueError, KeyError, IndexError, TypeError):
        return " ".join(text.split())[:300]


def _network(network: Any) -> Declared:
    kinds: tuple[tuple[Kind, Any], ...] = (
        ("input", network.inputs), ("hidden", network.hidden), ("output", network.outputs),
    )  # fmt: skip
    tensors = tuple(
        Tensor(
            one.name,
            kind,
            _TYPES.get(one.dtype.name) or str(one.dtype.name).lower(),
            tuple(one.shape),
            _node(one.onnx_name),
        )
        for kind, declared in kinds
        for one in declared
    )
    return Declared(network.name, tensors, network.equal_to or None)


def _node(name: str | None) -> str | None:
    """Return a name in a file without the quotes that the parser leaves."""
    return name[1:-1] if name and len(name) > 1 and name[0] == name[-1] == '"' else name or None


def _names(networks: tuple[Declared, ...]) -> Iterator[tuple[str, tuple[str, int, tuple[int, ...]]]]:
    """Give each tensor the letter and the number of its first element, and its shape."""
    counts = {"X": 0, "Y": 0}
    for network in networks:
        for tensor in network.tensors:
            letter = "X" if tensor.kind == "input" else "Y"
            yield tensor.name, (letter, counts[letter], tensor.shape)
            counts[letter] += tensor.size


def _clauses(formula: Any, names: dict[str, tuple[str, int, tuple[int, ...]]]) -> Clauses:
    """Bring a formula to clauses: one of the lists holds whole."""
    match type(formula).__name__:
        case "And":
            clauses: Clauses = [[]]
            for part in formula.args:
                clauses = conjunction(clauses, _clauses(part, names))
            return clauses
        case "Or":
            return [clause for part in formula.args for clause in _clauses(part, names)]
        case name if name in _SIGNS:
            return comparison(_SIGNS[name], _term(formula.lhs, names), _term(formula.rhs, names))
        case name:
            raise InputError(f"{name} is no formula that surefoot reads: {formula}")


def _term(tree: Any, names: dict[str, tuple[str, int, tuple[int, ...]]]) -> Term:
    match type(tree).__name__:
        case "Var":
            letter, first, shape = names[tree.name]
            return Term({f"{letter}_{first + _place(tree, shape)}": Fraction(1)}, Fraction(0))
        case "Float" | "Int" | "Literal" | "IntExpr":
            value = decimal(tree.lexeme)
            if value is None:
                raise InputError(f"{tree.lexeme[:40]!r} is no number")
            return Term({}, value)
        case "Negate":
            return Term({}, Fraction(0)).plus(_term(tree.expr, names), -1)
        case "Plus":
            return _sum(Term({}, Fraction(0)), tree.args, names, 1)
        case "Minus":
            return _sum(_term(tree.head, names), tree.rest, names, -1)
        case "Multiply":
            product = Term({}, Fraction(1))
            for part in tree.args:
                factor = product.times(_term(part, names))
                if factor is None:
                    raise InputError(f"a product of more than two variables is not read: {' '.join(str(tree).split())}")
                product = factor
            return product
        case name:
            raise InputError(f"{name} is no term that surefoot reads: {tree}")


def _sum(total: Term, parts: Any, names: dict[str, tuple[str, int, tuple[int, ...]]], sign: int) -> Term:
    for part in parts:
        total = total.plus(_term(part, names), sign)
    return total


def _place(variable: Any, shape: tuple[int, ...]) -> int:
    """Return which element of a flattened tensor is meant."""
    indices = list(variable.indices)
    if len(indices) != len(shape) or not all(0 <= i < side for i, side in zip(indices, shape, strict=True)):
        raise InputError(f"{variable.name}{indices} is no element of a tensor of shape {list(shape)}")
    place = 0
    for i, side in zip(indices, shape, strict=True):
        place = place * side + i
    return place
