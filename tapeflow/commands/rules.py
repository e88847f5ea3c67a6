"""`tapeflow rules`: check the file of rules, list it, try a rule on history."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, EndOption, JsonOption, LakeOption, Refusal, StartOption, open_lake, settings

if TYPE_CHECKING:
    from pipelines.alerts import Alert
    from pipelines.rules.book import Rule, Rules
    from pipelines.rules.history import Tried
    from pipelines.settings import Settings

app = typer.Typer(help="Rules of your own over metrics of closed minutes.\n\nExample: tapeflow rules check", no_args_is_help=True)

FileArgument = Annotated[Path | None, typer.Argument(metavar="FILE", help="File of rules. Default: that of the settings.")]
FileOption = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="File of rules. Default: that of the settings.")]
LISTED = ("name", "venue", "symbol", "when", "persistence", "cooldown", "severity", "setting", "version")


@app.command()
def check(file: FileArgument = None, demo: DemoOption = False) -> None:
    """Check a file of rules: every fault with its line and what to do. Exit status 2 where there is one.

    Example: tapeflow rules check rules.yaml
    """
    chosen = settings(demo=demo)
    rules = _load(file or chosen.rules)
    for note in _notes(rules, chosen):
        print(f"note: {note}")
    print(f"{file or chosen.rules}: {len(rules)} rule{'s' if len(rules) != 1 else ''}, no fault")


@app.command("list")
def list_rules(
    file: FileArgument = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="List the metrics that rules may speak of instead.")] = False,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """List the rules of a file, or what rules may speak of.

    Example: tapeflow rules list --metrics
    """
    tell = show.as_json if json else show.as_table
    if metrics:
        tell(("metric", "kind", "table", "meaning"), _metrics())
        return
    rules = _load(file or settings(demo=demo).rules)
    tell(LISTED, [tuple(getattr(rule, name) for name in LISTED) for rule in rules])


@app.command("test")
def try_rules(
    name: Annotated[list[str] | None, typer.Argument(metavar="RULE...", help="Names of rules; by default all.")] = None,
    file: FileOption = None,
    lake: LakeOption = None,
    demo: DemoOption = False,
    start: StartOption = None,
    end: EndOption = None,
    json: JsonOption = False,
) -> None:
    """Run rules over history, and print when they would have fired; nothing is stored.

    Below stands how often a rule could not be judged since a metric of it was null.

    Example: tapeflow rules test btc-runs --start 2024-07-19
    """
    from rich.console import Console

    from pipelines.rules import history

    chosen = settings(demo=demo)
    rules = _chosen(_load(file or chosen.rules), name or [])
    opened = open_lake(lake, demo=demo)
    with Console(stderr=True).status("trying"):
        tried = history.fired(opened, rules, next(iter(chosen.kernels.vpin_settings()), ""), start, end)
    if json:
        show.as_json(
            ("rule", "venue", "symbol", "ts", "end", "severity", "score", "threshold", "details", "alert_id"),
            [(*_row(a), a.score, a.threshold, a.details, a.alert_id) for a in tried.alerts],
        )
        return
    if tried.alerts:
        show.as_table(
            ("rule", "venue", "symbol", "ts", "end", "severity", "values"),
            [(*_row(a), a.label.partition(": ")[2]) for a in tried.alerts],
        )
    for line in _counts(rules, tried):
        print(line)


def _load(path: Path) -> Rules:
    from pipelines.rules.book import load

    if not path.is_file():
        raise Refusal(f"{path}: no such file; docs/rules.md shows one, `rules:` of the settings names another", status=2)
    return load(path)


def _chosen(rules: Rules, names: list[str]) -> Rules:
    known = [rule.name for rule in rules]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise Refusal(f"no rule {name}; {remedy}", status=2)
    return tuple(rule for rule in rules if not names or rule.name in names)


def _notes(rules: Rules, chosen: Settings) -> list[str]:
    """Return what is no fault, and yet may not be meant: instruments and VPIN settings that are not recorded."""
    from pipelines.rules import conditions, language

    settings_of_vpin = chosen.kernels.vpin_settings()
    notes = []
    for rule in rules:
        others = [(m.venue or rule.venue, m.symbol) for m in conditions.metrics(language.parse(rule.when)) if m.symbol]
        for venue, symbol in dict.fromkeys([(rule.venue, rule.symbol), *others]):
            if venue and venue not in chosen.venues:
                notes.append(f"rule {rule.name}: venue {venue} is not recorded; the settings name {', '.join(chosen.venues)}")
                continue
            recorded = [s for v, of in chosen.venues.items() if venue in ("", v) for s in of.symbols]
            if symbol and not any(symbol in (s, s.replace("-", "")) for s in recorded):
                near = difflib.get_close_matches(symbol, recorded, 1)
                hint = f"did you mean {near[0]}?" if near else f"the settings name {', '.join(recorded)}"
                notes.append(f"rule {rule.name}: symbol {symbol} is not recorded; {hint}")
        if rule.setting and rule.setting not in settings_of_vpin:
            known = ", ".join(settings_of_vpin)
            notes.append(f"rule {rule.name}: VPIN setting {rule.setting} is not computed; the settings name {known}")
    return notes


def _metrics() -> list[tuple[str, str, str, str]]:
    from pipelines.market import TABLES
    from pipelines.rules.metrics import BARS, METRICS, POSTURE, VPIN

    found: list[tuple[str, str, str, str]] = []
    for name, kind in METRICS.items():
        table = next((t for t, names in (("bars", BARS), ("vpin", VPIN), ("posture", POSTURE)) if name in names), "features")
        column = next(c for c in TABLES[table].columns if c.name == name)
        found.append((name, kind, table, column.doc))
    return found


def _row(alert: Alert) -> tuple[object, ...]:
    import datetime as dt

    ts, end = (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=us) for us in (alert.ts, alert.end))
    return alert.detector, alert.instrument.venue, alert.instrument.symbol, ts, end, alert.severity


def _counts(rules: Rules, tried: Tried) -> list[str]:
    lines = []
    for rule in rules:
        mine = [key for key in tried.judged if key[0] == rule.name]
        if not mine:
            lines.append(f"{rule.name}: no minutes of {_where(rule)} there; `tapeflow coverage` shows what the lake holds")
        for _, venue, symbol in sorted(mine):
            n = sum(a.detector == rule.name and a.instrument[:2] == (venue, symbol) for a in tried.alerts)
            minutes = tried.judged[rule.name, venue, symbol]
            lines.append(f"{rule.name} {venue} {symbol}: {n} alerts in {minutes:,} minutes with trades")
            nulls = sorted((key[3], count) for key, count in tried.missing.items() if key[:3] == (rule.name, venue, symbol))
            lines += [f"  {metric}: {_null(metric)} in {count:,} of them, where the rule is false" for metric, count in nulls]
    return lines


def _null(metric: str) -> str:
    from pipelines.rules.watch import UNDEFINED

    return "not defined" if metric == UNDEFINED else "null"


def _where(rule: Rule) -> str:
    return " ".join(word for word in (rule.venue, rule.symbol or "any symbol") if word)
