"""ONNX's recurrent layers, unrolled: RNN, GRU and LSTM of a fixed number of steps."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_values import Known, OnnxValue, Values, value_of
from surefoot.graph.ops import Concat, Elementwise, Linear, Relu

_State: TypeAlias = list[OnnxValue]  # the output of a step, and what else is handed on
_Cell: TypeAlias = Callable[[Values, "_Weights", OnnxValue, _State, dict[str, Any]], _State]
_USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


class _Weights:
    """Those of one direction: of each gate, one after another, for the input and for the output before."""

    def __init__(self, inputs: "list[Known | None]", direction: int, size: int) -> None:
        self.size = size
        self.given, self.before = (torch.from_numpy(constant(inputs[at], "weights")[direction]) for at in (1, 2))
        bias = constant(inputs[3], "bias")[direction] if len(inputs) > 3 and inputs[3] is not None else None
        halves = np.split(bias, 2) if bias is not None else [np.zeros(len(self.given))] * 2
        self.bias, self.bias_before = (torch.from_numpy(half.copy()) for half in halves)

    def of_given(self, reader: Values, x: OnnxValue, gates: slice) -> OnnxValue:
        """Compute W x + b of some gates."""
        rows = slice(gates.start * self.size, gates.stop * self.size)
        return reader.add(Linear(self.given[rows], self.bias[rows]), x)

    def of_before(self, reader: Values, h: OnnxValue, gates: slice) -> OnnxValue:
        """Compute R h + b of some gates."""
        rows = slice(gates.start * self.size, gates.stop * self.size)
        return reader.add(Linear(self.before[rows], self.bias_before[rows]), h)

    def gates(self, reader: Values, x: OnnxValue, h: OnnxValue, gates: slice) -> list[OnnxValue]:
        """Add the two, and divide the sum by gates."""
        total = branches(reader, "Add", self.of_given(reader, x, gates), self.of_before(reader, h, gates), "")
        places = np.arange(math.prod(total.full)).reshape(total.full)
        count = gates.stop - gates.start
        return [reader.taken(total, part) for part in np.split(places, count, axis=-1)]


def _rnn(reader: Values, weights: _Weights, x: OnnxValue, state: _State, a: dict[str, Any]) -> _State:
    (total,) = weights.gates(reader, x, state[0], slice(0, 1))
    return [reader.add(Relu() if a["activation"] == "Relu" else Elementwise("Tanh"), total)]


def _gru(reader: Values, weights: _Weights, x: OnnxValue, state: _State, a: dict[str, Any]) -> _State:
    """H' = (1 - z) c + z h."""
    h = state[0]
    z, r = (reader.add(Elementwise("Sigmoid"), gate) for gate in weights.gates(reader, x, h, slice(0, 2)))
    last = slice(2, 3)
    if a.get("linear_before_reset", 0):
        inner = branches(reader, "Mul", r, weights.of_before(reader, h, last), "")
    else:
        inner = weights.of_before(reader, branches(reader, "Mul", r, h, ""), last)
    c = reader.add(Elementwise("Tanh"), branches(reader, "Add", weights.of_given(reader, x, last), inner, ""))
    moved = branches(reader, "Mul", z, branches(reader, "Sub", h, c, ""), "")
    return [branches(reader, "Add", c, moved, "")]


def _lstm(reader: Values, weights: _Weights, x: OnnxValue, state: _State, a: dict[str, Any]) -> _State:
    """C' = f c + i tanh(g), h' = o tanh(c')."""
    h, c = state
    gates = weights.gates(reader, x, h, slice(0, 4))
    i, o, f = (reader.add(Elementwise("Sigmoid"), gate) for gate in gates[:3])
    kept = branches(reader, "Mul", f, c, "")
    c = branches(reader, "Add", kept, branches(reader, "Mul", i, reader.add(Elementwise("Tanh"), gates[3]), ""), "")
    return [branches(reader, "Mul", o, reader.add(Elementwise("Tanh"), c), ""), c]


def _layer(op: str, cell: _Cell) -> Any:
    def read(
        reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
    ) -> "list[OnnxValue | None]":
        x, size = value_of(inputs[0]), int(a["hidden_size"])
        inputs = [*inputs, *[None] * (8 - len(inputs))]
        direction = a.get("direction", b"forward").decode()
        ways = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}.get(direction, [])
        usual = _USUAL[op] * len(ways)
        named = [one.decode() for one in a.get("activations", [])] or usual
        if named != usual and not (op == "RNN" and set(named) == {"Relu"}):
            raise InputError(f"its activations {named} are not read")
        if not ways or a.get("layout", 0) or inputs[4] is not None or inputs[7] is not None or len(x.full) != 3:
            raise InputError("values (steps, batch, n) are needed, without peepholes, and without lengths of sequences")
        steps, batch, n = x.full
        places, states = np.arange(math.prod(x.full)).reshape(x.full), []
        outputs: dict[tuple[int, int], OnnxValue] = {}
        for at, way in enumerate(ways):
            state = [_begin(reader, inputs[5 + i], at, (batch, size)) for i in range(2 if op == "LSTM" else 1)]
            weights = _Weights(inputs, at, size)
            for t in range(steps)[::way]:
                row = reader.taken(x, places[t].reshape(batch, n))
                state = cell(reader, weights, row, state, {**a, "activation": named[0]})
                outputs[t, at] = state[0]
            states.append(state)
        every = [outputs[t, at] for t in range(steps) for at in range(len(ways))]
        whole = _joined(reader, every, (batch, steps, len(ways), size)) if wanted[0] else None
        ends = [_joined(reader, list(parts), (batch, 1, len(ways), size)) for parts in zip(*states, strict=True)]
        turned = [whole and _turned(reader, whole, (1, 2, 0, 3)), *(_turned(reader, end, (2, 0, 3)) for end in ends)]
        return [value if ask else None for value, ask in zip(turned, wanted, strict=False)]

    return read


def _begin(reader: Values, given: "Known | None", at: int, full: tuple[int, int]) -> OnnxValue:
    """Return the state before the first step: 0, or what is given."""
    if isinstance(given, OnnxValue):
        places = np.arange(math.prod(given.full)).reshape(given.full)[at]
        return reader.taken(given, places)
    return reader.lifted(np.zeros(full) if given is None else constant(given, "state")[at])


def _joined(reader: Values, values: list[OnnxValue], full: tuple[int, ...]) -> OnnxValue:
    """Join values (batch, size) along the last axis."""
    joined = values[0] if len(values) == 1 else reader.add(Concat(len(values[0].sample) - 1), *values)
    return reader.shaped(joined, full)


def _turned(reader: Values, value: OnnxValue, axes: tuple[int, ...]) -> OnnxValue:
    """Transpose (batch, steps, directions, size), to these axes; a step that is not named is one alone."""
    places = np.arange(math.prod(value.full)).reshape(value.full)
    return reader.taken(value, places.transpose(axes) if len(axes) == 4 else places[:, 0].transpose(1, 0, 2))


RECURRENT = {"GRU": _layer("GRU", _gru), "LSTM": _layer("LSTM", _lstm), "RNN": _layer("RNN", _rnn)}
