"""The text of an expression read before it is compiled: its bounds, its names, its static paths."""

import re
from collections.abc import Iterator
from hashlib import blake2s
from typing import Literal

from msgspec import Struct

from domain.expression_values import dotted

TEXT_MAX = 1_000  # characters
DEPTH_MAX = 24  # brackets inside brackets
MACROS_MAX = 10  # in one expression
NESTED_MACROS_MAX = 3
ADDITIONS_MAX = 32  # `+` joins lists and strings; each one copies
MATCHES_MAX = 2  # regular expressions are compiled at each evaluation: measured, 3 ms per class such as \pL
PATTERN_MAX = 100  # characters
REPETITION = re.compile(r"(\)?)\{(\d*),?(\d*)")  # counted: it multiplies what stands before it
REPETITION_MAX = 20

Path = tuple[str | int, ...]
PlaceKind = Literal["value", "presence", "get"]

MACROS = frozenset({"exists", "all", "exists_one", "map", "filter"})
COPYING = frozenset({"split", "join", "matches"})  # per element of a long list they take seconds
SHIPPED_MACROS = frozenset({"map", "filter"})
KEYWORDS = frozenset({"true", "false", "null", "in"})

TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*)
    | (?P<string>[rR](?:"[^"\r\n]*"|'[^'\r\n]*') | "(?:[^"\\\r\n]|\\.)*" | '(?:[^'\\\r\n]|\\.)*')
    | (?P<number>0[xX][0-9a-fA-F]+[uU]?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>&&|\|\||[=!<>]=|[-+*/%!<>?:,.()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
OPENING = {"(": ")", "[": "]", "{": "}"}


class InvalidExpression(ValueError):
    """An expression cannot be used. `position` counts characters from 0, None when there is no one place."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position if position is None or position >= 0 else None


class Token(Struct, frozen=True):
    """A piece of the text; `start` and `end` count characters."""

    kind: str
    text: str
    start: int
    end: int


class Place(Struct, frozen=True):
    """A variable of the compiled text: the value at `path` in `root`, whether it is there, or what `get` looks up."""

    variable: str
    kind: PlaceKind
    root: str
    path: Path
    is_range: bool = False


class Reading(Struct, frozen=True):
    """What an expression's text says about itself. `compiled` is the text with its static paths replaced."""

    compiled: str
    names: frozenset[str]
    bound: frozenset[str]
    functions: frozenset[str]
    places: tuple[Place, ...]
    patterns: tuple[str, ...]
    maps: bool


class Macro(Struct):
    """One use of a macro: `root` is the name its list starts with, None when it starts with something else."""

    name: str
    variable: str
    root: str | None
    outer: tuple[str, ...]
    at: int


def read(text: str, *, shipped: bool) -> Reading:
    """Check the bounds of `text` and find its names and paths. Raises InvalidExpression."""
    if len(text) > TEXT_MAX:
        raise InvalidExpression(f"An expression has at most {TEXT_MAX} characters; this one has {len(text)}.", TEXT_MAX)
    if not text.strip():
        raise InvalidExpression("The expression is empty.", 0)
    tokens = list(_tokens(text))
    macros = _macros(tokens)
    _check_bounds(tokens, macros, shipped=shipped)
    bound = frozenset(macro.variable for macro in macros)
    return _rewrite(text, tokens, bound, maps=any(macro.name in SHIPPED_MACROS for macro in macros))


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            shown = text[position]
            raise InvalidExpression(f"{shown!r} has no meaning here (at character {position + 1}).", position)
        if match.lastgroup == "string" and text[match.end() : match.end() + 1] in {'"', "'"}:
            raise InvalidExpression("Strings with three quotes are not offered.", position)
        if match.lastgroup == "string" and position and (text[position - 1].isalnum() or text[position - 1] == "_"):
            raise InvalidExpression("Of the string prefixes only r is offered.", position)
        if match.lastgroup and match.lastgroup != "space":
            yield Token(match.lastgroup, match.group(), position, match.end())
        position = match.end()


def _macros(tokens: list[Token]) -> list[Macro]:
    """Every macro with the variables of the macros around it. Raises InvalidExpression for unbalanced brackets."""
    found: list[Macro] = []
    stack: list[tuple[str, str | None]] = []
    for index, token in enumerate(tokens):
        if token.text in OPENING and token.kind == "mark":
            variable = None
            if _is_macro(tokens, index):
                macro = _macro(tokens, index, tuple(name for _, name in stack if name))
                found.append(macro)
                variable = macro.variable
            stack.append((OPENING[token.text], variable))
            if len(stack) > DEPTH_MAX:
                raise InvalidExpression(f"Brackets are nested more than {DEPTH_MAX} deep.", token.start)
            if token.text == "{" and index and tokens[index - 1].kind == "name":
                raise InvalidExpression("Message literals are not offered.", token.start)
        elif token.kind == "mark" and token.text in ")]}" and (not stack or stack.pop()[0] != token.text):
            raise InvalidExpression(f"{token.text!r} closes nothing.", token.start)
    if stack:
        raise InvalidExpression(f"{stack[-1][0]!r} is missing.", tokens[-1].end)
    return found


def _is_macro(tokens: list[Token], opening: int) -> bool:
    return (
        opening >= 2
        and tokens[opening].text == "("
        and tokens[opening - 1].text in MACROS
        and tokens[opening - 2].text == "."
    )


def _macro(tokens: list[Token], opening: int, outer: tuple[str, ...]) -> Macro:
    name = tokens[opening - 1]
    if opening + 2 >= len(tokens) or tokens[opening + 1].kind != "name" or tokens[opening + 2].text != ",":
        raise InvalidExpression(f"{name.text} takes the name of its element and a condition.", name.start)
    return Macro(name.text, tokens[opening + 1].text, _chain_root(tokens, opening - 3), outer, name.start)


def _chain_root(tokens: list[Token], index: int) -> str | None:
    """The name that the member chain ending at `index` starts with, None when it starts with something else."""
    while index >= 0:
        token = tokens[index]
        if token.text == "]":
            depth = 0
            while index >= 0:
                depth += (tokens[index].text == "]") - (tokens[index].text == "[")
                index -= 1
                if depth == 0:
                    break
            continue
        if token.kind != "name":
            return None
        if index == 0 or tokens[index - 1].text != ".":
            return token.text
        index -= 2
    return None


def _check_bounds(tokens: list[Token], macros: list[Macro], *, shipped: bool) -> None:
    if len(macros) > MACROS_MAX:
        raise InvalidExpression(f"At most {MACROS_MAX} uses of exists and all.", macros[MACROS_MAX].at)
    for macro in macros:
        if len(macro.outer) >= NESTED_MACROS_MAX:
            raise InvalidExpression(f"exists and all nest at most {NESTED_MACROS_MAX} deep.", macro.at)
        if macro.variable in macro.outer:
            raise InvalidExpression(f"{macro.variable!r} already names an element here.", macro.at)
        if not shipped:
            _check_tenant_macro(macro)
    if not shipped:
        _check_tenant_tokens(tokens, macros)


def _check_tenant_macro(macro: Macro) -> None:
    if macro.name in SHIPPED_MACROS:
        raise InvalidExpression(f"{macro.name} is not offered: use exists or all.", macro.at)
    # Descending into the element visits each value once; any other inner list multiplies the lengths.
    if macro.outer and macro.root != macro.outer[-1]:
        raise InvalidExpression(f"A nested {macro.name} works on a list inside {macro.outer[-1]!r} only.", macro.at)


def _check_tenant_tokens(tokens: list[Token], macros: list[Macro]) -> None:
    additions = [token for token in tokens if token.text == "+"]
    for index, token in enumerate(tokens if macros else ()):
        if token.text == "+" or (token.text in COPYING and _is_call(tokens, index)):
            raise InvalidExpression(f"{token.text} cannot be combined with exists and all.", token.start)
    if len(additions) > ADDITIONS_MAX:
        raise InvalidExpression(f"At most {ADDITIONS_MAX} additions.", additions[ADDITIONS_MAX].start)
    matches = [index for index, token in enumerate(tokens) if token.text == "matches" and _is_call(tokens, index)]
    if len(matches) > MATCHES_MAX:
        raise InvalidExpression(f"At most {MATCHES_MAX} uses of matches.", tokens[matches[MATCHES_MAX]].start)
    for index in matches:
        if [token.kind for token in tokens[index + 1 : index + 4]] != ["mark", "string", "mark"]:
            raise InvalidExpression("matches takes a pattern written out.", tokens[index].start)
        _check_pattern(tokens[index + 2])


def _is_call(tokens: list[Token], index: int) -> bool:
    return tokens[index].kind == "name" and index + 1 < len(tokens) and tokens[index + 1].text == "("


def _check_pattern(token: Token) -> None:
    """A pattern is matched in linear time, but large ones take long to compile."""
    if len(token.text) > PATTERN_MAX:
        raise InvalidExpression(f"A pattern has at most {PATTERN_MAX} characters.", token.start)
    repetitions = REPETITION.findall(token.text)
    counts = [int(count) for _, low, high in repetitions for count in (low, high) if count]
    if len(repetitions) > 1 or any(group for group, _, _ in repetitions) or max(counts, default=0) > REPETITION_MAX:
        reason = f"A pattern may count repetitions once, up to {REPETITION_MAX} and not of a group."
        raise InvalidExpression(reason, token.start)


class _Rewriter:
    """Replaces static paths by variables, one token run at a time."""

    def __init__(self, text: str, tokens: list[Token], bound: frozenset[str]) -> None:
        self.text = text
        self.tokens = tokens
        self.bound = bound
        self.names: set[str] = set()
        self.functions: set[str] = set()
        self.places: dict[str, Place] = {}
        self.pieces: list[str] = []
        self.copied = 0

    def at(self, index: int, text: str) -> bool:
        return 0 <= index < len(self.tokens) and self.tokens[index].text == text

    def chain(self, index: int) -> tuple[Path, int]:
        """The static path that follows the name at `index`, and the index after it."""
        path: list[str | int] = []
        after = index + 1
        while True:
            if self.at(after, ".") and self._is_member(after + 1):
                path.append(self.tokens[after + 1].text)
                after += 2
            elif self.at(after, "[") and self.at(after + 2, "]") and (key := _key(self.tokens[after + 1])) is not None:
                path.append(key)
                after += 3
            else:
                return tuple(path), after

    def _is_member(self, index: int) -> bool:
        return index < len(self.tokens) and self.tokens[index].kind == "name" and not self.at(index + 1, "(")

    def place(self, kind: PlaceKind, root: str, path: Path, *, is_range: bool = False) -> str:
        variable = root if kind == "value" and not path else _variable(kind, root, path)
        known = self.places.get(variable)
        self.places[variable] = Place(variable, kind, root, path, is_range or (known is not None and known.is_range))
        return variable

    def replace(self, first: int, after: int, by: str) -> None:
        self.pieces.append(self.text[self.copied : self.tokens[first].start])
        self.pieces.append(by)
        self.copied = self.tokens[after - 1].end

    def name(self, index: int) -> int:
        """Handle the name at `index`; the index to go on from."""
        token = self.tokens[index]
        if self.at(index - 1, ".") or self.at(index + 1, "("):
            if self.at(index + 1, "(") and not (token.text in MACROS and self.at(index - 1, ".")):
                self.functions.add(token.text)
            return index + 1
        if token.text in KEYWORDS or token.text in self.bound:
            return index + 1
        self.names.add(token.text)
        path, after = self.chain(index)
        if path and self.at(index - 1, "(") and self.at(index - 2, "has") and self.at(after, ")"):
            self.replace(index - 2, after + 1, self.place("presence", token.text, path))
            return after + 1
        if (
            self.at(index - 1, "(")
            and self.at(index - 2, "get")
            and not self.at(index - 3, ".")
            and self.at(after, ",")
        ):
            literal = self.tokens[after + 1] if after + 1 < len(self.tokens) else None
            inner = _key(literal) if literal is not None and literal.kind == "string" else None
            if isinstance(inner, str) and self.at(after + 2, ","):
                variable = self.place("get", token.text, path + dotted(inner))
                self.replace(index - 2, after + 2, f'get_("{variable}"')
                return after + 2
        is_range = self.at(after, ".") and after + 1 < len(self.tokens) and self.tokens[after + 1].text in MACROS
        variable = self.place("value", token.text, path, is_range=is_range)
        if path:
            self.replace(index, after, variable)
        return after


def _rewrite(text: str, tokens: list[Token], bound: frozenset[str], *, maps: bool) -> Reading:
    rewriter = _Rewriter(text, tokens, bound)
    index = 0
    while index < len(tokens):
        index = rewriter.name(index) if tokens[index].kind == "name" else index + 1
    rewriter.pieces.append(text[rewriter.copied :])
    return Reading(
        "".join(rewriter.pieces),
        frozenset(rewriter.names),
        bound,
        frozenset(rewriter.functions),
        tuple(rewriter.places.values()),
        tuple(
            tokens[index + 2].text
            for index, token in enumerate(tokens[:-2])
            if token.text == "matches" and _is_call(tokens, index) and tokens[index + 2].kind == "string"
        ),
        maps,
    )


def _key(token: Token) -> str | int | None:
    """A literal key or index, None when the token is not one or needs more reading than taking off its quotes."""
    if token.kind == "string" and token.text[0] in "\"'":
        return token.text[1:-1] if "\\" not in token.text else None
    if token.kind == "number" and token.text.isdigit() and len(token.text) < 5:
        return int(token.text)
    return None


def _variable(kind: PlaceKind, root: str, path: Path) -> str:
    """A name for a path that is the same in every expression, so that expressions share what a scope has bound."""
    digest = blake2s(repr((kind, root, path)).encode(), digest_size=10).hexdigest()
    return f"{kind[0]}_{digest}"
