"""Conditions in CEL: compiled once, checked when saved, evaluated in three-valued logic.

An expression sees top-level variables; a variable that is left out is unknown. What a person may save is bounded so
that no text can stop the process: measured, `1+1+...` with 20,000 terms crashes it, nested macros over long lists
freeze it. Static paths such as `actions["DL.3.1"].outcome` or `body.alert.title` become variables of their own:
handing a whole map to the evaluator costs about 5 us per value in it, a single value less than 1 us.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, Literal

import cel
from msgspec import Struct

from domain.expression_text import TEXT_MAX, InvalidExpression, Path, Reading, read
from domain.expression_values import FUNCTIONS, LIST_MAX, MAPPED_LIST_MAX, MISSING, find, plain

__all__ = [
    "TEXT_MAX",
    "EvaluationFailed",
    "Expression",
    "InvalidExpression",
    "Scope",
    "TooCostly",
    "compile_expression",
]

CACHED_MAX = 4_096  # expressions kept compiled; the shipped catalogue has a few hundred

OPERATORS: Final = frozenset(
    [
        "_&&_",
        "_||_",
        "!_",
        "_?_:_",
        "_==_",
        "_!=_",
        "_<_",
        "_<=_",
        "_>_",
        "_>=_",
        "@in",
        "_in_",
        "_+_",
        "_-_",
        "_*_",
        "_/_",
        "_%_",
        "-_",
        "_[_]",
        "@not_strictly_false",
    ]
)
NATIVE_FUNCTIONS: Final = frozenset(
    [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bool",
        "type",
        "duration",
        "timestamp",
        "has",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ]
)


class EvaluationFailed(ValueError):
    """An expression could not be computed although everything it refers to is known: a fault of the expression."""


class TooCostly(Exception):
    """The time of a scope is over. `text` is the expression that was not evaluated any more."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Need(Struct, frozen=True):
    """One variable that the compiled text refers to: a whole variable, a value inside one, or whether it is there."""

    variable: str
    kind: Literal["value", "presence"]
    root: str
    path: Path
    is_range: bool


class Expression:
    """A compiled condition. Immutable; shared by every caller of the same text."""

    __slots__ = ("_alone", "_gets", "_limit", "_needs", "_program", "_variables", "names", "shipped", "text")

    def __init__(self, text: str, reading: Reading, program: cel.Program, *, shipped: bool) -> None:
        self.text = text
        self.shipped = shipped
        self.names: frozenset[str] = reading.names
        self._program = program
        self._needs = tuple(
            Need(place.variable, place.kind, place.root, place.path, place.is_range)
            for place in reading.places
            if place.kind != "get"
        )
        self._gets = tuple((place.variable, place.root, place.path) for place in reading.places if place.kind == "get")
        self._limit = MAPPED_LIST_MAX if reading.maps else LIST_MAX
        # What it gives when nothing it refers to is known, found out once: most conditions of an early incident.
        self._alone: Any = MISSING if self._gets or not self.names else _run(program, cel.Context({}, FUNCTIONS))
        self._variables = {place.variable: (place.root, place.path) for place in reading.places}

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def evaluate(self, scope: "Scope") -> Any:
        """The value, or None when it depends on something unknown.

        Raises EvaluationFailed when everything referred to is known and the expression still has no value
        (a missing member, types that do not fit), TooCostly when the time of the scope is over.
        """
        if scope.ends_at is not None and time.thread_time() > scope.ends_at:
            raise TooCostly(self.text)
        if self._alone is not MISSING and scope.knows_none(self.names):
            return self._alone
        context = scope.context(self._limit, self._needs, self._gets, shipped=self.shipped)
        try:
            return self._program.execute(context)
        except Exception as error:
            if scope.knows(self.names):
                raise EvaluationFailed(f"{self.text!r}: {self._reason(error)}") from None
            return None

    @property
    def places(self) -> tuple[tuple[str, Path], ...] | None:
        """(variable, path within it) of everything the text reads; None where it reads by computed places.

        Two scopes that agree there give the same result, so a caller may remember it.
        """
        return None if self._gets else tuple((need.root, need.path) for need in self._needs)

    def _reason(self, error: Exception) -> str:
        """The evaluator's message in the words of the text: our own variables stand for paths."""
        if isinstance(error, KeyError):
            return f"no member {error.args[0]!r}"
        message = str(error).split(". ")[0][:200]
        for variable, (root, path) in self._variables.items():
            if path and variable in message:
                return f"there is no {'.'.join(map(str, (root, *path)))}"
        return message

    def holds(self, scope: "Scope") -> bool | None:
        """Whether the condition is true; None means unknown.

        Raises EvaluationFailed as `evaluate` does, and when the value is not a boolean.
        """
        value = self.evaluate(scope)
        if value is True or value is False:
            return value
        if value is None and not scope.knows(self.names):
            return None
        raise EvaluationFailed(f"{self.text!r} is not a condition: it gives {type(value).__name__}")


class Scope:
    """The variables of one decision or one delivery, handed to the evaluator when first referred to.

    `unknown` names variables that exist but have no value: leaving them out gives exact three-valued logic. A name
    that is neither given nor unknown is a fault of the expression. Extra `functions` take and return plain values.
    `ends_at` is the CPU time of the thread (`time.thread_time`) from which on nothing is evaluated any more.
    """

    __slots__ = ("_bound", "_contexts", "_functions", "_gets", "ends_at", "unknown", "variables")

    def __init__(
        self,
        variables: Mapping[str, Any],
        unknown: Collection[str] = (),
        functions: Mapping[str, Callable[..., Any]] | None = None,
        ends_at: float | None = None,
    ) -> None:
        self.variables = variables
        self.ends_at = ends_at
        self.unknown = unknown
        self._functions = functions
        self._contexts: dict[int, cel.Context] = {}
        self._bound: dict[int, set[str]] = {}
        self._gets: dict[str, tuple[str, Path]] = {}

    def knows(self, names: Iterable[str]) -> bool:
        """Whether none of `names` is unknown. A name nobody declared counts as known: its absence is a fault."""
        return all(name in self.variables or name not in self.unknown for name in names)

    def knows_none(self, names: frozenset[str]) -> bool:
        """Whether every one of `names` is unknown."""
        return names.isdisjoint(self.variables) and names.issubset(self.unknown)

    def context(
        self, limit: int, needs: Iterable[Need], gets: Iterable[tuple[str, str, Path]], *, shipped: bool
    ) -> cel.Context:
        """The evaluator's context holding at least what `needs` names; lists are cut to `limit` elements."""
        context = self._contexts.get(limit)
        if context is None:
            context = self._contexts[limit] = self._create()
            self._bound[limit] = set()
        bound = self._bound[limit]
        for need in needs:
            if need.is_range and not shipped:
                self._check_range(need)
            if need.variable not in bound:
                bound.add(need.variable)
                self._bind(context, need, limit)
        for variable, root, path in gets:
            self._gets[variable] = (root, path)
        return context

    def _create(self) -> cel.Context:
        # The collector cannot look into a context: one that led back to its scope would keep both for ever.
        functions: dict[str, Callable[..., Any]] = {**FUNCTIONS, "get_": partial(_get, self._gets, self.variables)}
        if self._functions is not None:
            functions |= {name: _quiet(function) for name, function in self._functions.items()}
        return cel.Context({}, functions)

    def _bind(self, context: cel.Context, need: Need, limit: int) -> None:
        root = self.variables.get(need.root, MISSING)
        if root is MISSING:
            return
        value = find(root, need.path, limit) if need.path else root
        if need.kind == "presence":
            context.add_variable(need.variable, value is not MISSING)
        elif value is not MISSING:
            try:
                context.add_variable(need.variable, plain(value, limit))
            except (ValueError, TypeError, OverflowError) as error:
                raise EvaluationFailed(f"{need.root!r} holds a value that no expression can see") from error

    def _check_range(self, need: Need) -> None:
        # The iteration order of a map differs from process to process.
        value = find(self.variables.get(need.root, MISSING), need.path, LIST_MAX)
        if isinstance(value, Mapping):
            raise EvaluationFailed(f"{need.root!r}: exists and all work on lists, this is a map")


def _get(gets: Mapping[str, tuple[str, Path]], variables: Mapping[str, Any], variable: str, default: Any) -> Any:
    """The value at the static path behind `variable`, or `default` when it is absent or null. Never raises."""
    try:
        root, path = gets[variable]
        value = find(variables.get(root, MISSING), path, LIST_MAX)
        return default if value is MISSING or value is None else plain(value, LIST_MAX)
    except Exception:
        return default


@lru_cache(maxsize=CACHED_MAX)
def _compile(text: str, names: frozenset[str] | None, shipped: bool) -> Expression:
    reading = read(text, shipped=shipped)
    _parse(text)  # the faults and positions that a caller reads are those of the text as typed
    program = _parse(reading.compiled)
    if reading.functions:
        unknown = sorted(reading.functions - NATIVE_FUNCTIONS - FUNCTIONS.keys() - {"get"})
        if unknown:
            raise InvalidExpression(f"There is no function {unknown[0]!r}.", text.find(unknown[0]))
    other = set(program.functions()) - OPERATORS - NATIVE_FUNCTIONS - FUNCTIONS.keys() - {"get_"}
    if other:
        raise InvalidExpression(f"There is no function {sorted(other)[0]!r}.")
    for pattern in reading.patterns:
        if _run(_parse(f"''.matches({pattern})"), cel.Context()) is None:
            raise InvalidExpression(f"{pattern} is not a regular expression.", text.find(pattern))
    if names is not None:
        _check_names(text, reading, names)
    return Expression(text, reading, program, shipped=shipped)


def compile_expression(text: str, names: Collection[str] | None = None, *, shipped: bool = False) -> Expression:
    """Compile `text`; with `names`, refuse any variable that is not among them.

    `shipped` expressions come with the product and may use `map` and `filter`. Compiled expressions are cached.
    Raises InvalidExpression.
    """
    return _compile(text, None if names is None else frozenset(names), shipped)


def _check_names(text: str, reading: Reading, names: frozenset[str]) -> None:
    for name in sorted(reading.names):
        if name not in names:
            raise InvalidExpression(f"There is no variable {name!r}.", text.find(name))
    for name in sorted(reading.bound & names):
        raise InvalidExpression(f"{name!r} is the name of a variable: call the element something else.")


def _parse(text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except ValueError as error:
        raise InvalidExpression(*_syntax_fault(text, str(error))) from None


def _syntax_fault(text: str, message: str) -> tuple[str, int | None]:
    """What is wrong and where, out of the parser's message `... ERROR: <input>:line:column: reason`."""
    _, marker, rest = message.partition("<input>:")
    if not marker:
        return "This is not a valid expression.", None
    line, _, rest = rest.partition(":")
    column, _, reason = rest.partition(":")
    reason = reason.splitlines()[0].partition(" expecting ")[0].strip() if reason else "syntax error"
    if "ExprContext" in reason:  # how the parser says that an operand is missing
        reason = "Syntax error: the expression is incomplete"
    try:
        before = text.splitlines(keepends=True)[: int(line) - 1]
        position = min(sum(map(len, before)) + int(column) - 1, len(text))
    except ValueError:
        return f"{reason[:200]}.", None
    return f"{reason[:200]} (at character {position + 1}).", position


def _run(program: cel.Program, context: cel.Context) -> Any:
    try:
        return program.execute(context)
    except Exception:
        return None


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, answering null instead of raising: the evaluator prints what a function raises to stderr."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception:
            return None

    return call
