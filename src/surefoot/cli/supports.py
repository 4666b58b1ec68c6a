"""`surefoot supports`: what it can be asked, as the VNN-LIB 2.0 standard has solvers say it."""

from typing import Annotated

import typer

from surefoot.core.errors import InputError

# The theories of chapter 4 that are read, each with those that it includes.
ANSWERS: dict[str, tuple[str, ...]] = {
    "onnx_opset_versions": ("7", "23"),
    "onnx_element_types": ("real", "float32"),
    "vnnlib_versions": ("1.0", "2.0"),
    "hidden_node_theories": ("NH", "H"),
    "multiple_input_output_theories": ("SIO", "MIO"),
    "multiple_network_theories": ("SNET", "MENET", "MINET", "MNET"),
    "multiple_node_comparison_theories": ("SNC", "MNC"),
    "arithmetic_complexity_theories": ("BND", "OUTC", "LIN"),
    "optimised_disjunctive_reasoning": ("false",),
    "serialise_assignments": ("true",),
    "unsat_proofs": ("false",),  # certificates are files of our own
}


def command(
    onnx_opset_versions: Annotated[bool, typer.Option("--onnx-opset-versions", help="The oldest and newest.")] = False,
    onnx_element_types: Annotated[
        bool, typer.Option("--onnx-element-types", help="Types that answers hold for.")
    ] = False,
    onnx_operators: Annotated[bool, typer.Option("--onnx-operators", help="Each with its types, if not all.")] = False,
    vnnlib_versions: Annotated[bool, typer.Option("--vnnlib-versions", help="The oldest and newest.")] = False,
    hidden_node_theories: Annotated[bool, typer.Option("--hidden-node-theories", help="NH, H.")] = False,
    multiple_input_output_theories: Annotated[
        bool, typer.Option("--multiple-input-output-theories", help="SIO, MIO.")
    ] = False,
    multiple_network_theories: Annotated[
        bool, typer.Option("--multiple-network-theories", help="SNET, MENET, MINET, MNET.")
    ] = False,
    multiple_node_comparison_theories: Annotated[
        bool, typer.Option("--multiple-node-comparison-theories", help="SNC, MNC.")
    ] = False,
    arithmetic_complexity_theories: Annotated[
        bool, typer.Option("--arithmetic-complexity-theories", help="BND, OUTC, LIN; no POLY.")
    ] = False,
    optimised_disjunctive_reasoning: Annotated[
        bool, typer.Option("--optimised-disjunctive-reasoning", help="Whether `or` is more than cases.")
    ] = False,
    serialise_assignments: Annotated[
        bool, typer.Option("--serialise-assignments", help="Whether `verify` knows that option.")
    ] = False,
    unsat_proofs: Annotated[
        bool, typer.Option("--unsat-proofs", help="Whether proofs in the standard's format are written.")
    ] = False,
) -> None:
    """Say what can be asked of `surefoot verify`, as the VNN-LIB 2.0 standard wants it: for programs that ask.

    Operators whose proofs are of real arithmetic alone are followed by `real`: runtimes approximate smooth functions
    each in its own way.

    Example: surefoot supports --onnx-operators
    """
    asked = [name for name, wanted in locals().items() if wanted is True]
    if len(asked) != 1:
        raise InputError("name one capability, such as --vnnlib-versions: see `surefoot supports --help`")
    print(*_answer(asked[0]), sep="\n")


def _answer(name: str) -> tuple[str, ...]:
    if name in ANSWERS:
        return ANSWERS[name]
    from surefoot.graph.onnx_functions import FUNCTIONS
    from surefoot.graph.onnx_in import SUPPORTED
    from surefoot.graph.onnx_norms import NORMS
    from surefoot.graph.onnx_steps import STEPS

    real_only = {*FUNCTIONS, *NORMS, *STEPS, "LogSoftmax", "Softmax"} - {"BatchNormalization"}
    return tuple(f"{op} real" if op in real_only else op for op in sorted(SUPPORTED))
