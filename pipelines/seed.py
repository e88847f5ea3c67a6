"""What a tape begins with: stored rows of earlier dates, read once from the lake, never again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from pipelines import features
from pipelines.bucketing import Bucketing
from pipelines.bulk import Replay
from pipelines.detection import DATES as SWEEP_DATES
from pipelines.detection import BigTrades, Surges
from pipelines.kernel_names import bar_terms
from pipelines.kernels import standing
from pipelines.kernels.imbalance import BAR_FLOW, WINDOW
from pipelines.market import DAY_US
from pipelines.measured_bars import MeasuredBars
from pipelines.news.headlines import Known
from pipelines.reference import DATES, most_places, places_of
from pipelines.signals import Signals
from pipelines.store.lake import Lake
from pipelines.tape_detection import Cascades

if TYPE_CHECKING:
    import polars as pl

REACH = 31
"""Earlier dates that may be read."""
_READ: Final = {
    "seals": ("ts", "volume", "notional", "as_of", "whole"),
    "bars": (
        *("date", "ts", "end", "first_id", "high", "low", "close", "volume", "buy_volume", "notional"),
        *("trades", "imbalance", "quality", "partial"),
    ),
    "vpin": (
        *("date", "ts", "end", "bucket", "bucket_volume", "buy_volume", "squares", "spans_gap", "vpin_flag", "pct"),
        "partial",
    ),
    "features": ("ts", *standing.COLUMNS),
}
"""Columns of these tables that anything here reads: of symbols that are planted together all are read at once."""


class Seeds:
    """Rows of earlier dates, from which the state of an instrument is made when it is first seen.

    Parameters
    ----------
    lake : Lake
    before : int
        Only rows of the `REACH` dates before this date are read, us since 1970; 0: the date `begin` is called with.
    together : collection of str
        Symbols of one venue that are planted one after the other: but for trades, their rows are read at once, and held.
    """

    def __init__(self, lake: Lake, before: int = 0, together: Collection[str] = ()) -> None:
        self.lake = lake
        self.before = before // DAY_US * DAY_US
        self.together = together
        self._held: dict[tuple[object, ...], pl.DataFrame] = {}

    def begin(self, now: int) -> None:
        """Fix the first date, where it was left open, to that of `now` (us)."""
        self.before = self.before or now // DAY_US * DAY_US

    def plant(self, signals: Signals, i: int) -> bytes:
        """Give instrument `i` its state; return what was planted, as JSON, to be noted in `inputs` (empty: nothing)."""
        instrument = signals.instruments[i]
        if not self._has_rows(instrument.venue):
            return b""
        where = {"venue": instrument.venue, "symbol": instrument.symbol}
        planted: dict[str, Any] = {
            "dates": self._dates(signals, i, where),
            "bars": {b: self._bars(signals.measured, b, i, where) for b in signals.measured.adaptive},
            "vpin": {s: self._vpin(signals, b, i, where) for s, b in signals.bucketing.items()},
            "bulk": self._bulk(signals, i, where),
            "big_trade": self._sweeps(signals.on_tape.big_trades, i, where),
            "volume_surge": self._volumes(signals.on_tape.surges, i, where),
            "cascade_proxy": self._minutes(signals.on_tape.cascades, i, where),
            "features": self._features(signals, i, where),
            "feature_alarms": self._standing(signals, i, where),
        }
        if not any(any(rows.values()) if isinstance(rows, dict) else rows for rows in planted.values()):
            return b""
        return msgspec.json.encode({"symbol": instrument.symbol, "before": self.before, "rows": planted})

    def headlines(self, known: Known, venue: str) -> bytes:
        """Tell `known` the headlines of a feed; return how many, as JSON, to be noted in `inputs` (empty: none)."""
        if not self._has_rows(venue, "news"):
            return b""
        stored = self._read("news", {"venue": venue}, "news_id", "title", "ts").sort("ts", "news_id").collect()
        known.plant(zip(stored["news_id"], stored["title"], strict=True))
        return msgspec.json.encode({"before": self.before, "rows": {"news": stored.height}}) if stored.height else b""

    def _has_rows(self, venue: str, *tables: str) -> bool:
        """Whether there is anything to read: a first run is spared polars, and the memory it takes."""
        before = str(np.datetime64(self.before // DAY_US, "D"))
        tables = tables or ("seals", "vpin", "trades", "bars")
        return any(f.venue == venue and f.date < before for table in tables for f in self.lake.live(table).values())

    def _read(self, table: str, where: dict[str, str], *columns: str, **equal: object) -> pl.LazyFrame:
        import polars as pl  # noqa: PLC0415 - a first run is spared it

        if where.get("symbol") not in self.together or table == "trades":
            return self._scan(table, where | equal).select(columns)
        here = {name: value for name, value in equal.items() if name != "partial"}
        key = (table, *sorted(here.items()))
        if key not in self._held:
            frame = self._scan(table, {"venue": where["venue"], **here}).filter(pl.col("symbol").is_in(self.together))
            self._held[key] = frame.select("symbol", *_READ[table]).collect()
        rows = self._held[key].lazy().filter(pl.col("symbol") == where["symbol"])
        return (rows.filter(pl.col("partial") == equal["partial"]) if "partial" in equal else rows).select(columns)

    def _scan(self, table: str, equal: dict[str, Any]) -> pl.LazyFrame:
        """Return the rows of the dates within reach in which columns have these values."""
        import polars as pl  # noqa: PLC0415 - a first run is spared it

        first, last = self._reach()
        frame = self.lake.table(table).filter(pl.col("date") >= first, pl.col("date") < last)
        for name, value in equal.items():
            frame = frame.filter(pl.col(name) == value)
        return frame

    def _reach(self) -> tuple[dt.date, dt.date]:
        """Return the first date that may be read, and the one behind the last."""
        last = dt.date(1970, 1, 1) + dt.timedelta(days=self.before // DAY_US)
        return last - dt.timedelta(days=REACH), last

    def _dates(self, signals: Signals, i: int, where: dict[str, str]) -> int:
        dates = self._read("seals", where, "ts", "volume", "notional", "as_of", "whole").sort("ts", "as_of").collect()
        dates = dates.unique("ts", keep="last", maintain_order=True)
        dates = dates.filter(dates["whole"].fill_null(value=True)).tail(DATES)  # a seal of an older tapeflow does not say
        for ts, volume, notional in zip(_us(dates["ts"]), dates["volume"], dates["notional"], strict=True):
            signals.volumes.complete(i, int(ts), volume, notional)
        return dates.height

    def _bars(self, measured: MeasuredBars, name: str, i: int, where: dict[str, str]) -> int:
        total = {"tick": "trades", "volume": "volume", "dollar": "notional"}[bar_terms(name).measure]
        columns = ("end", "first_id", "trades", "imbalance", total)
        frame = self._read("bars", where, *dict.fromkeys(columns), bar=name, partial=False).sort("end", "first_id")
        rows = frame.tail(WINDOW).collect()
        past = np.zeros(rows.height, BAR_FLOW)
        for field, column in (("trades", "trades"), ("imbalance", "imbalance"), ("total", total)):
            past[field] = rows[column].to_numpy()
        measured.plant(i, name, past)
        return rows.height

    def _vpin(self, signals: Signals, bucketing: Bucketing, i: int, where: dict[str, str]) -> int:
        names = ("ts", "end", "bucket", "bucket_volume", "buy_volume", "squares", "spans_gap", "vpin_flag", "pct")
        frame = self._read("vpin", where, *names, setting=bucketing.setting, partial=False).sort("end", "bucket")
        known = frame.select("end", "pct").drop_nulls().collect()
        bucketing.plant_levels(i, _us(known["end"]), known["pct"].to_numpy())
        rows = frame.tail(max(bucketing.n, bucketing.window)).collect()
        past = rows["vpin_flag"].drop_nulls().tail(bucketing.window).to_numpy()
        bucketing.past[i, : past.size], bucketing.past_count[i] = past, past.size
        window = list(rows.tail(bucketing.n).select("bucket_volume", "buy_volume", "squares", "spans_gap").iter_rows())
        signals.refine(i, max((places_of(Decimal(repr(x))) for bucket in window for x in bucket[:2]), default=0))
        bucketing.plant(i, window, int(signals.size_places[i]))
        return rows.height

    def _bulk(self, signals: Signals, i: int, where: dict[str, str]) -> int:
        """Classify stored minutes anew, and fill the buckets of their dates."""
        import polars as pl  # noqa: PLC0415 - a first run is spared it

        minutes = self._read("bars", where, "ts", "close", "volume", bar="1m").sort("ts").collect()
        if not minutes.height:
            return 0
        replay = Replay(_us(minutes["ts"]), minutes["close"].to_numpy(), minutes["volume"].to_numpy())
        signals.classifier.take_over(i, replay.classifier)
        for name, bucketing in signals.bucketing.items():
            known = (
                self._read("vpin", where, "date", "bucket_volume", setting=name)
                .group_by("date")
                .agg(pl.col("bucket_volume").max())
            )
            dates = known.collect()
            days = dates["date"].cast(pl.Int32).to_list()
            targets = [Decimal(repr(volume)) for volume in dates["bucket_volume"]]
            targets_by_day = {day * DAY_US: target for day, target in zip(days, targets, strict=True)}
            bucketing.bulk.take_over(i, replay.buckets(bucketing.n, targets_by_day))
        return minutes.height

    def _sweeps(self, big_trades: BigTrades, i: int, where: dict[str, str]) -> int:
        """Let the detector follow the trades of as many earlier dates as its level needs, and of those that fill its baseline."""
        import polars as pl  # noqa: PLC0415 - a first run is spared it

        us = pl.col("ts").dt.epoch("us")
        frame = self._read("trades", where, "date", "ts", "trade_id", "side", "price", "size", "seq", counted=True)
        days: list[pl.DataFrame] = []
        wanted, (first, last) = big_trades.ring.shape[1], self._reach()
        dates = {dt.date.fromisoformat(f.date) for f in self.lake.live("trades").values() if f.venue == where["venue"]}
        nearest = sorted((date for date in dates if first <= date < last), reverse=True)
        for some in (nearest[: SWEEP_DATES + 1], *([date] for date in nearest[SWEEP_DATES + 1 :])):
            rows = frame.filter(pl.col("date").is_in(some)).sort("date", "seq").drop("seq").with_columns(us).collect()
            days = [*rows.partition_by("date", include_key=False), *days]
            if sum(1 + int((day["ts"] != day["ts"].shift()).sum()) for day in days[:-SWEEP_DATES]) >= wanted:
                break
        for day in days:
            big_trades.plant(i, **{name: day[name].to_numpy() for name in day.columns})
        return min(int(big_trades.count[i]), wanted)

    def _volumes(self, surges: Surges, i: int, where: dict[str, str]) -> int:
        rows = self._read("bars", where, "ts", "volume", bar=surges.settings.bar).sort("ts").collect()
        surges.plant(i, _us(rows["ts"]), rows["volume"].to_numpy())
        return rows.height

    def _minutes(self, cascades: Cascades, i: int, where: dict[str, str]) -> int:
        rows = self._read("bars", where, "ts", "close", "volume", "buy_volume", bar="1m").sort("ts").collect()
        cascades.plant(i, _us(rows["ts"]), *(rows[name].to_numpy() for name in ("close", "volume", "buy_volume")))
        return rows.height

    def _features(self, signals: Signals, i: int, where: dict[str, str]) -> int:
        """Give the measures of minutes the last stored minutes, and the volumes of complete dates by minute."""
        names = ("ts", "high", "low", "close", "volume", "buy_volume", "notional", "quality")
        rows = self._read("bars", where, *names, bar="1m").sort("ts").tail(features.STORED).collect()
        figures = {name: rows[name].to_numpy() for name in names[1:-1]}
        decimals = {name: most_places(of) for name, of in figures.items()}
        price = max(decimals["high"], decimals["low"], decimals["close"])
        signals.refine(i, max(decimals["volume"], decimals["buy_volume"], decimals["notional"] - price), price)
        places = int(signals.price_places[i]), int(signals.size_places[i])
        bars = features.stored(_us(rows["ts"]), figures, (rows["quality"] == "gap").to_numpy(), places)
        signals.features.plant(i, bars, signals.price_places, signals.size_places)
        return rows.height + self._same_minutes(signals, i, where)

    def _standing(self, signals: Signals, i: int, where: dict[str, str]) -> int:
        """Let the detectors on minutes follow the stored ones: what they read of them, with the bar of each."""
        bars = self._read("bars", where, "ts", "close", "volume", bar="1m")
        rows = self._read("features", where, "ts", *standing.COLUMNS).join(bars, on="ts").sort("ts").collect()
        minutes = np.zeros(rows.height, standing.MINUTE)
        minutes["ts"] = _us(rows["ts"])
        for name in (*standing.COLUMNS, "close", "volume"):
            minutes[name] = rows[name].to_numpy()
        signals.feature_alarms.plant(i, minutes)
        return rows.height

    def _same_minutes(self, signals: Signals, i: int, where: dict[str, str]) -> int:
        import polars as pl  # noqa: PLC0415 - a first run is spared it

        days = [day for day, _, _ in signals.volumes.daily.get(i, []) if day < self.before][-features.DATES :]
        dates = [np.datetime64(day // DAY_US, "D").item() for day in days]
        rows = self._read("bars", where, "date", "ts", "volume", bar="1m").filter(pl.col("date").is_in(dates)).collect()
        by_date = rows.partition_by("date", as_dict=True)
        for day, date in zip(days, dates, strict=True):
            of = by_date.get((date,), rows.clear())
            signals.features.plant_date(i, day, (_us(of["ts"]) - day) // 60_000_000, of["volume"].to_numpy())
        return rows.height


def _us(times: pl.Series) -> npt.NDArray[np.int64]:
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)
