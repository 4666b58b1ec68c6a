"""VNN-LIB 1.0: what is asked about a network, as the field's competition writes it.

A file asserts what a counterexample would satisfy. Several asserts are a conjunction, also after an `or`. Numbers are
read as the decimals that they are and added up exactly; what is rounded in the end is rounded outward.
"""

import gzip
import itertools
import re
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from surefoot.core.deadline import tick
from surefoot.core.errors import FileError, InputError
from surefoot.spec.cases import Property, property_of
from surefoot.spec.exact import decimal
from surefoot.spec.formula import Assertions, Clauses, Term, comparison, conjunction
from surefoot.spec.query import Query

LARGEST_FILE = 2**26
LARGEST_TOKENS = 2**23
OFTEN = 10_000  # tokens, after which the limit of time is looked at
QUOTE = '"'
_TOKEN = re.compile(  # of SMT-LIB 2: a comment ends where its line does; "" in a string is one quote
    r"""(?P<skipped>[ \t\r\n]+|;[^\r\n]*)|"[^"]*"(?:"[^"]*")*|\|(?P<symbol>[^|\\]*)\||(?P<broken>["|])"""
    r"""|[()]|[^ \t\r\n()";|]+"""
)
_VARIABLE = re.compile("[XY]_[0-9]+")
_VERSION_2 = re.compile(r"(?:[ \t\r\n]+|;[^\r\n]*)*\([ \t\r\n]*vnnlib-version\b")
_Tree: TypeAlias = str | list[Any]  # of trees


def read_vnnlib(path: Path | str, inputs: int, outputs: int) -> list[Query]:
    """Read a property, plain or gzipped: one query for each box of inputs.

    Raises:
        FileError: missing or damaged.
        InputError: as `parse_vnnlib`.
    """
    text = text_of(path)
    try:
        return parse_vnnlib(text, inputs, outputs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def text_of(path: Path | str) -> str:
    """Read a text, plain or gzipped.

    Raises:
        FileError: missing, damaged or too large.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise FileError(f"{path} has more than {LARGEST_FILE} bytes")
        return content.decode()
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not a whole text or gzip file: {error}") from error
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error


def is_version_2(text: str) -> bool:
    """Whether a text begins with the header of VNN-LIB 2.0.

    >>> is_version_2("; a comment\\n(vnnlib-version <2.0>)")
    True
    """
    return _VERSION_2.match(text) is not None


def see_nesting(text: str) -> None:
    """See that parentheses nest as deeply, and are as many, as is read.

    Raises:
        InputError: they do not, or do not match.
    """
    for _ in _statements(text):
        pass


def parse_vnnlib(text: str, inputs: int, outputs: int) -> list[Query]:
    """Read a property from its text.

    >>> text = "(declare-const X_0 Real) (declare-const Y_0 Real)"
    >>> text += "(assert (>= X_0 -1)) (assert (<= X_0 1)) (assert (>= Y_0 3))"
    >>> parse_vnnlib(text, inputs=1, outputs=1)[0].unsafe[0]
    Unsafe(weights=array([[-1.]]), bounds=array([-3.]))

    Raises:
        InputError: as `parse_property`, or a condition that is one on outputs only where inputs count as outputs.
    """
    asked = parse_property(text, inputs, outputs)
    if asked.of_inputs:
        raise InputError(
            "a condition on inputs and outputs together, on products, or on inputs with weights of more digits than "
            "float64 holds, is no question about outputs alone: `surefoot verify` answers it"
        )
    return asked.queries


def parse_property(text: str, inputs: int, outputs: int) -> Property:
    """Read a property from its text, whatever it relates.

    Raises:
        InputError: not VNN-LIB 1.0, variables that the network does not have, inputs without a bound, no box left.
    """
    if is_version_2(text):
        raise InputError("this is VNN-LIB 2.0; here 1.0 is read")
    known = {f"X_{i}" for i in range(inputs)} | {f"Y_{i}" for i in range(outputs)}
    asserted = Assertions()
    ended = False
    for statement in _statements(text):
        if ended:
            raise InputError(f"something follows (exit): {_shown(statement)}")
        match statement:
            case ["declare-const", str(name), "Real"]:
                if name not in known:
                    raise InputError(
                        f"the property speaks of {name}; the network has X_0 to X_{inputs - 1}, Y_0 to Y_{outputs - 1}"
                    )
            case ["declare-fun", str(name), [], "Real"] if name in known:
                pass
            case ["assert", formula]:
                asserted.add(_clauses(formula, known))
            case [("set-logic" | "check-sat" | "get-model" | "set-info"), *_]:
                pass
            case ["exit"]:
                ended = True
            case _:
                raise InputError(f"this is not a statement of VNN-LIB 1.0: {_shown(statement)}")
    return property_of(asserted, inputs, outputs)


def _statements(text: str) -> Iterator[list[_Tree]]:
    """Read parentheses without recursion: a hostile file may nest them deeply."""
    stack: list[list[_Tree]] = []
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number % OFTEN == 0:
            tick()
        if number > LARGEST_TOKENS:
            raise InputError(f"the property has more than {LARGEST_TOKENS} words and parentheses")
        token = match[0]
        if match.lastgroup == "skipped":
            continue
        if match.lastgroup == "broken":
            raise InputError(f"{'a string' if token == QUOTE else 'a symbol between |'} does not end")
        if token == "(":
            stack.append([])
        elif token == ")":
            if not stack:
                raise InputError("a closing parenthesis too many")
            done = stack.pop()
            if stack:
                stack[-1].append(done)
            else:
                yield done
        elif stack:
            symbol = match["symbol"]  # |X_0| is X_0, but |0.5| is no number, and |assert| no command
            stack[-1].append(symbol if symbol and _VARIABLE.fullmatch(symbol) else token)
        else:
            raise InputError(f"{token[:40]!r} stands outside all parentheses")
        if len(stack) > 200:
            raise InputError("parentheses nest more than 200 deep")
    if stack:
        raise InputError("the text ends inside parentheses")


def _clauses(tree: _Tree, known: set[str]) -> Clauses:
    """Bring a formula to clauses: one of the lists holds whole."""
    match tree:
        case ["and", *parts]:
            clauses: Clauses = [[]]
            for part in parts:
                clauses = conjunction(clauses, _clauses(part, known))
            return clauses
        case ["or", *parts] if parts:
            return [clause for part in parts for clause in _clauses(part, known)]
        case [("<=" | ">=" | "=") as sign, *terms] if len(terms) >= 2:
            read = [_linear(term, known) for term in terms]
            return [[atom for pair in itertools.pairwise(read) for atom in comparison(sign, *pair)[0]]]
        case [("<" | ">"), *_]:
            raise InputError(f"unsafe sets are closed in VNN-LIB 1.0: write <= or >= in {_shown(tree)}")
        case _:
            raise InputError(f"this is not a formula of <=, >=, and, or: {_shown(tree)}")


def _linear(tree: _Tree, known: set[str]) -> Term:
    match tree:
        case str(name) if name in known:
            return Term({name: Fraction(1)}, Fraction(0))
        case str(text):
            value = decimal(text)
            if value is None:
                if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                    raise InputError(f"{text} is not a finite number")
                raise InputError(f"{text[:40]!r} is neither a number nor an input or output of the network")
            return Term({}, value)
        case ["-", only]:
            return Term({}, Fraction(0)).plus(_linear(only, known), -1)
        case [("+" | "-") as sign, *parts] if len(parts) >= 2:
            total = _linear(parts[0], known)
            for part in parts[1:]:
                total = total.plus(_linear(part, known), 1 if sign == "+" else -1)
            return total
        case ["*", left, right]:
            product = _linear(left, known).times(_linear(right, known))
            if product is None:
                raise InputError(f"a product of more than two variables is not read: {_shown(tree)}")
            return product
        case _:
            raise InputError(f"this is not a linear term: {_shown(tree)}")


def _shown(tree: _Tree) -> str:
    text = str(tree).replace(",", "").replace("'", "").replace("[", "(").replace("]", ")")
    return text if len(text) < 80 else text[:77] + "..."
