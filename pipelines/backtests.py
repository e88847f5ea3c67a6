"""Backtests as they are run: trades from the lake or made up, an instrument a process, figures into table `backtests`."""

from __future__ import annotations

import datetime as dt
import multiprocessing as mp
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from pipelines import market, tape
from pipelines.research.backtest import report, rows, trades
from pipelines.research.backtest.generated import Generated
from pipelines.research.backtest.judge import Asked, Judged, judge
from pipelines.research.backtest.trades import Instrument, Tape, Trades
from pipelines.settings import Kernels
from pipelines.signals import Signals
from pipelines.store.lake import Lake, LakeError

PIECE = 200_000
"""Trades that detectors are fed at once."""


class BacktestError(Exception):
    """A backtest that cannot be made as asked; the message says why and what to do."""


class Backtest(NamedTuple):
    """A backtest that was made: what was asked, the figures, how the trades were made up if they were, and the time it took."""

    asked: Asked
    judged: list[Judged]
    generated: str
    seconds: float

    @property
    def run(self) -> str:
        """Its name."""
        return rows.run_id(self.asked, self.judged, self.generated)


class LakeTape(NamedTuple):
    """Trades and alerts as the lake holds them, on these dates; as `trades.Tape`."""

    root: str
    dates: list[dt.date]
    generated: str = ""

    def days(self, instrument: Instrument) -> Iterator[tuple[dt.date, Trades]]:
        """See `Tape`."""
        lake = Lake(self.root)
        for date in self.dates:
            frame = lake.table("trades", date=date, counted=True)  # by its exact names: these were looked up once
            mine = frame.filter(pl.col("venue") == instrument.venue, pl.col("symbol") == instrument.symbol)
            columns = mine.select("seq", "ts", "price", "size", "side", "flags").sort("seq").collect()
            if columns.is_empty():
                continue
            gaps = columns["flags"].list.contains("after_gap").fill_null(value=False).arg_true().to_numpy()
            times, sides = columns["ts"].dt.epoch("us").to_numpy(), columns["side"].to_numpy()
            prices, sizes = columns["price"].to_numpy(), columns["size"].to_numpy()
            made = trades.to_trades(times, prices, sizes, sides, gaps.astype(np.int64))
            if made is None:
                raise BacktestError(f"{instrument.symbol} {date}: sizes that no step holds exactly")
            yield date, made

    def alerts(self, instrument: Instrument) -> pl.DataFrame:
        """See `Tape`; of an instrument with alerts of history those, else the live ones, each in its newest version."""
        lake, end = Lake(self.root), self.dates[-1] + dt.timedelta(days=1)
        at = {"symbol": instrument.symbol, "venue": instrument.venue, "start": str(self.dates[0]), "end": str(end)}
        frame = lake.table("alerts", **at).filter(pl.col("source") == "detector").collect()
        history = frame.filter(pl.col("origin") == "history")
        chosen = frame if history.is_empty() else history
        return chosen.filter(pl.col("version") == pl.col("version").max().over("detector"))


class GeneratedTape(NamedTuple):
    """Made-up trades, and what the detectors say of them; as `trades.Tape`."""

    made: Generated

    @property
    def generated(self) -> str:
        """See `Tape`."""
        return self.made.generated

    def days(self, instrument: Instrument) -> Iterator[tuple[dt.date, Trades]]:
        """See `Tape`."""
        return self.made.days(instrument)

    def alerts(self, instrument: Instrument) -> pl.DataFrame:
        """See `Tape`."""
        signals = Signals(Kernels(bars=("1m",)), "history", complete=True)
        base, _, quote = instrument.symbol.partition("-")
        signals.add(market.Instrument(instrument.venue, instrument.symbol, base + quote, base, quote))
        found, number = [], 0
        for _, day in self.made.days(instrument):
            for begin in range(0, day.lots.size, PIECE):
                part = _rows(day, slice(begin, begin + PIECE), number + begin)
                signals.prepare(part)
                signals.feed(part)
                found += [table for name, table in signals.take() if name == "alerts"]
            number += day.lots.size
        schema = market.ALERTS.lake_schema
        return pl.DataFrame(pa.concat_tables([schema.empty_table(), *(table.select(schema.names) for table in found)]))


def _rows(day: Trades, part: slice, number: int) -> tape.Rows:
    """Return trades as rows of a tape, numbered from `number`."""
    out = tape.empty(day.lots[part].size)
    out["ts"], out["price"], out["side"] = day.times[part], day.prices[part], day.sides[part]
    out["size"] = day.lots[part] / 10.0**day.places
    out["trade_id"] = number + np.arange(out.size)
    return out


def make(asked: Asked, source: Tape, *, told: Callable[[str], object] = lambda _: None, processes: int | None = None) -> Backtest:
    """Judge every instrument, as many at once as there are processors; `told` hears of each that is done.

    Raises
    ------
    BacktestError
        If an instrument has no trades there.
    """
    begun = time.perf_counter()
    workers = min(len(asked.instruments), processes or len(os.sched_getaffinity(0)))
    done: dict[Instrument, Judged] = {}
    if workers == 1:
        for one in asked.instruments:
            done[one] = judge(source, one, asked)
            told(one.symbol)
    else:
        with ProcessPoolExecutor(workers, mp_context=mp.get_context("spawn")) as pool:
            running = {pool.submit(judge, source, one, asked): one for one in asked.instruments}
            for future in as_completed(running):
                done[running[future]] = future.result()
                told(running[future].symbol)
    empty = [one.symbol for one in asked.instruments if done[one].trades == 0]
    if empty:
        raise BacktestError(f"no trades of {', '.join(empty)} from {asked.control.first} to {asked.span.last}")
    return Backtest(asked, [done[one] for one in asked.instruments], source.generated, time.perf_counter() - begun)


def commit(lake: Lake, made: Backtest) -> None:
    """Put the rows of a run into the lake, once however often it is made."""
    lake.create()
    name = f"backtests.{made.run}"
    if lake.version("backtests", name) is None:
        table = rows.rows(made.asked, made.judged, made.generated)
        lake.commit("backtests", name, 0, lake.stage("backtests", table, name, {"source": "backtest"}))


def instruments(
    lake: Lake, venue: str, symbols: list[str], first: dt.date, last: dt.date, *, option: str = ""
) -> tuple[Instrument, ...]:
    """Return the instruments as tables name them; `option` ends the command that is told.

    Raises
    ------
    BacktestError
        If the lake has no trades of one on these dates.
    """
    found = []
    for symbol in symbols:
        remedy = f"`tapeflow backfill --venue {venue} --symbols {symbol} --from {first} --to {last}{option}` fetches them"
        try:
            frame = lake.table("trades", symbol=symbol, venue=venue, start=str(first), end=str(last + dt.timedelta(days=1)))
            row = frame.select("venue", "symbol").head(1).collect()
        except LakeError as error:
            raise BacktestError(f"{error}; {remedy}") from None
        if row.is_empty():
            raise BacktestError(f"no trades of {symbol} at {venue} from {first} to {last}; {remedy}")
        found.append(Instrument(*row.row(0)))
    return tuple(found)


def save(made: Backtest, folder: Path) -> Path:
    """Write report and plots into `folder/<run>`; return the report's path."""
    into = folder / made.run
    into.mkdir(parents=True, exist_ok=True)
    plots = report.pictures(made.judged, made.generated)
    for name, svg in plots.items():
        (into / f"{name}.svg").write_text(svg, encoding="utf-8")
    path = into / "report.md"
    path.write_text(written(made, {name: f"{name}.svg" for name in plots}), encoding="utf-8")
    return path


def written(made: Backtest, addresses: dict[str, str]) -> str:
    """Return the report; `addresses` of the plots as `report.report` takes them."""
    return report.report(made.asked, made.judged, made.generated, made.run, made.seconds, addresses)
