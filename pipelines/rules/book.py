"""The file of rules: read and checked as a whole, every fault told with its line; and the form that is journaled."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import yaml

from pipelines.kernel_names import vpin_terms
from pipelines.rules import conditions, language
from pipelines.rules.metrics import METRICS
from pipelines.settings import VENUES, SettingsError

MOST: Final = 500
"""Rules in a file."""
LARGEST: Final = 1 << 18
"""Bytes of a file."""
FIELDS: Final = (
    *("name", "venue", "symbol", "setting", "when", "metric", "comparison", "threshold"),
    *("persistence", "cooldown", "severity"),
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.-]{0,39}")
_COUNTS: Final = {"persistence": (1, 1440), "cooldown": (0, 1440), "severity": (1, 3)}
_MEANS: Final = {
    "persistence": "minutes with trades in a row",
    "cooldown": "minutes",
    "severity": "1 notice, 2 warning, 3 severe",
}


class RuleError(SettingsError):
    """Rules that cannot work; `faults` lists every fault found, each with its line and what to do."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule.

    Attributes
    ----------
    name : str
        Stored in `alerts.detector`.
    when : str
        The condition, as `conditions.write` writes it.
    venue, symbol : str
        Where it holds; empty: everywhere.
    setting : str
        VPIN setting of its metrics of VPIN; empty: the first of the settings.
    persistence : int
        Minutes in a row, of those with trades, at which the condition is to hold.
    cooldown : int
        Least minutes between two alerts.
    severity : int
    """

    name: str
    when: str
    venue: str = ""
    symbol: str = ""
    setting: str = ""
    persistence: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 1
    cooldown: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 0
    severity: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1

    @property
    def version(self) -> int:
        """A number that changes with the rule: 53 bits of the SHA-256 of all it says, so that JSON keeps it whole."""
        return int.from_bytes(hashlib.sha256(msgspec.json.encode(self)).digest()[:8], "big") >> 11


Rules = tuple[Rule, ...]


def canonical(rules: Rules) -> bytes:
    """Return rules as the JSON that is journaled and hashed."""
    return msgspec.json.encode(rules)


def decode(payload: bytes) -> Rules:
    """Return the rules of a journal record.

    Raises
    ------
    ValueError
        If it is none, or holds what this version does not know.
    """
    rules = msgspec.json.decode(payload, type=Rules)
    for rule in rules:
        try:
            language.parse(rule.when)
        except language.ExpressionError as error:
            raise ValueError(f"rule {rule.name}: {error}") from None
    return rules


def load(path: Path) -> Rules:
    """Return the rules of a file; none where there is no such file.

    Raises
    ------
    RuleError
        With every fault found.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise RuleError([f"{path}: larger than {LARGEST:,} bytes; is it a file of rules?"])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise RuleError([f"{path}: cannot be read: {why}"]) from None
    return read(text, str(path))


def read(text: str, path: str = "rules.yaml") -> Rules:
    """Return the rules that a text holds; `path` is named in faults.

    Raises
    ------
    RuleError
        With every fault found.
    """
    return _Reader(path).read(text)


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[tuple[int, str]] = []

    def read(self, text: str) -> Rules:
        nodes = self._nodes(text)
        rules = [self._rule(node, number) for number, node in enumerate(nodes[:MOST], 1)]
        if len(nodes) > MOST:
            self._fault(nodes[MOST], f"more than {MOST} rules; leave some out")
        known: dict[str, int] = {}
        for node, rule in zip(nodes, rules, strict=False):
            if rule is not None and rule.name in known:
                what = f"another in line {known[rule.name]} has this name; give it one of its own"
                self._fault(node, f"rule {rule.name}: {what}")
            elif rule is not None:
                known[rule.name] = _line(node)
        if self.faults:
            raise RuleError([f"{self.path}:{line}: {what}" for line, what in sorted(set(self.faults))])
        return tuple(rule for rule in rules if rule is not None)

    def _fault(self, node: yaml.Node | int, what: str) -> None:
        self.faults.append((node if isinstance(node, int) else _line(node), what))

    def _nodes(self, text: str) -> list[yaml.Node]:
        """Return the rules, as YAML has them."""
        example = "it holds a list, `rules:`, of rules; docs/rules.md shows one"
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = " ".join(str(getattr(error, "problem", None) or error).split())
            hint = "; signs like >= go in quotes" if "chomping" in what or "indentation indicator" in what else ""
            self._fault(mark.line + 1 if mark else 1, f"no valid YAML: {what}{hint}")
            return []
        except (RecursionError, ValueError):
            self._fault(1, f"no valid YAML; {example}")
            return []
        if root is None:
            return []
        fields = self._fields(root, ("rules",), "") if isinstance(root, yaml.MappingNode) else {}
        rules = fields.get("rules")
        if isinstance(rules, yaml.ScalarNode) and rules.tag.endswith(":null"):
            return []
        if not isinstance(rules, yaml.SequenceNode):
            self._fault(rules or root, f"no list of rules; {example}")
            return []
        return list(rules.value)

    def _fields(self, node: yaml.MappingNode, known: Sequence[str], who: str) -> dict[str, yaml.Node]:
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            if name not in known:
                near = difflib.get_close_matches(name[:40], known, 1)
                self._fault(
                    key, f"{who}{name[:40]}: unknown; " + (f"did you mean {near[0]}?" if near else f"use {', '.join(known)}")
                )
            elif name in fields:
                self._fault(key, f"{who}{name}: given twice; leave one out")
            fields[name] = value
        return fields

    def _rule(self, node: yaml.Node, number: int) -> Rule | None:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"rule {number}: no rule; write `- name: ...` with `when: ...` below")
            return None
        before = len(self.faults)
        given = next((v.value for k, v in node.value if k.value == "name" and isinstance(v, yaml.ScalarNode)), "")
        who = f"rule {given[:60] or number}: "
        fields = self._fields(node, FIELDS, who)
        name = self._word(fields, "name", who, _NAME, "lower-case letters, digits, - and _, up to 60") or ""
        if "name" not in fields:
            self._fault(node, f"{who}name: missing; give it one, like `name: btc-runs`")
        told = {
            "venue": self._venue(fields, who),
            "symbol": self._word(fields, "symbol", who, _SYMBOL, "like BTC-USDT"),
            "setting": self._setting(fields, who),
            "when": self._simple(node, fields, who) if "when" not in fields else self._when(fields, who),
        }
        counts = {key: self._count(fields[key], key, who) for key in _COUNTS if key in fields}
        if len(self.faults) > before:
            return None
        return msgspec.convert({"name": name} | {k: v for k, v in (told | counts).items() if v}, Rule)

    def _word(self, fields: dict[str, yaml.Node], key: str, who: str, form: re.Pattern[str], known: str) -> str | None:
        node = fields.get(key)
        if node is None:
            return None
        if not isinstance(node, yaml.ScalarNode) or not form.fullmatch(node.value):
            shown = repr(node.value[:60]) if isinstance(node, yaml.ScalarNode) else "a list or a map"
            self._fault(node, f"{who}{key}: {shown} cannot be used; write {known}")
            return None
        return str(node.value)

    def _venue(self, fields: dict[str, yaml.Node], who: str) -> str | None:
        venue = self._word(fields, "venue", who, _SYMBOL, f"one of {', '.join(VENUES)}")
        if venue is None or venue in VENUES:
            return venue
        near = difflib.get_close_matches(venue, VENUES, 1)
        remedy = f"did you mean {near[0]}?" if near else f"use {', '.join(VENUES)}"
        self._fault(fields["venue"], f"{who}venue: there is no {venue}; {remedy}")
        return None

    def _setting(self, fields: dict[str, yaml.Node], who: str) -> str | None:
        setting = self._word(fields, "setting", who, _SYMBOL, "a VPIN setting, like adv50x50")
        if setting is not None:
            try:
                vpin_terms(setting)
            except ValueError as error:
                self._fault(fields["setting"], f"{who}setting: {error}; use one like adv50x50 or v10x50")
                return None
        return setting

    def _when(self, fields: dict[str, yaml.Node], who: str) -> str | None:
        for key in ("metric", "comparison", "threshold"):
            if key in fields:
                self._fault(fields[key], f"{who}{key}: `when` says it all; leave one of them out")
        node = fields["when"]
        if not isinstance(node, yaml.ScalarNode):
            self._fault(node, f"{who}when: no text; write a condition, like `when: mom_bps_5m > 50`")
            return None
        try:
            return conditions.write(language.parse(node.value))
        except language.ExpressionError as error:
            for at, what in error.faults:
                line, column = _place(node, at)
                self._fault(line, f"{who}when, column {column}: {what}")
            return None

    def _simple(self, node: yaml.Node, fields: dict[str, yaml.Node], who: str) -> str | None:
        """Read metric, comparison and threshold."""
        missing = [key for key in ("metric", "comparison", "threshold") if key not in fields]
        if missing:
            text = "`when: mom_bps_5m > 50`, or metric, comparison and threshold"
            self._fault(node, f"{who}{', '.join(missing)}: missing; write {text}")
            return None
        metric = self._metric(fields["metric"], who)
        sign, value = fields["comparison"], self._number(fields["threshold"], "threshold", who)
        if not isinstance(sign, yaml.ScalarNode) or sign.value.strip() not in conditions.COMPARISONS:
            quoted = " ".join(f'"{known}"' for known in conditions.COMPARISONS)
            self._fault(sign, f"{who}comparison: write one of {quoted}, in quotes")
            return None
        if metric is None or value is None:
            return None
        number = conditions.Number(abs(value))
        held = conditions.Negative(number) if value < 0 else number
        return conditions.write(conditions.Pair(sign.value.strip(), conditions.Metric(metric), held))

    def _metric(self, node: yaml.Node, who: str) -> str | None:
        name = node.value if isinstance(node, yaml.ScalarNode) else ""
        if METRICS.get(name) == "number":
            return str(name)
        near = difflib.get_close_matches(name[:40], METRICS, 1)
        remedy = f"did you mean {near[0]}?" if near else "`tapeflow rules list --metrics` names them"
        what = (
            f"{name} is true or false; write `when: {name}`" if name in METRICS else f"there is no metric {name[:40]}; {remedy}"
        )
        self._fault(node, f"{who}metric: {what}")
        return None

    def _number(self, node: yaml.Node, key: str, who: str) -> float | None:
        if isinstance(node, yaml.ScalarNode) and node.tag.rpartition(":")[2] in ("int", "float"):
            try:
                value = float(node.value.replace("_", ""))
            except ValueError:  # 0x10, 1:30 and .inf are numbers of YAML, too
                value = math.nan
            if math.isfinite(value):
                return value
        shown = repr(node.value[:40]) if isinstance(node, yaml.ScalarNode) else "a list or a map"
        self._fault(node, f"{who}{key}: {shown} is no number; write one, like 50 or -0.5")
        return None

    def _count(self, node: yaml.Node, key: str, who: str) -> int | None:
        least, most = _COUNTS[key]
        shown = node.value if isinstance(node, yaml.ScalarNode) else ""
        if re.fullmatch(r"[0-9]{1,6}", shown) and least <= int(shown) <= most:
            return int(shown)
        self._fault(node, f"{who}{key}: write a whole number from {least} to {most} ({_MEANS[key]})")
        return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _place(node: yaml.ScalarNode, at: int) -> tuple[int, int]:
    """Return line and column of a place in a text; the column is that of the file where the text stands as it is."""
    line, column = _line(node), int(node.start_mark.column)
    if node.style == "|":
        before = node.value[:at]
        return line + 1 + before.count("\n"), at - (before.rfind("\n") + 1) + 1
    if node.end_mark.line > node.start_mark.line:
        return line, at + 1
    return line, column + at + 1 + (node.style in ("'", '"'))
