"""Rules held against closed minutes: what they find follows from the rows alone, never from when these came.

A minute of an instrument is judged once its row of features is there and, where a rule names other instruments,
once their tapes have passed it, too. Everything begins anew with each UTC date.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts
from pipelines.market import DAY_US, Instrument
from pipelines.rules import conditions, language
from pipelines.rules.book import Rule, Rules
from pipelines.rules.metrics import BARS, FEATURES, POSTURE, VPIN

MINUTE_US: Final = 60_000_000
KEPT_US: Final = 60 * MINUTE_US
"""Rows younger than this are kept for an instrument that has not begun to trade."""
UNDEFINED: Final = "(arithmetic)"
"""Stands among missing metrics for a division by zero, or a result that is not finite."""

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
_COLUMN: Final = {name: k for k, name in enumerate((*BARS, *FEATURES, *POSTURE))}
_OF_VPIN: Final = {name: k for k, name in enumerate(VPIN)}
_UNKNOWN: Final = (math.nan,) * len(VPIN)


class Row(NamedTuple):
    """What is known of an instrument's minute: bar, features and posture, and VPIN by setting; NaN: null."""

    figures: Floats
    vpin: dict[str, tuple[float, ...]]

    def value(self, metric: str, setting: str) -> float:
        """Return the value of a metric."""
        if metric in _OF_VPIN:
            return self.vpin.get(setting, _UNKNOWN)[_OF_VPIN[metric]]
        return float(self.figures[_COLUMN[metric]])


class _Closed(NamedTuple):
    """A minute that is over on the tape, and how many instruments had begun by then."""

    ts: int
    begun: int


@dataclass
class _Side:
    """An instrument: minutes that wait for their features, rows that rules may still need, VPIN since its last minute."""

    closed: deque[_Closed] = field(default_factory=deque)
    figures: dict[int, Floats] = field(default_factory=dict)
    featured: set[int] = field(default_factory=set)
    rows: dict[int, Row] = field(default_factory=dict)
    vpin: dict[str, deque[tuple[int, tuple[float, ...]]]] = field(default_factory=dict)

    def ready(self) -> bool:
        """Whether all is known of the oldest minute."""
        return bool(self.closed) and self.closed[0].ts in self.featured

    def close(self) -> _Closed:
        """Make the row of the oldest minute."""
        minute = self.closed.popleft()
        self.featured.discard(minute.ts)
        self.rows[minute.ts] = Row(self.figures.pop(minute.ts), {s: self._as_of(of, minute.ts) for s, of in self.vpin.items()})
        return minute

    def _as_of(self, buckets: deque[tuple[int, tuple[float, ...]]], ts: int) -> tuple[float, ...]:
        """Return VPIN of the last bucket of the date that was complete before the end of the minute at `ts`."""
        end = ts + MINUTE_US
        while len(buckets) > 1 and buckets[1][0] < end:
            buckets.popleft()
        known = buckets and ts // DAY_US * DAY_US <= buckets[0][0] < end
        return buckets[0][1] if known else _UNKNOWN


@dataclass
class _Run:
    """Where a rule stands at an instrument: minutes to be judged, minutes in a row, whether it may alert, its last alert."""

    waiting: deque[_Closed] = field(default_factory=deque)
    day: int = -1
    run: int = 0
    armed: bool = True
    last: int | None = None


class _Compiled(NamedTuple):
    rule: Rule
    node: conditions.Node
    metrics: tuple[conditions.Metric, ...]

    def concerns(self, it: Instrument) -> bool:
        return self.rule.venue in ("", it.venue) and self.rule.symbol in ("", it.symbol, it.native)


class Watch:
    """All rules over all instruments; plain and picklable.

    Attributes
    ----------
    missing : Counter
        By rule, venue, symbol and metric: minutes at which the rule was false because the metric was null.
    judged : Counter
        By rule, venue and symbol: minutes.
    """

    def __init__(self) -> None:
        self.rules: Rules = ()
        self.setting = ""
        self.missing: Counter[tuple[str, str, str, str]] = Counter()
        self.judged: Counter[tuple[str, str, str]] = Counter()
        self._compiled: list[_Compiled] = []
        self.instruments: Sequence[Instrument] = ()
        self._at: dict[tuple[str, str], int] = {}
        self._begun: dict[int, int] = {}
        self._sides: list[_Side] = []
        self._runs: dict[tuple[Rule, int], _Run] = {}
        self._due: set[tuple[int, int]] = set()
        self._joining: set[int] = set()

    def __bool__(self) -> bool:
        """Whether there is anything to watch for."""
        return bool(self.rules)

    def configure(self, rules: Rules) -> None:
        """Take new rules; those that stay as they were go on from where they stand."""
        compiled = [(rule, language.parse(rule.when)) for rule in rules]
        self._compiled = [_Compiled(rule, node, tuple(dict.fromkeys(conditions.metrics(node)))) for rule, node in compiled]
        self._runs = {key: run for key, run in self._runs.items() if key[0] in rules}
        self._due = {(rules.index(rule), i) for (rule, i), run in self._runs.items() if run.waiting}
        self.rules = rules
        if not rules:
            self._sides = [_Side() for _ in self._sides]
        self.grow(self.instruments)

    def grow(self, instruments: Sequence[Instrument]) -> None:
        """Take note of all instruments."""
        self.instruments = instruments
        self._sides += [_Side() for _ in range(len(instruments) - len(self._sides))]
        for i, it in enumerate(instruments):
            for name in (it.native, it.symbol):
                self._at[it.venue, name] = i
        joining = [c for c in self._compiled if any(metric.symbol for metric in c.metrics)]
        self._joining = {i for i, it in enumerate(instruments) if any(c.concerns(it) for c in joining)}

    # What is watched

    def minutes(self, instrument: Places, ts: Places, figures: Floats, begun: npt.NDArray[np.bool_]) -> None:
        """Take one-minute bars that closed, in order per instrument.

        Parameters
        ----------
        instrument, ts : int64, (n,)
        figures : float64, (BARS, n)
        begun : bool, (instruments,)
            Which instruments have traded.
        """
        for i in np.flatnonzero(begun).tolist():
            self._begun.setdefault(i, len(self._begun))
        for k, (i, at) in enumerate(zip(instrument.tolist(), ts.tolist(), strict=True)):
            side, row = self._sides[i], np.full(len(_COLUMN), np.nan)
            row[: len(BARS)] = figures[:, k]
            side.closed.append(_Closed(at, len(self._begun)))
            side.figures[at] = row

    def features(self, table: pa.Table) -> None:
        """Take rows of table `features`, each after its bar."""
        for i, ts in self._fill(table, FEATURES):
            self._sides[i].featured.add(ts)

    def postures(self, table: pa.Table) -> None:
        """Take rows of table `posture`, each before its minute is judged."""
        self._fill(table, POSTURE)

    def _fill(self, table: pa.Table, names: tuple[str, ...]) -> list[tuple[int, int]]:
        """Put columns into the rows of minutes that are watched; return which these are."""
        begin, found = _COLUMN[names[0]], []
        columns = np.array([_floats(table[name]) for name in names])
        for k, at in enumerate(zip(self._places(table), table["ts"].cast(pa.int64()).to_pylist(), strict=True)):
            figures = self._sides[at[0]].figures.get(at[1])
            if figures is not None:
                figures[begin : begin + len(names)] = columns[:, k]
                found.append(at)
        return found

    def vpin(self, table: pa.Table) -> None:
        """Take rows of table `vpin`, in order per instrument and setting, before the minutes they lie in are judged."""
        ends = table["end"].cast(pa.int64()).to_pylist()
        values = zip(*(_floats(table[name]).tolist() for name in VPIN), strict=True)
        told = zip(self._places(table), table["setting"].to_pylist(), ends, table["partial"].to_pylist(), values, strict=True)
        for i, setting, end, partial, figures in told:
            if not partial:
                self._sides[i].vpin.setdefault(setting, deque()).append((end, figures))

    def _places(self, table: pa.Table) -> list[int]:
        names = zip(table["venue"].to_pylist(), table["symbol"].to_pylist(), strict=True)
        return [self._at[name] for name in names]

    # What is found

    def judge(self, floor: Places) -> list[alerts.Alert]:
        """Judge every minute of which all is known.

        Parameters
        ----------
        floor : int64, (instruments,)
            Time before which no bar is open, us.
        """
        ready = [i for i, side in enumerate(self._sides) if side.ready()]
        for i in ready:
            while self._sides[i].ready():
                minute = self._sides[i].close()
                for rank, compiled in enumerate(self._compiled):
                    if compiled.concerns(self.instruments[i]):
                        self._runs.setdefault((compiled.rule, i), _Run()).waiting.append(minute)
                        self._due.add((rank, i))
        found: list[alerts.Alert] = []
        for rank, i in sorted(self._due):
            run = self._runs[self._compiled[rank].rule, i]
            found += self._of(self._compiled[rank], i, run, floor)
            if not run.waiting:
                self._due.discard((rank, i))
        if ready:
            self._forget(floor)
        return found

    def _of(self, compiled: _Compiled, i: int, run: _Run, floor: Places) -> Iterator[alerts.Alert]:
        """Yield the alerts of a rule at an instrument."""
        it = self.instruments[i]
        elsewhere = {m: self._at.get((m.venue or it.venue, m.symbol), -1) for m in compiled.metrics if m.symbol}
        setting = compiled.rule.setting or self.setting
        while run.waiting:
            minute = run.waiting[0]
            places = {m: j for m, j in elsewhere.items() if self._takes_part(j, minute)}
            if not all(j == i or self._passed(j, minute.ts, floor) for j in places.values()):
                return
            run.waiting.popleft()
            rows = {m: self._sides[j].rows.get(minute.ts) for m, j in places.items()}
            own = self._sides[i].rows[minute.ts]
            of = {m: rows.get(m) if m.symbol else own for m in compiled.metrics}
            values = {m: row.value(m.name, setting) if row else math.nan for m, row in of.items()}
            alert = self._step(compiled, it, run, minute.ts, values)
            if alert is not None:
                yield alert

    def _takes_part(self, j: int, minute: _Closed) -> bool:
        """Whether an instrument had begun to trade when the minute closed."""
        return self._begun.get(j, minute.begun) < minute.begun

    def _passed(self, j: int, ts: int, floor: Places) -> bool:
        closed = self._sides[j].closed
        return bool(floor[j] >= ts + MINUTE_US) and not (closed and closed[0].ts <= ts)

    def _step(
        self, compiled: _Compiled, it: Instrument, run: _Run, ts: int, values: dict[conditions.Metric, float]
    ) -> alerts.Alert | None:
        """Judge one minute."""
        rule = compiled.rule
        if ts // DAY_US != run.day:
            run.day, run.run, run.armed, run.last = ts // DAY_US, 0, True, None
        if not self._holds(compiled, it, values):
            run.run, run.armed = 0, True
            return None
        run.run += 1
        rested = run.last is None or ts - run.last >= rule.cooldown * MINUTE_US
        if not (run.armed and rested and run.run >= rule.persistence):
            return None
        run.armed, run.last = False, ts
        return _alert(compiled, it, ts, run.run, values)

    def _holds(self, compiled: _Compiled, it: Instrument, values: dict[conditions.Metric, float]) -> bool:
        who = (compiled.rule.name, it.venue, it.symbol)
        self.judged[who] += 1
        try:
            if not any(map(math.isnan, values.values())):
                return conditions.holds(compiled.node, values.__getitem__)
            missing = [conditions.write(m) for m, value in values.items() if math.isnan(value)]
        except ArithmeticError:
            missing = [UNDEFINED]
        self.missing.update((*who, name) for name in missing)
        return False

    def _forget(self, floor: Places) -> None:
        """Drop rows that no rule will ask for any more."""
        needed = [run.waiting[0].ts for run in self._runs.values() if run.waiting]
        for i in self._joining & self._begun.keys():
            closed = self._sides[i].closed
            needed.append(closed[0].ts if closed else int(floor[i]))
        if self._joining - self._begun.keys():
            needed.append(max((ts for side in self._sides for ts in side.rows), default=0) - KEPT_US)
        until = min(needed, default=None)
        for side in self._sides:
            for ts in [ts for ts in side.rows if until is None or ts + MINUTE_US <= until]:
                del side.rows[ts]


def _floats(column: pa.ChunkedArray) -> Floats:
    values: Floats = column.cast(pa.float64()).to_numpy()
    return values


def _alert(compiled: _Compiled, it: Instrument, ts: int, run: int, values: dict[conditions.Metric, float]) -> alerts.Alert:
    rule, look = compiled.rule, values.__getitem__
    held = conditions.comparison(compiled.node)
    score, threshold = (conditions.number(held.left, look), conditions.number(held.right, look)) if held else (1.0, 1.0)
    shown = ", ".join(f"{conditions.write(m)} {value:.6g}" for m, value in values.items())
    about = ("rule", rule.name, str(rule.version), it.venue, it.symbol, str(ts))
    return alerts.Alert(
        hashlib.sha256("\0".join(about).encode()).hexdigest()[:32],
        it,
        ts,
        ts + MINUTE_US,
        rule.name,
        rule.severity,
        score,
        threshold,
        f"{it.symbol} {rule.name}: {shown}",
        alerts.details(when=rule.when, values={conditions.write(m): value for m, value in values.items()}, minutes=run),
        source="rule",
        version=rule.version,
    )
