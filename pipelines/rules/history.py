"""Rules over stored rows: when they would have fired, by the same watch that runs in the flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipelines.alerts import Alert
from pipelines.kernels.bar import FIGURES
from pipelines.market import Instrument
from pipelines.rules import conditions, language
from pipelines.rules.book import Rule, Rules
from pipelines.rules.metrics import BARS, FEATURES, POSTURE, VPIN
from pipelines.rules.watch import Watch
from pipelines.store import names

if TYPE_CHECKING:
    import datetime as dt
    from collections import Counter

    import polars as pl

    from pipelines.store.lake import Lake

_MINUTE = ("venue", "symbol", "ts")
_FOREVER = np.iinfo(np.int64).max


class Tried(NamedTuple):
    """What rules found.

    Attributes
    ----------
    alerts : list of Alert
    judged : Counter
        By rule, venue and symbol: minutes with trades.
    missing : Counter
        By rule, venue, symbol and metric: those at which the rule was false because the metric was null.
    """

    alerts: list[Alert]
    judged: Counter[tuple[str, str, str]]
    missing: Counter[tuple[str, str, str, str]]


def fired(lake: Lake, rules: Rules, setting: str, start: str | None = None, end: str | None = None) -> Tried:
    """Hold rules against the lake, whole UTC dates at a time; `setting`: VPIN setting of rules that name none.

    Raises
    ------
    LakeError
        If a time cannot be read.
    """
    since, until = names.bounds(start, end)
    watch = Watch()
    watch.setting = setting
    watch.configure(rules)
    watch.grow(_concerned(lake, rules))
    found: list[Alert] = []
    for minutes, vpin in _dates(lake, watch, start, end):
        _feed(watch, minutes, vpin)
        found += watch.judge(np.full(len(watch.instruments), _FOREVER))
    first, last = (_us(time) for time in (since, until))
    kept = [a for a in found if (first is None or a.ts >= first) and (last is None or a.ts < last)]
    return Tried(sorted(kept, key=lambda a: (a.ts, a.detector, a.instrument)), watch.judged, watch.missing)


def _us(time: dt.datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1_000_000)


def _concerned(lake: Lake, rules: Rules) -> list[Instrument]:
    """Return the instruments of the lake that the rules speak of."""
    named = lake.table("instruments").select("venue", "symbol", "native").unique(maintain_order=True).collect()
    native = {(venue, symbol): name for venue, symbol, name in named.iter_rows()}
    stored = lake.table("bars", bar="1m").select("venue", "symbol").unique().collect().sort("venue", "symbol")
    known = [Instrument(v, s, native.get((v, s), s), "", "") for v, s in stored.iter_rows()]
    return [it for it in known if any(_speaks_of(rule, it) for rule in rules)]


def _speaks_of(rule: Rule, it: Instrument) -> bool:
    if rule.venue in ("", it.venue) and rule.symbol in ("", it.symbol, it.native):
        return True
    others = (m for m in conditions.metrics(language.parse(rule.when)) if m.symbol)
    return any((m.venue or rule.venue) in ("", it.venue) and m.symbol in (it.symbol, it.native) for m in others)


def _dates(lake: Lake, watch: Watch, start: str | None, end: str | None) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield date by date the minutes (bar and features) and the VPIN of what is watched."""
    import polars as pl  # noqa: PLC0415 - the flow is spared it

    it = pl.LazyFrame([(x.venue, x.symbol) for x in watch.instruments], {"venue": pl.String, "symbol": pl.String}, orient="row")
    days = lake.table("bars", start=start, end=end, bar="1m").select("date").unique().collect()["date"].sort()
    for day in days:
        here = pl.col("date") == day
        bars, features, postures, vpin = (
            lake.table(name, **equal).filter(here).join(it, ["venue", "symbol"], "semi")
            for name, equal in (("bars", {"bar": "1m"}), ("features", {}), ("posture", {}), ("vpin", {}))
        )
        joined = _by_minute(bars, BARS)
        for table, columns in ((features, FEATURES), (postures, POSTURE)):
            joined = joined.join(_by_minute(table, columns), list(_MINUTE), "left")
        joined = joined.sort(_MINUTE)
        buckets = vpin.select("venue", "symbol", "setting", "end", "partial", *VPIN).sort("venue", "symbol", "setting", "end")
        yield joined.collect(), buckets.collect()


def _by_minute(table: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    return table.select(*_MINUTE, *columns).unique(_MINUTE, keep="last", maintain_order=True)


def _feed(watch: Watch, minutes: pl.DataFrame, vpin: pl.DataFrame) -> None:
    places = {(it.venue, it.symbol): i for i, it in enumerate(watch.instruments)}
    at = np.array([places[key] for key in minutes.select("venue", "symbol").iter_rows()], np.int64)
    figures = minutes.select(*FIGURES, "trades", "fills").to_numpy().T.astype(np.float64)
    watch.minutes(at, minutes["ts"].dt.epoch("us").to_numpy(), figures, np.ones(len(places), np.bool_))
    told = minutes.to_arrow()
    watch.features(told)
    watch.postures(told)
    watch.vpin(vpin.to_arrow())
