"""The file of rules: every fault with its line, and the form that is journaled."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rules.book import LARGEST, Rule, RuleError, canonical, decode, load, read

GOOD = """\
rules:
  - name: btc-runs
    venue: binance-usdm
    symbol: BTC-USDT-PERP
    metric: mom_bps_5m
    comparison: "<="
    threshold: -50.5
    persistence: 2
    cooldown: 30
    severity: 2
  - name: apart
    when: >
      mom_bps_5m - m("ETH-USDT-PERP", 'mom_bps_5m')
      > 30
  - {name: toxic, when: pct >= .99, setting: v10x50}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(RuleError) as refusal:
        read(text)
    return refusal.value.faults


def test_a_file_of_rules_is_read() -> None:
    rules = read(GOOD)
    assert rules == (
        Rule("btc-runs", "mom_bps_5m <= -50.5", "binance-usdm", "BTC-USDT-PERP", persistence=2, cooldown=30, severity=2),
        Rule("apart", 'mom_bps_5m - m("ETH-USDT-PERP", "mom_bps_5m") > 30'),
        Rule("toxic", "pct >= 0.99", setting="v10x50"),
    )
    assert decode(canonical(rules)) == rules
    assert len({rule.version for rule in rules}) == 3
    assert all(0 < rule.version < 1 << 53 for rule in rules)


def test_a_version_follows_from_what_the_rule_says_alone() -> None:
    one, other = read("rules:\n- {name: a, when: (close) > 1.0}"), read("# x\nrules:\n\n- when: close > 1\n  name: a")
    assert one == other
    assert one[0].version == other[0].version == Rule("a", "close > 1").version != Rule("a", "close > 2").version


@pytest.mark.parametrize("text", ["", "# none", "rules:", "rules: []"])
def test_no_rules_are_rules_too(text: str) -> None:
    assert read(text) == ()


def test_all_faults_are_told_at_once_with_their_lines() -> None:
    text = """\
rules:
  - name: btc-hot
    venue: binance-usdn
    metric: mom_bps_5m
    comparison: >
    threshold: 50
    cooldown: 30m
    severity: 4
  - name: lead
    when: mom_bps_5m > 2 * m("BTC-USDT-PERP", "mom_bps_5n")
    colldown: 3
  - name: many
    when: |
      gap and
      rvol_1x > 3
  - name: twice
    when: gap
    when: jump_5m
  - &one {name: same, when: gap}
  - *one
  - just text
  - {name: Q, metric: gap, comparison: "<", threshold: .inf}
  - persistence: 0
    metric: close
  - {name: [a], symbol: "a b", setting: fast, when: [gap], metric: close}
more: 1
"""
    lines = [fault.removeprefix("rules.yaml:").split(": ", 1) for fault in faults(text)]
    assert [(int(line), what) for line, what in lines] == [
        (3, "rule btc-hot: venue: there is no binance-usdn; did you mean binance-usdm?"),
        (5, 'rule btc-hot: comparison: write one of ">" ">=" "<" "<=" "==" "!=", in quotes'),
        (7, "rule btc-hot: cooldown: write a whole number from 0 to 1440 (minutes)"),
        (8, "rule btc-hot: severity: write a whole number from 1 to 3 (1 notice, 2 warning, 3 severe)"),
        (10, "rule lead: when, column 47: there is no metric mom_bps_5n; did you mean mom_bps_5m?"),
        (11, "rule lead: colldown: unknown; did you mean cooldown?"),
        (15, "rule many: when, column 1: there is no metric rvol_1x; did you mean rvol_1m?"),
        (18, "rule twice: when: given twice; leave one out"),
        (19, "rule same: another in line 19 has this name; give it one of its own"),
        (21, "rule 7: no rule; write `- name: ...` with `when: ...` below"),
        (22, "rule Q: metric: gap is true or false; write `when: gap`"),
        (22, "rule Q: name: 'Q' cannot be used; write lower-case letters, digits, - and _, up to 60"),
        (22, "rule Q: threshold: '.inf' is no number; write one, like 50 or -0.5"),
        (23, "rule 9: comparison, threshold: missing; write `when: mom_bps_5m > 50`, or metric, comparison and threshold"),
        (23, "rule 9: name: missing; give it one, like `name: btc-runs`"),
        (23, "rule 9: persistence: write a whole number from 1 to 1440 (minutes with trades in a row)"),
        (25, "rule 10: metric: `when` says it all; leave one of them out"),
        (25, "rule 10: name: a list or a map cannot be used; write lower-case letters, digits, - and _, up to 60"),
        (25, "rule 10: setting: unknown VPIN setting 'fast'; use one like adv50x50 or v10x50"),
        (25, "rule 10: symbol: 'a b' cannot be used; write like BTC-USDT"),
        (25, "rule 10: when: no text; write a condition, like `when: mom_bps_5m > 50`"),
        (26, "more: unknown; use rules"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [", "1: no valid YAML"),
        (
            "rules:\n- name: a\n  comparison: >=\n",
            "3: no valid YAML: expected chomping or indentation indicators, but found '='; signs",
        ),
        ("- name: a", "1: no list of rules; it holds a list"),
        ("rules: {a: b}", "1: no list of rules"),
        ("text", "1: no list of rules"),
        ("[" * 3000, "1: no valid YAML"),
        ("&a [*a]", "1: no list of rules"),
        ("rules:\n" + "- {name: a, when: gap}\n" * 501, "502: more than 500 rules"),
        ("? [a]\n: b", "1: ?: unknown"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused(text: str, told: str) -> None:
    assert any(fault.startswith(f"rules.yaml:{told}") for fault in faults(text))


def test_columns_are_those_of_the_file() -> None:
    for text in ("rules:\n- {name: a, when: clos > 1}", "rules:\n- {name: a, when: 'clos > 1'}"):
        column = text.splitlines()[1].index("clos") + 1
        assert faults(text)[0].startswith(f"rules.yaml:2: rule a: when, column {column}: ")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    assert load(path) == ()
    for content, told in ((b"rules: \xff", "no UTF-8 text"), (b"#" * (LARGEST + 1), "larger than 262,144 bytes")):
        path.write_bytes(content)
        with pytest.raises(RuleError, match=told):
            load(path)
    with pytest.raises(RuleError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'[{"name":"a"}]',
        b'[{"name":"a","when":"clos > 1"}]',
        b'[{"name":"a","when":"close > 1","severity":4}]',
        b'[{"name":"a","when":"close > 1","window":4}]',
    ],
)
def test_records_that_hold_no_rules_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(payload)


PARTS = [
    "rules:",
    "\n",
    "- ",
    "  ",
    "name: a",
    "when: close > 1",
    "when: |",
    "severity: 2",
    "{",
    "}",
    "[",
    "&a",
    "*a",
    "!!int x",
    "%",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join) | st.text(max_size=40))
def test_whatever_the_file_holds_is_read_or_refused(text: str) -> None:
    try:
        rules = read(text)
    except RuleError as error:
        refused = error.faults
    else:
        assert decode(canonical(rules)) == rules
        return
    assert refused
    assert all(fault.startswith("rules.yaml:") for fault in refused)
