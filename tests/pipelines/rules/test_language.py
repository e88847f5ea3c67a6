"""The language of conditions: what it says, what it refuses, and that nothing else ever happens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rules.conditions import Call, Metric, Negative, Node, Not, Number, Pair, holds, metrics, number, write
from pipelines.rules.language import DEEPEST, LONGEST, MOST, ExpressionError, parse
from pipelines.rules.metrics import METRICS

NUMBERS = [name for name, kind in METRICS.items() if kind == "number"]
CONDITIONS = [name for name, kind in METRICS.items() if kind == "condition"]
VALUES = {"close": 2.0, "volume": 0.0, "gap": 1.0, "jump_5m": 0.0, "mom_bps_5m": -3.0}


def look(metric: Metric) -> float:
    return 10 * VALUES[metric.name] if metric.symbol else VALUES[metric.name]


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("close > 1", True),
        ("close >= 2 and close <= 2 and close == 2 and not close != 2", True),
        ("close < 2 or mom_bps_5m < -2.5", True),
        ("1 + 2 * 3 == 7 and (1 + 2) * 3 == 9", True),
        ("1 - 2 - 3 == -4", True),
        ("8 / 4 / 2 == 1", True),
        ("--close == 2 and - close == -2", True),
        ("gap", True),
        ("not gap or jump_5m", False),
        ("not (gap and jump_5m)", True),
        ("gap or gap and jump_5m", True),
        ("abs(mom_bps_5m) == 3 and min(1, close, 3) == 1 and max(1, close) == 2", True),
        ('m("ETH-USDT", "close") == 20 and m("okx", "ETH-USDT", "close") / close == 10', True),
        ("m('ETH-USDT', 'gap')", True),
        (".5e1 == 5. and 1E2 == 100", True),
        ("close > 1\n  and close < 3", True),
        ("volume == 0 or close / volume > 1", True),
    ],
)
def test_conditions_mean_what_they_say(text: str, true: bool) -> None:
    assert holds(parse(text), look) is true


@pytest.mark.parametrize("text", ["close / volume > 1", "1e200 * 1e200 > close", "1e308 + 1e308 > 0 or gap"])
def test_what_is_not_defined_is_no_number(text: str) -> None:
    with pytest.raises(ArithmeticError):
        holds(parse(text), look)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["column 1: the end where a number or a metric should be"]),
        ("close", ["column 1: a rule is a condition, like rvol_1m > 3; this is a number"]),
        ("mom_bps_5n > 1", ["column 1: there is no metric mom_bps_5n; did you mean mom_bps_5m?"]),
        ("clos > 1 and volum > 2", ["column 1: there is no metric clos; did", "column 14: there is no metric volum; did"]),
        ("close = 1", ["column 7: '=' is no part of a condition; did you mean ==?"]),
        ("close > 1 && gap", ["column 11: '&' is no part of a condition; did you mean and?"]),
        ("1 < close < 3", ["column 11: comparisons cannot follow each other; join two by `and`"]),
        ("close > 1 gap", ["column 11: 'gap' cannot follow"]),
        ("(close > 1", ["column 11: `)` should be here, not the end"]),
        ("gap + 1 > 2", ["column 1: `+` takes numbers; this is a condition"]),
        ("gap > 0", ["column 1: `>` compares numbers; this is a condition"]),
        ("close and gap", ["column 1: `and` joins conditions"]),
        ("not close", ["column 5: `not` goes with a condition"]),
        ("mx(1, 2) > 1", ["column 1: there is no function mx; did you mean max?"]),
        ("__import__('os') > 1", ["column 1: there is no function __import__; use abs, min, max, m"]),
        ("close.real > 1", ["column 6: '.' is no part of a condition"]),
        ("abs(1, 2) > min(1)", ["column 1: abs takes one number", "column 13: min takes two numbers or more"]),
        ("m(close) > 1", ["column 3: m takes words in quotes"]),
        ('m("close") > 1', ["column 1: m takes a symbol and a metric"]),
        ('m("ETH USDT", "pct") > 1', ['column 3: "ETH USDT" is no symbol']),
        ('m("okex", "ETH-USDT", "pct") > 1', ["column 3: there is no venue okex; did you mean okx?"]),
        ("close > 1e999", ["column 9: 1e999 is too large a number"]),
        ("close > and", ["column 9: 'and' where a number or a metric should be"]),
    ],
)
def test_everything_else_is_refused_with_its_place(text: str, faults: list[str]) -> None:
    with pytest.raises(ExpressionError) as refusal:
        parse(text)
    told = str(refusal.value).split("; column ")
    assert len(told) == len(faults)
    for said, expected in zip([told[0], *("column " + t for t in told[1:])], faults, strict=True):
        assert said.startswith(expected)


def test_length_and_depth_are_bounded() -> None:
    deep = DEEPEST
    assert holds(parse("(" * deep + "1" + ")" * deep + "> 0"), look)
    for text in (
        "(" * (deep + 1) + "1" + ")" * (deep + 1) + "> 0",
        "-" * (deep + 1) + "1 > 0",
        "not " * (deep + 1) + "gap",
        "1 > 0" + " " * LONGEST,
        "1" + "+1" * MOST + " > 0",
        "(" * 5000,
    ):
        with pytest.raises(ExpressionError, match=r"make several rules of it"):
            parse(text)
    longest = "1" + "+1" * (MOST // 2 - 2) + " > 0"
    assert parse(write(parse(longest))) == parse(longest)


def test_metrics_are_told_in_order() -> None:
    found = list(metrics(parse('close > m("A", "pct") and not gap or min(1, -volume) > 2')))
    assert found == [Metric("close"), Metric("pct", "A"), Metric("gap"), Metric("volume")]


def _numbers(conditions: st.SearchStrategy[Node] | None = None) -> st.SearchStrategy[Node]:
    value = st.builds(Number, st.floats(0, 1e300) | st.integers(0, 100).map(float))
    name = st.sampled_from(NUMBERS)
    venue = st.sampled_from(["", "okx"])
    leaf = value | st.builds(Metric, name) | st.builds(Metric, name, st.just("ETH-USDT"), venue)

    def more(of: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        return (
            st.builds(Negative, of)
            | st.builds(Pair, st.sampled_from("+-*/"), of, of)
            | st.builds(lambda x: Call("abs", (x,)), of)
            | st.builds(lambda name, x, y: Call(name, (x, y)), st.sampled_from(["min", "max"]), of, of)
        )

    return st.recursive(leaf, more, max_leaves=6)


def _conditions() -> st.SearchStrategy[Node]:
    signs = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
    leaf = st.builds(Pair, signs, _numbers(), _numbers()) | st.builds(Metric, st.sampled_from(CONDITIONS))
    return st.recursive(
        leaf, lambda of: st.builds(Not, of) | st.builds(Pair, st.sampled_from(["and", "or"]), of, of), max_leaves=6
    )


def _depth(node: Node) -> int:
    match node:
        case Pair(_, left, right):
            return 1 + max(_depth(left), _depth(right))
        case Negative(of) | Not(of):
            return 1 + _depth(of)
        case Call(_, of):
            return 1 + max(map(_depth, of))
    return 0


@settings(max_examples=150, deadline=None)
@given(_conditions().filter(lambda node: _depth(node) < DEEPEST))
def test_what_is_written_reads_the_same(node: Node) -> None:
    text = write(node)
    assert parse(text) == node
    assert write(parse(text)) == text


@settings(max_examples=150, deadline=None)
@given(_numbers().filter(lambda node: _depth(node) < DEEPEST), st.dictionaries(st.sampled_from(NUMBERS), st.floats(-1e3, 1e3)))
def test_arithmetic_is_that_of_python(node: Node, values: dict[str, float]) -> None:
    names = {name: values.get(name, 1.0) for name in NUMBERS}
    python = {"abs": abs, "min": min, "max": max, "m": lambda *words: 2 * names[words[-1]]} | names
    try:
        ours: float | None = number(node, lambda m: (2 if m.symbol else 1) * names[m.name])
    except ArithmeticError:
        ours = None
    try:
        theirs = eval(write(node), {"__builtins__": {}}, python)
    except ArithmeticError:
        theirs = None
    assert ours is None or ours == theirs


WORDS = [*"()+-*/<>=,.\"'!&\n\0é٣ ", ">=", "and", "or", "not", "abs(", "min", "m(", '"ETH-USDT"', "close", "gap", "1e5", "nan"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)
    | st.text(max_size=60)
    | st.lists(st.sampled_from(WORDS)).map("".join)
)
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    try:
        node = parse(text)
    except ExpressionError as error:
        refused = error.faults
    else:
        assert parse(write(node)) == node
        return
    assert refused
    assert all(0 <= fault.at <= len(text) and fault.what for fault in refused)
