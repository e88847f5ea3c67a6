"""What happened to an instrument in a time that was asked about, by topic, as facts; causes are not among them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.notes import Notes, decimals, number, said
from pipelines.briefs.queries import DAY, WEEK
from pipelines.briefs.reading import text
from pipelines.briefs.sheet import Sentence
from pipelines.settings import Settings

DETECTORS: Final = 6
"""Whose alerts are counted one by one."""
Told = dict[str, list[Sentence]]


class Span:
    """A time that was asked about: what is told of it ends where the notes end.

    Parameters
    ----------
    notes
    length
    settings
    """

    def __init__(self, notes: Notes, length: dt.timedelta, settings: Settings) -> None:
        self._notes = notes
        self._length = length
        self._settings = settings
        self._about = notes.about
        self._before = notes.about._replace(at=notes.about.at - length)

    def told(self) -> Told:
        """Return sentences by topic; of a topic that nothing is known of, what is missing."""
        minutes = self._fact("minutes", "closed minutes", Unit.COUNT, self._about.minutes('"end"', self._length), "count")
        if not minutes.value:
            return {"gaps": [Sentence(f"insufficient data: {said(minutes)} closed minutes in that time")]}
        topics: dict[str, Callable[[], list[Sentence]]] = {
            "vpin": self._vpin,
            "price": self._price,
            "volume": self._volume,
            "flow": self._flow,
            "volatility": self._volatility,
            "spread": self._spread,
            "alerts": self._alerts,
            "posture": self._posture,
            "liquidations": self._liquidations,
            "gaps": lambda: self._gaps(minutes),
        }
        return {topic: tell() for topic, tell in topics.items()}

    def _fact(self, name: str, label: str, unit: Unit, query: str, measure: str = "last", **shown: Any) -> Fact:
        return self._notes.fact(f"window_{name}", f"{label} in the window", unit, query, measure, **shown)

    def _vpin(self) -> list[Sentence]:
        names = self._settings.kernels.vpin_settings()
        columns = '"end", bucket, vpin_flag, pct'
        for name in names:
            where = f"setting = {text(name)} AND NOT partial AND vpin_flag IS NOT NULL"
            rows = self._about.rows("vpin", columns, self._length, where=where, order="date, bucket")
            if not self._notes.reader.rows(rows).is_empty():
                return self._vpin_path(name, rows)
        return [Sentence("VPIN: no complete bucket with a full window")]

    def _vpin_path(self, name: str, rows: str) -> list[Sentence]:
        def of(column: str, order: str = "date, bucket") -> str:
            return f"SELECT date, {column} AS value FROM ({rows}) ORDER BY {order}"

        shown: dict[str, Any] = {"decimals": 3, "span": name}
        first = self._notes.fact(
            "window_vpin_before", "VPIN before", Unit.SCORE, self._before.vpin("vpin_flag", name, 1), **shown
        )
        last = self._fact("vpin", "last VPIN", Unit.SCORE, of("vpin_flag"), **shown)
        most = self._fact("vpin_max", "highest VPIN", Unit.SCORE, of("vpin_flag"), "max", **shown)
        when = self._fact("vpin_max_at", "time of the highest VPIN", Unit.TIME, of('"end"', "vpin_flag, date DESC, bucket DESC"))
        pct = self._fact("vpin_pct", "last percentile of VPIN", Unit.PERCENTILE, of("pct"), decimals=1)
        high = self._fact("vpin_pct_max", "highest percentile of VPIN", Unit.PERCENTILE, of("pct"), "max", decimals=1)
        count = self._fact("buckets", "complete buckets", Unit.COUNT, of("bucket"), "count")
        path = f"VPIN {_went(first, last)}; its highest was {said(most)} at {said(when)}, in {said(count)} buckets"
        return [Sentence(path), Sentence(f"VPIN stood at {said(pct)} at the end, at most at {said(high)} of its earlier values")]

    def _price(self) -> list[Sentence]:
        closes = self._about.minutes('"end", close AS value', self._length)
        places = max((decimals(c) for c in self._notes.reader.rows(closes)["value"].to_list() if c is not None), default=0)
        shown: dict[str, Any] = {"asset": self._notes.quote, "decimals": places}
        earlier = self._before.minutes('"end", close AS value', DAY)
        past = f'SELECT * FROM ({earlier}) ORDER BY "end" DESC LIMIT 1'
        both = f'SELECT * FROM (({past}) UNION ALL ({closes})) ORDER BY "end"'
        before = self._notes.fact("window_price_before", "price before", Unit.PRICE, past, **shown)
        last = self._fact("price", "last price", Unit.PRICE, closes, **shown)
        change = self._fact("return", "change of price", Unit.SHARE, both, "change", decimals=2, signed=True)
        low, high = (
            self._fact(
                name, f"{name}est price", Unit.PRICE, self._about.minutes(f'"end", {name} AS value', self._length), end, **shown
            )
            for name, end in (("low", "min"), ("high", "max"))
        )
        ends = f"price {_went(before, last)} ({said(change)})" if before.value is not None else f"price {said(last)} at the end"
        return [Sentence(f"{ends}; lowest {said(low)}, highest {said(high)}")]

    def _volume(self) -> list[Sentence]:
        query = self._about.minutes('"end", notional AS value', self._length)
        total = self._fact("traded", "traded", Unit.NOTIONAL, query, "sum", asset=self._notes.quote, decimals=2)
        count = self._about.minutes('"end", trades AS value', self._length)
        trades = self._fact("trades", "trades", Unit.COUNT, count, "sum")
        busiest = self._about.minutes('"end", rvol_15m AS value', self._length).replace("FROM bars", "FROM features")
        rvol = self._fact(
            "rvol_max", "highest relative volume", Unit.RATIO, busiest.replace("bar = '1m'", "true"), "max", decimals=2
        )
        return [Sentence(f"traded {said(total)} in {said(trades)} trades; highest relative volume {said(rvol)}")]

    def _flow(self) -> list[Sentence]:
        query = self._about.minutes('"end", buy_volume AS value, volume AS "of"', self._length)
        share = self._fact("buy_share", "share of volume in which the buyer was taker", Unit.SHARE, query, "ratio", decimals=1)
        return [Sentence(f"the buyer was taker in {said(share)} of the volume")]

    def _volatility(self) -> list[Sentence]:
        query = self._about.minutes('"end", high, low, close AS value', self._length)
        span = self._fact("range", "range", Unit.BPS, query, "range_bps", decimals=1)
        rows = self._about.rows("features", '"end", sqrt(rv_1h) AS value', self._length)
        most = self._fact("volatility_max", "highest volatility of an hour", Unit.SHARE, rows, "max", decimals=2)
        return [Sentence(f"range {said(span)}; highest volatility of an hour {said(most)}")]

    def _spread(self) -> list[Sentence]:
        rows = self._about.rows("features", '"end", spread_bps AS value', self._length, where="spread_bps IS NOT NULL")
        last = self._fact("spread", "last spread", Unit.BPS, rows, decimals=2)
        if last.value is None:
            return [Sentence(f"spread: {said(last)}, no quotes in that time")]
        most = self._fact("spread_max", "widest spread", Unit.BPS, rows, "max", decimals=2)
        return [Sentence(f"spread {said(last)} at the end, at most {said(most)}")]

    def _alerts(self) -> list[Sentence]:
        columns = '"end", alert_id, detector, severity'
        once = 'QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY origin DESC, "end") = 1'
        rows = f'SELECT date, {columns} FROM alerts WHERE {self._about.where(self._length)} {once} ORDER BY "end", alert_id'
        count = self._fact("alerts", "alerts", Unit.COUNT, rows, "count")
        if not count.value:
            return [Sentence(f"alerts: {said(count)}")]
        by = self._notes.reader.rows(
            f"SELECT detector, count(*) AS n FROM ({rows}) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {DETECTORS}"
        )
        parts = []
        for detector in by["detector"].to_list():
            mine = f'SELECT * FROM ({rows}) WHERE detector = {text(detector)} ORDER BY "end", alert_id'
            name = self._notes.setting(f"detector {detector}", "detector", detector, Unit.WORD)
            parts.append(
                f"{said(name)} {said(self._fact(f'alerts_{detector}', f'alerts of {detector}', Unit.COUNT, mine, 'count'))}"
            )
        return [Sentence(f"alerts: {said(count)}, by detector: {', '.join(parts)}")]

    def _posture(self) -> list[Sentence]:
        rows = self._about.rows("posture", '"end", state AS value', self._length)
        last = self._fact("posture", "last posture", Unit.WORD, rows)
        changed = self._about.rows("posture", "\"end\", action IN ('enter', 'exit') AS value", self._length)
        count = self._fact("posture_changes", "changes of posture", Unit.COUNT, changed, "true")
        return [Sentence(f"posture {said(last)} at the end, changes of posture: {said(count)}")]

    def _liquidations(self) -> list[Sentence]:
        if self._notes.reader.rows(self._about.rows("liquidations", "seq", max(WEEK, self._length)) + " LIMIT 1").is_empty():
            return [Sentence("liquidations: none recorded in the last week, or no feed of them")]
        rows = self._about.rows("liquidations", '"end", seq, notional AS value', self._length, order='"end", seq')
        count = self._fact("liquidations", "forced orders recorded", Unit.COUNT, rows, "count")
        if not count.value:
            return [Sentence(f"forced orders recorded: {said(count)}")]
        total = self._fact("liquidated", "liquidated", Unit.NOTIONAL, rows, "sum", asset=self._notes.quote, decimals=2)
        return [Sentence(f"forced orders recorded: {said(count)}, together {said(total)}; venues may tell of a sample only")]

    def _gaps(self, minutes: Fact) -> list[Sentence]:
        where = "feed = 'trades' AND status <> 'repaired'"
        rows = self._about.newest("gaps", 'ts, "end", reason, status', self._length, "feed, ts", where)
        holes = self._fact("holes", "holes that are not repaired", Unit.COUNT, rows, "count")
        flags = self._about.minutes("\"end\", quality IN ('gap', 'late') AS value", self._length)
        flagged = self._fact("flagged", "minutes flagged gap or late", Unit.COUNT, flags, "true")
        told = f"holes not repaired: {said(holes)}; minutes flagged gap or late: {said(flagged)} of {said(minutes)}"
        return [Sentence(told)]


def _went(before: Fact, last: Fact) -> str:
    """Say from where to where a value went."""
    a, b = number(before), number(last)
    if a is None or b is None:
        return f"{said(last)} at the end, {said(before)} before"
    word = "rose" if b > a else "fell" if b < a else "stayed"
    return f"{word} from {said(before)} to {said(last)}"
