"""Expressions: three-valued logic, the bounds on what may be saved, paths, and our own functions."""

import ast
import gc
import itertools
import re
import time
import weakref
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.expressions import EvaluationFailed, InvalidExpression, Scope, compile_expression

BODY = {
    "alert": {"title": "Überweisung", "tags": ["ai", "dlp"], "score": 7, "empty": None, "a.b": 1},
    "entities": [{"kind": "user", "roles": [{"name": "admin"}]}, {"kind": "host", "roles": []}],
}


def holds(text: str, unknown: tuple[str, ...] = (), *, shipped: bool = False, **variables: Any) -> bool | None:
    return compile_expression(text, shipped=shipped).holds(Scope(variables, unknown))


def kleene_not(a: bool | None) -> bool | None:
    return None if a is None else not a


def kleene_and(a: bool | None, b: bool | None) -> bool | None:
    return False if a is False or b is False else None if a is None or b is None else True


def kleene_or(a: bool | None, b: bool | None) -> bool | None:
    return kleene_not(kleene_and(kleene_not(a), kleene_not(b)))


THREE = (True, False, None)


@pytest.mark.parametrize(("a", "b"), list(itertools.product(THREE, THREE)))
def test_logic_has_three_values(a: bool | None, b: bool | None) -> None:
    given_ = {name: value for name, value in (("a", a), ("b", b)) if value is not None}

    def both(text: str) -> bool | None:
        return holds(text, ("a", "b"), **given_)

    assert both("a && b") is kleene_and(a, b)
    assert both("a || b") is kleene_or(a, b)
    assert both("!a") is kleene_not(a)
    assert both("a == b") is (None if a is None or b is None else a == b)
    assert both("a ? b : !b") is (None if a is None or b is None else (b if a else not b))


FORMULAS = st.recursive(
    st.sampled_from("abc"),
    lambda inner: st.one_of(
        inner.map(lambda x: f"!({x})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda parts: f"({' '.join(parts)})"),
    ),
    max_leaves=6,
)


@given(FORMULAS, st.tuples(*[st.sampled_from(THREE)] * 3))
def test_any_formula_agrees_with_strong_kleene_logic(formula: str, values: tuple[bool | None, ...]) -> None:
    known = {name: value for name, value in zip("abc", values, strict=True) if value is not None}
    assert holds(formula, ("a", "b", "c"), **known) is _kleene(formula, dict(zip("abc", values, strict=True)))


def _kleene(formula: str, values: dict[str, bool | None]) -> bool | None:
    """The formula's value by the tables above, read with Python's own parser."""

    def walk(node: ast.expr) -> bool | None:
        match node:
            case ast.Name(id=name):
                return values[name]
            case ast.UnaryOp(operand=operand):
                return kleene_not(walk(operand))
            case ast.BoolOp(op=op, values=parts):
                result = walk(parts[0])
                for part in parts[1:]:
                    result = (kleene_and if isinstance(op, ast.And) else kleene_or)(result, walk(part))
                return result
        raise AssertionError(node)

    python = formula.replace("!", " not ").replace("&&", "and").replace("||", "or").strip()
    return walk(ast.parse(python, mode="eval").body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('body.alert.title == "Überweisung"', True),
        ('body["alert"]["title"] == "Überweisung"', True),
        ('body.alert["a.b"] == 1', True),
        ("body.entities[1].kind == 'host'", True),
        ('"dlp" in body.alert.tags', True),
        ("size(body.entities) == 2", True),
        ("has(body.alert.title) && !has(body.alert.missing)", True),
        ("has(body.nothing.at.all)", False),
        ('get(body, "alert.score", 0) == 7', True),
        ('get(body.alert, "score", 0) == 7', True),
        ('get(body, "alert.empty", "none") == "none"', True),
        ('get(body, "no.such.path", "none") == "none"', True),
        ('get(body, "entities.0.kind", "") == "user"', True),
        ('get(body, "ale" + "rt.score", 0) == 7', True),
        ('body.entities.exists(e, e.kind == "user" && e.roles.exists(r, r.name == "admin"))', True),
        ('body.entities.exists(e, get(e, "kind", "") == "host")', True),
        ("body.entities.all(e, size(e.roles) == 0)", False),
        ('lower(body.alert.title) == "überweisung" && upper("ab") == "AB" && trim(" a ") == "a"', True),
        ('body.alert.title.lower().startsWith("über")', True),
        ('split("a,b,c", ",")[2] == "c" && join(["a", "b"], "-") == "a-b"', True),
        ('replace("a-b", "-", "+") == "a+b"', True),
        ('iso_duration("PT24H") == iso_duration("P1D") && iso_duration("P1M") == null', True),
        ('instant("2026-01-01T00:00:00Z") < timestamp("2026-01-01T01:00:00Z")', True),
        ('instant("yesterday") == null && lower(7) == null', True),
        (r'body.alert.title.matches(r"^.berw\w+$")', True),
        ('"has(body.x) // [" == "has(body.x) // [" // a comment', True),
    ],
)
def test_a_body_is_looked_into(text: str, expected: bool) -> None:
    assert holds(text, body=BODY) is expected


def test_a_path_below_something_unknown_is_unknown() -> None:
    for text in ('body.alert.title == "x"', "has(body.alert)", "body.entities.exists(e, true)"):
        assert holds(text, ("body",)) is None


@pytest.mark.parametrize("text", ["body.alert.missing == 1", "body.alert.title > 3", "missing", "body.alert.score"])
def test_a_fault_with_everything_known_is_no_unknown(text: str) -> None:
    with pytest.raises(EvaluationFailed):
        holds(text, body=BODY)


def test_a_fault_is_told_in_the_words_of_the_text() -> None:
    with pytest.raises(EvaluationFailed, match=r"there is no body\.alert\.missing"):
        holds("body.alert.missing == 1", body=BODY)


def test_a_fault_beside_something_unknown_is_unknown() -> None:
    assert holds("body.alert.missing == 1 && phi", ("phi",), body=BODY) is None


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("", "empty", 0),
        ("   ", "empty", 0),
        ("1 +", "Syntax error", 3),
        ("a\n  && && b", "Syntax error", 7),
        ("phi &&& b", "no meaning", 6),
        ("a ? b", "Syntax error", None),
        ("phi && credentials_exposd", "no variable 'credentials_exposd'", 7),
        ("foo(phi)", "no function 'foo'", 0),
        ("phi.foo()", "no function 'foo'", 4),
        ("'x'.replicate(9)", "no function 'replicate'", None),
        ("cel.bind(x, phi, x)", "no function 'bind'", None),
        ("[1].exists(phi, phi)", "is the name of a variable", None),
        ("[1].map(x, x) == [1]", "map is not offered", 4),
        ("[1].filter(x, true) == [1]", "filter is not offered", 4),
        ("list.exists(x, list.exists(y, y == x))", "list inside 'x'", None),
        ("list.exists(x, [list].exists(y, y == x))", "list inside 'x'", None),
        ("list.exists(x, x.a.exists(y, y.exists(z, z.exists(w, true))))", "nest at most 3", None),
        ("list.exists(x, x.a.exists(x, true))", "already names", None),
        ("list.exists(x)", "name of its element", None),
        ("list.exists(x, x.matches('a'))", "matches cannot be combined", None),
        ("list.exists(x, size(split(x, ',')) == 2)", "split cannot be combined", None),
        ("a.matches(b)", "pattern written out", None),
        ("a.matches('[')", "not a regular expression", 10),
        ("a.matches('" + "x" * 100 + "')", "at most 100 characters", None),
        ("a.matches('x{21}')", "count repetitions once", None),
        ("a.matches('x{2}y{2}')", "count repetitions once", None),
        ("a.matches('(x){2}')", "count repetitions once", None),
        ("list.exists(x, size(list + list) == 0)", "+ cannot be combined", None),
        ("a.matches('x') && a.matches('x') && a.matches('x') && a.matches('x')", "At most 2 uses of matches", None),
        ("(" * 25 + "1" + ")" * 25, "nested more than 24", None),
        ("(phi", "is missing", 4),
        ("phi)", "closes nothing", 3),
        ("(phi]", "closes nothing", 4),
        ("Thing{a: 1}", "Message literals", None),
        ('"""a"""', "three quotes", None),
        ('b"a" == b"a"', "prefixes", 1),
        ("'unclosed", "no meaning", 0),
        ("a \x00 b", "no meaning", 2),
        ("+".join(["1"] * 34) + " > 0", "At most 32 additions", None),
        ("+".join(["1"] * 20_000), "at most 1000 characters", 1_000),
        (".".join(["a"] * 20_000), "at most 1000 characters", 1_000),
        (" && ".join(["list.exists(x, true)"] * 11), "At most 10 uses", None),
        ("get_('v_00', 1) == 1", "no function 'get_'", 0),
    ],
)
def test_what_cannot_be_saved_is_refused_with_a_reason(text: str, reason: str, position: int | None) -> None:
    with pytest.raises(InvalidExpression, match=re.escape(reason)) as caught:
        compile_expression(text, {"phi", "a", "b", "list"})
    if position is not None:
        assert caught.value.position == position


def test_names_are_checked_only_against_a_catalogue() -> None:
    assert compile_expression("whatever").names == {"whatever"}
    assert compile_expression("body.matches == 1 && list.exists(x, x.join == 2)").names == {"body", "list"}
    assert compile_expression('actions["DL.3.1"].outcome == "applies" && phi').names == {"actions", "phi"}
    assert compile_expression("list.exists(x, x.a == limit)").names == {"list", "limit"}
    assert compile_expression("has(body.a) || get(other, 'b', false)").names == {"body", "other"}


def test_a_bracket_inside_a_string_hides_nothing() -> None:
    # In a raw string a backslash does not escape the closing quote: what follows is code and is checked.
    with pytest.raises(InvalidExpression, match="map is not offered"):
        compile_expression('r"\\" == "" || [1].map(x, x) == [1] || "" == "\\"" ')


@pytest.mark.parametrize(
    "text",
    [
        "!" * 990 + "a",
        "-" * 990 + "1 == 1",
        "a." * 490 + "a",
        " && ".join(["a"] * 200),
        "a ? b : " * 100 + "a",
        "[" * 900,
    ],
)
def test_no_short_text_stops_the_process(text: str) -> None:
    try:
        compile_expression(text).evaluate(Scope({"a": True, "b": False}))
    except (InvalidExpression, EvaluationFailed):
        pass


def test_the_dearest_expressions_that_may_be_saved_take_milliseconds() -> None:
    long = {"list": list(range(5_000)), "text": "a" * 100_000}
    dear = [
        " || ".join(["list.exists(x, x == -1)"] * 10),
        "+".join(["list"] * 33) + " == []",
        "+".join(["text"] * 33) + " == ''",
        "text.matches('(a+)+$b') || text.matches('(.*a)(.*a)(.*a)(.*a)b')",
        "text.matches(r'" + r"\pL" * 30 + "{20}x')",
    ]
    for text in dear:
        expression = compile_expression(text)
        started = time.perf_counter()
        assert expression.holds(Scope(long)) is False
        assert time.perf_counter() - started < 1.5, text


def test_lists_are_cut_and_shipped_mapping_sees_fewer() -> None:
    long = {"list": list(range(5_000))}
    assert compile_expression("size(list)").evaluate(Scope(long)) == 1_000
    assert compile_expression("size(list.map(x, x + 1))", shipped=True).evaluate(Scope(long)) == 500
    with pytest.raises(EvaluationFailed):
        compile_expression("list[1500] == 1500").holds(Scope(long))


def test_a_saved_expression_does_not_walk_a_map() -> None:
    with pytest.raises(EvaluationFailed, match="this is a map"):
        holds("body.alert.exists(k, k == 'title')", body=BODY)
    assert holds("body.alert.exists(k, k == 'title')", shipped=True, body=BODY) is True


def test_values_arrive_plain() -> None:
    identity = UUID(int=7)
    variables = {
        "set": {"b", "a"},
        "id": identity,
        "cost": Decimal("12.5"),
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "window": timedelta(hours=2),
        "big": 2**70,
    }
    assert holds('set == ["a", "b"]', **variables)
    assert holds(f'id == "{identity}"', **variables)
    assert holds("cost > 12 && cost < 13.0", **variables)
    assert holds('at < timestamp("2026-01-02T00:00:00Z") && window == duration("2h")', **variables)
    assert holds("big > 1.0", **variables)
    with pytest.raises(EvaluationFailed, match="no expression can see"):
        holds("thing == 1", thing=object())


def test_a_function_that_fails_stays_silent(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(value: Any) -> Any:
        raise ValueError(f"secret {value}")

    scope = Scope({"a": "x"}, functions={"lower": fail})
    assert compile_expression("lower(a) == 'x'").holds(scope) is False
    assert holds("get(a, 7, 'default') == 'default' && split(a, '') == null", a="x")
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_one_scope_serves_many_expressions() -> None:
    scope = Scope({"body": BODY, "phi": True}, {"harm"})
    assert compile_expression("body.alert.score == 7 && phi").holds(scope) is True
    assert compile_expression("body.alert.score > 7").holds(scope) is False
    assert compile_expression("harm || body.alert.score == 7").holds(scope) is True
    assert compile_expression("phi") is compile_expression("phi")


@given(st.text(max_size=200))
def test_any_text_is_compiled_or_refused(text: str) -> None:
    fault = None
    try:
        compile_expression(text)
    except InvalidExpression as refusal:
        fault = refusal
    assert fault is None or (fault.reason and (fault.position is None or 0 <= fault.position <= len(text)))


@given(st.text(alphabet="ab.[]()\"'\\ r,&|!=1{}:x", max_size=60))
def test_text_out_of_the_languages_own_marks_is_compiled_or_refused(text: str) -> None:
    try:
        compile_expression(text).evaluate(Scope({"a": {"b": [1]}, "b": "x"}, {"x"}))
    except (InvalidExpression, EvaluationFailed):
        pass


def test_a_scope_goes_when_nobody_holds_it() -> None:
    """The evaluator's context is out of the collector's sight: it must not lead back to what holds it."""

    class Held(dict[str, Any]):
        """A mapping that can be watched."""

    known = Held(step={"outcome": "yes"})
    scope = Scope(known)
    assert compile_expression('get(step, "outcome", "no") == "yes" && step.outcome != "no"').holds(scope) is True
    gone = weakref.ref(known)
    del known, scope
    gc.collect()
    assert gone() is None
