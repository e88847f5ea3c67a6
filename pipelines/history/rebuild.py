"""A day computed anew from its tape: the rows of every derived table, with the kernels of the stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.best_quotes import Passed
from pipelines.history.day import Day, DayTape
from pipelines.history.in_force import Change, InForce
from pipelines.history.sheets import Sheets
from pipelines.history.tally import Tally
from pipelines.market import ALERTS, Flag
from pipelines.quote_features import COLUMNS as QUOTED
from pipelines.quote_features import QuoteFeatures
from pipelines.seed import Seeds
from pipelines.signals import PASS, Signals
from pipelines.store.lake import Lake
from pipelines.tape import TRADE, Rows
from pipelines.venues import venue as venue_named

DERIVED = ("bars", "vpin", "features", "posture", "alerts")
_MOVED = int(Flag.LATE | Flag.REPAIRED | Flag.HISTORY)

Quoted = Mapping[tuple[str, int], tuple[float, ...]]
"""Columns of `features` that need quotes, by symbol and minute (us)."""


class Rebuilt(NamedTuple):
    """What came of a day, beside the files in its `Sheets`.

    Attributes
    ----------
    totals : dict of symbol to (counted trades, base volume, quote notional)
    events : dict of symbol to dict of reason to list of us
        Trades that live rows may lack, or have elsewhere.
    alerts : pa.Table
        All that detectors find, whether the stream has told it or not.
    refused : int
        Trades that no step of price and size holds beside the others.
    tallies : dict of symbol to Tally
    """

    totals: dict[str, tuple[int, float, float]]
    events: dict[str, dict[str, list[int]]]
    alerts: pa.Table
    refused: int
    tallies: dict[str, Tally]


class Kept(QuoteFeatures):
    """Stands for the quotes of a date: what the stream measured of them is kept as it was."""

    def __init__(self, values: Quoted, symbols: Iterable[str]) -> None:
        super().__init__()
        self.values, self.symbols = values, list(symbols)
        quoted = {symbol for symbol, _ in values}
        self.of = {i for i, symbol in enumerate(self.symbols) if symbol in quoted}
        self.sides = dict.fromkeys(self.of)  # type: ignore[assignment] # only asked whether there are any

    def trades(self, rows: Rows) -> None:
        """See `QuoteFeatures`; nothing is measured."""

    def quotes(self, passed: Iterable[Passed]) -> None:
        """See `QuoteFeatures`; there are none."""

    def concerns(self, i: int, ts: int) -> bool:
        """Whether anything of the instrument is kept."""
        del ts
        return i in self.of

    def ready(self, i: int, ts: int) -> bool:
        """All is known."""
        del i, ts
        return True

    def measure(self, i: int, ts: int) -> tuple[float, ...]:
        """Return what was kept of the minute at `ts` (us)."""
        return self.values.get((self.symbols[i], ts), (math.nan,) * len(QUOTED))


def rebuild(
    lake: Lake,
    tape: DayTape,
    held: InForce,
    whole: Iterable[bool],
    quoted: Quoted,
    sheets: Sheets,
    watch: Callable[[int], None] = lambda _: None,
) -> Rebuilt:
    """Compute a day from its tape, and hand the rows to `sheets`.

    Parameters
    ----------
    whole : bool per instrument
        The tape holds it from the beginning of the date; else its first bars are marked as cut.
    quoted
        What to keep of quotes.
    watch : callable
        Called with the trades done so far.
    """
    signals = _begin(lake, tape, held, whole, quoted)
    seqs = np.zeros(len(tape.instruments), np.int64)
    totals: dict[str, tuple[int, float, float]] = {}
    alerts = [ALERTS.lake_schema.empty_table()]
    events: dict[str, dict[str, list[int]]] = {i.symbol: {} for i in tape.instruments}
    contiguous = venue_named(tape.day.venue).rules.contiguous
    tallies = {i.symbol: Tally(contiguous) for i in tape.instruments}
    done = refused = 0
    for rows in _changed(tape.pieces(), held.changes, signals):
        for begin in range(0, rows.size, PASS):
            part = rows[begin : begin + PASS]
            refused += int(signals.prepare(part).sum()) + int(signals.feed(part).sum())
            _note(part, tape, events)
            _tally(part, tape, signals, tallies)
            _store(part, tape, seqs, sheets)
        _derive(signals, tape.day, sheets, totals, alerts)
        done += rows.size
        watch(done)
    signals.finish()
    signals.quoted([], ending=True)
    _derive(signals, tape.day, sheets, totals, alerts)
    return Rebuilt(totals, events, pa.concat_tables(alerts), refused, tallies)


def _begin(lake: Lake, tape: DayTape, held: InForce, whole: Iterable[bool], quoted: Quoted) -> Signals:
    """Return the kernels as they stand at the beginning of the date."""
    signals = Signals(held.changes[0].kernels, "history", complete=True)
    signals.watch.configure(held.changes[0].rules)
    seeds = Seeds(lake, tape.day.us, together=[i.symbol for i in tape.instruments])
    for instrument, begun in zip(tape.instruments, whole, strict=True):
        i = signals.add(instrument)
        signals.begun[i] = begun
        seeds.plant(signals, i)
        if instrument.native in held.volumes:
            signals.volumes.record(i, tape.day.us, *held.volumes[instrument.native])
    signals.features.quotes = Kept(quoted, [i.symbol for i in tape.instruments])
    return signals


def _changed(pieces: Iterable[Rows], changes: list[Change], signals: Signals) -> Iterator[Rows]:
    """Yield the tape, cut where settings or rules changed, which then hold."""
    ahead = list(changes[1:])
    for rows in pieces:
        at = 0
        while ahead:
            live = (rows["recv_ns"] >= ahead[0].us * 1000) & (rows["flags"] & _MOVED == 0)
            later = np.flatnonzero(live[at:])
            if not later.size:
                break
            if later[0]:
                yield rows[at : at + int(later[0])]
            at += int(later[0])
            change = ahead.pop(0)
            signals.configure(change.kernels)
            signals.watch.configure(change.rules)
        if at < rows.size:
            yield rows[at:]


def _note(rows: Rows, tape: DayTape, events: dict[str, dict[str, list[int]]]) -> None:
    """Note trades that came late or were repaired."""
    flags = rows["flags"]
    if not flags.any():
        return
    for reason, flag in (("late", Flag.LATE), ("repaired", Flag.REPAIRED)):
        which = np.flatnonzero((flags & int(flag) != 0) & rows["counted"])
        for i in np.unique(rows["instrument"][which]).tolist():
            mine = which[rows["instrument"][which] == i]
            times = np.concatenate([rows["ts"][mine], rows["eff"][mine]])
            events[tape.instruments[i].symbol].setdefault(reason, []).extend(times.tolist())


def _tally(rows: Rows, tape: DayTape, signals: Signals, tallies: dict[str, Tally]) -> None:
    """Count trades."""
    for i, instrument in enumerate(tape.instruments):
        mine = slice(None) if len(tape.instruments) == 1 else np.flatnonzero(rows["instrument"] == i)
        tallies[instrument.symbol].add(rows, mine, int(signals.size_places[i]))


def _store(rows: Rows, tape: DayTape, seqs: np.ndarray, sheets: Sheets) -> None:
    """Number trades, and hand them on as rows of table `trades`, symbol by symbol."""
    kept = rows["kind"] == TRADE
    rows = rows if kept.all() else rows.compress(kept)
    for i in np.flatnonzero(np.bincount(rows["instrument"])).tolist():
        mine = rows if len(tape.instruments) == 1 else rows.compress(rows["instrument"] == i)
        mine["seq"] = np.arange(seqs[i], seqs[i] + mine.size)
        seqs[i] += mine.size
        if "trades" in sheets.names:
            sheets.trades(tape.instruments[i].symbol, tape.tape, mine)


def _derive(
    signals: Signals, day: Day, sheets: Sheets, totals: dict[str, tuple[int, float, float]], alerts: list[pa.Table]
) -> None:
    """Hand on what the kernels have made; what they say of whole dates goes into `totals`."""
    for name, table in signals.take():
        if name == "seals":
            for row in table.filter(pc.equal(table["date"], pa.scalar(day.date))).to_pylist():
                totals[row["symbol"]] = row["trades"], row["volume"], row["notional"]
        elif name == "alerts":
            alerts.append(table)
        elif name in sheets.names:
            sheets.add(name, table)
