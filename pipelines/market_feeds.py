"""What venues send besides trades, on its way to the lake: quotes, books, liquidations, funding, and their detectors.

Nothing here waits for ids: each message counts where it was received. What comes out depends on the order of the
records alone, not on how they were cut into batches.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts, feed_rows, ledger
from pipelines.best_quotes import BestQuotes
from pipelines.books import Books, Moment
from pipelines.contracts import base, in_base
from pipelines.feed_detection import Imbalances, LiquidationSpikes, Spreads
from pipelines.feed_rows import CARRY, FORCED, Snapshot
from pipelines.feeds import QUOTE, Depth, Funding, Liquidation, QuoteRows
from pipelines.kernels.clock import AHEAD_US
from pipelines.kernels.spread import TOP
from pipelines.market import Instrument
from pipelines.settings import Kernels
from pipelines.tape import MARK, Decoded, Fault, Rows, empty
from pipelines.tape_detection import Delays

KNOWN: Final = 1000
"""Liquidations of an instrument that are remembered, so that one sent twice counts once."""
AGAIN_US: Final = 60_000_000
"""Funding that has not changed is written again after this long."""
_AHEAD: Final = "it was stamped more than 10 s ahead of its receipt"
_UNKNOWN: Final = "its symbol is not among the instruments"
_SAID: Final = ("rate", "next_ts", "mark_price", "index_price", "open_interest")

Faults = list[tuple[str, Fault]]
"""Venue, and what was refused."""


class Heard(NamedTuple):
    """What frames of one connection gave; `Decoded.frame`s are places in the batch."""

    venue: str
    connection: int
    decoded: Decoded


Message = Depth | Liquidation | Funding


class _Event(NamedTuple):
    """A heartbeat (`clock` says the venue as clock rows do, `ts` its time, us), or a message and whom it came from."""

    frame: int
    clock: int
    ts: int
    source: Heard | None = None
    message: Message | None = None


class Roster(NamedTuple):
    """Who is recorded: instruments, the number of each by venue and native name, venues; `strict`: others are refused."""

    instruments: Sequence[Instrument]
    number: dict[tuple[str, str], int]
    venues: Sequence[str]
    strict: bool


class _Times:
    """The venue's time (us) and the receipt (ns) of frames, from marks."""

    def __init__(self, marks: Rows) -> None:
        self.frames, first = np.unique(marks["frame"], return_index=True)
        self.ts, self.recv_ns = marks["ts"][first], marks["recv_ns"][first]

    def at(self, frames: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Return the places of frames in `ts` and `recv_ns`."""
        places: npt.NDArray[np.int64] = np.searchsorted(self.frames, frames)
        return places

    def moment(self, frame: int, ts: int) -> Moment | None:
        """Return when something stamped `ts` (0: not at all) came; None: it is stamped too far ahead of its receipt."""
        k = int(np.searchsorted(self.frames, frame))
        now, recv_ns = int(self.ts[k]), int(self.recv_ns[k])
        if recv_ns and ts > max(now, recv_ns // 1000) + AHEAD_US:
            return None
        return Moment(ts or now, recv_ns)


def frames_of(decoded: Decoded) -> npt.NDArray[np.int64]:
    """Return the frames that bear anything but trades, ascending."""
    others = [x.frame for messages in (decoded.depths, decoded.liquidations, decoded.fundings) for x in messages]
    return np.unique(np.concatenate([decoded.quotes["frame"].astype(np.int64), np.array(others, np.int64)]))


def placed(decoded: Decoded, where: npt.NDArray[np.int64]) -> Decoded:
    """Return what was decoded with each frame replaced by its place `where[frame]`, but for rows of trades."""
    quotes = decoded.quotes
    if quotes.size:
        quotes = quotes.copy()
        quotes["frame"] = where[quotes["frame"]]
    return decoded._replace(
        quotes=quotes,
        depths=[x._replace(frame=int(where[x.frame])) for x in decoded.depths],
        liquidations=[x._replace(frame=int(where[x.frame])) for x in decoded.liquidations],
        fundings=[x._replace(frame=int(where[x.frame])) for x in decoded.fundings],
        faults=[x._replace(frame=int(where[x.frame])) for x in decoded.faults],
    )


class MarketFeeds:
    """All feeds but trades, of all instruments; its state is plain and picklable."""

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.books = Books()
        self.quoting: dict[int, int] = {}
        self.seqs: dict[str, Counter[int]] = {name: Counter() for name in ("quotes", "liquidations", "funding")}
        self.forced: dict[int, deque[tuple[int, int, float, float]]] = {}
        self.carry: dict[int, dict[str, float]] = {}
        self.carried: dict[int, tuple[int, int]] = {}
        self.spikes = LiquidationSpikes(kernels.detectors.liquidation_spike)
        self.spreads = Spreads(kernels.detectors.spread_blowout)
        self.imbalances = Imbalances(kernels.detectors.book_imbalance)
        self.delays = Delays(kernels.detectors.pipeline_behind)
        self.best = BestQuotes()
        self._tables: list[tuple[str, pa.Table]] = []
        self._alerts: list[alerts.Alert] = []
        self._faults: Faults = []
        self._forced: list[tuple[float, ...]] = []
        self._carry: list[tuple[float, ...]] = []
        self._tops: list[tuple[float, ...]] = []

    def configure(self, kernels: Kernels) -> None:
        """Take new settings; what they leave as it was keeps its state."""
        self.kernels, of = kernels, kernels.detectors
        if of.liquidation_spike != self.spikes.settings:
            self.spikes = LiquidationSpikes(of.liquidation_spike)
        if of.spread_blowout != self.spreads.settings:
            self.spreads = Spreads(of.spread_blowout)
        if of.book_imbalance != self.imbalances.settings:
            self.imbalances = Imbalances(of.book_imbalance)
        if of.pipeline_behind != self.delays.settings:
            self.delays = Delays(of.pipeline_behind)

    def drop(self, connection: int | None = None) -> None:
        """Note that a connection is gone; where none is named, all are."""
        quoted = [i for i, c in self.quoting.items() if connection in (None, c)]
        self.best.lose(quoted, [i for i in self.books.books if connection in (None, self.books.elected(i))])
        self.books.drop(connection)
        self.quoting = {i: c for i, c in self.quoting.items() if connection not in (None, c)}

    def take_tables(self) -> list[tuple[str, pa.Table]]:
        """Return the (table, rows) made since the last call."""
        tables, self._tables = self._tables, []
        return tables

    def take_alerts(self) -> list[alerts.Alert]:
        """Return the alerts found since the last call."""
        found, self._alerts = self._alerts, []
        return found

    def finish(self, of: Roster) -> None:
        """End a bounded tape."""
        self._alerts += [*self.spikes.finish(of.instruments), *self.spreads.finish(of.instruments)]
        self.best.finish()

    def arrived(self, rows: Rows, venue_of: npt.NDArray[np.int64], venues: Sequence[str]) -> None:
        """Take note of when trades came; `rows` screened, in order of receipt."""
        self._alerts += self.delays.feed(rows, venue_of, venues)

    def take(self, heard: Sequence[Heard], clock: Rows, of: Roster) -> Faults:
        """Take what consecutive frames gave; return what was refused.

        Parameters
        ----------
        heard : sequence of Heard
        clock : Rows
            Heartbeats and marks, screened, in order of receipt; each frame in `heard` has its mark.
        of : Roster
        """
        if not (heard or self.books.books or self.spikes.open):
            return []
        times = _Times(clock[clock["kind"] == MARK])
        for event in _in_order(heard, clock):
            if event.source is None or event.message is None:
                self._beat(of, event.clock, event.ts)
            else:
                self._message(event.source, event.message, times, of)
        self._quotes(heard, times, of)
        self._write(of)
        faults, self._faults = self._faults, []
        return faults

    def _message(self, source: Heard, message: Message, times: _Times, of: Roster) -> None:
        i = self._known(source.venue, message.symbol, message.frame, of)
        moment = times.moment(message.frame, message.ts)
        if moment is None:
            self._faults.append((source.venue, Fault(message.frame, _AHEAD, message.symbol)))
        elif i is None:
            pass
        elif isinstance(message, Depth):
            self._depth(i, source, message, moment, of)
        elif isinstance(message, Liquidation):
            self._liquidation(i, source.venue, message, moment, of)
        else:
            self._funding(i, message, moment, of)

    def _known(self, venue: str, native: str, frame: int, of: Roster) -> int | None:
        """Return the instrument a message is about; one that names none means the venue's only one."""
        if native:
            i = of.number.get((venue, native))
            if i is None and of.strict:
                self._faults.append((venue, Fault(frame, _UNKNOWN, native)))
            return i
        all_of_it = [k for (name, _), k in of.number.items() if name == venue]
        if len(all_of_it) == 1:
            return all_of_it[0]
        self._faults.append((venue, Fault(frame, "a book without a name, and there are several instruments")))
        return None

    def _beat(self, of: Roster, clock: int, ts: int) -> None:
        """Take the time of a venue, given as in clock rows."""
        venue = of.venues[-1 - clock]
        interval = self._interval
        for i in self.books.books:
            if of.instruments[i].venue == venue:
                self.books.clock(i, ts, interval)
        for i in self.spikes.open:
            if of.instruments[i].venue == venue:
                self._alerts += self.spikes.clock(i, ts, of.instruments[i])

    @property
    def _interval(self) -> int:
        return round(self.kernels.book.interval_s * 1e6)

    def _depth(self, i: int, source: Heard, depth: Depth, moment: Moment, of: Roster) -> None:
        if not depth.snapshot and moment.ts:  # an answer may have been long on its way
            self.books.clock(i, moment.ts, self._interval)
        self.books.apply(i, source.venue, source.connection, depth, moment)
        best = self.books.best(i, source.connection)
        if best is not None and best[0] is not None and best[1] is not None and not depth.snapshot:
            bid, ask = ((float(price), base(size, price, of.instruments[i])) for price, size in (best[0], best[1]))
            self._tops.append((i, moment.ts, *bid, *ask, depth.frame, True))

    def _liquidation(self, i: int, venue: str, order: Liquidation, moment: Moment, of: Roster) -> None:
        instrument = of.instruments[i]
        key = (order.ts, order.side, order.price, order.size)
        known = self.forced.setdefault(i, deque(maxlen=KNOWN))
        if key in known:
            return
        known.append(key)
        size = base(order.size, order.price, instrument)
        if size <= 0:
            self._faults.append((venue, Fault(order.frame, "its contracts come to no size", order.symbol)))
            return
        contracts = order.size if instrument.contract else np.nan
        seq = self._next("liquidations", i)
        self._forced.append((i, moment.ts, moment.recv_ns, seq, order.side, order.price, size, contracts, order.sampled))
        self._alerts += self.spikes.feed(i, moment.ts, order.side, order.price * size, instrument)

    def _funding(self, i: int, message: Funding, moment: Moment, of: Roster) -> None:
        """Note what is new; a message that repeats what is known, or comes behind its time, says nothing."""
        said = {name: value for name in _SAID if (value := getattr(message, name)) is not None}
        known = self.carry.setdefault(i, {})
        written, newest = self.carried.get(i, (0, 0))
        changed = any(known.get(name) != value for name, value in said.items())
        if not said or moment.ts < newest or not (changed or moment.ts - written >= AGAIN_US):
            return
        known.update(said)
        self.carried[i] = (moment.ts, moment.ts)
        interest = said.get("open_interest")
        if interest is not None and of.instruments[i].contract:
            price = known.get("mark_price", 0.0) if of.instruments[i].inverse else 1.0
            interest = base(interest, price, of.instruments[i]) if price > 0 else None
        figures = (said.get("rate"), said.get("mark_price"), said.get("index_price"), interest)
        row = (i, moment.ts, self._next("funding", i), said.get("next_ts", 0))
        self._carry.append((*row, *(np.nan if x is None else x for x in figures)))

    def _next(self, feed: str, i: int) -> int:
        self.seqs[feed][i] += 1
        return self.seqs[feed][i] - 1

    def _quotes(self, heard: Sequence[Heard], times: _Times, of: Roster) -> None:
        """Store quotes, of each instrument those of one connection; hold them and the books' tops against the past."""
        parts = [self._of_known(h, times, of) for h in heard if h.decoded.quotes.size]
        rows = np.concatenate([np.zeros(0, QUOTE), *(part for part, _ in parts)])
        source = np.concatenate([np.zeros(0, np.int64), *(np.full(part.size, connection) for part, connection in parts)])
        order = np.argsort(rows["frame"], kind="stable")
        rows, source = rows[order], source[order]
        for i, first in zip(*np.unique(rows["instrument"], return_index=True), strict=True):
            self.quoting.setdefault(int(i), int(source[first]))
        rows = rows[source == np.array([self.quoting[i] for i in rows["instrument"].tolist()], np.int64)]
        if rows.size:
            self._in_base(rows, of.instruments)
            recv_ns = times.recv_ns[times.at(rows["frame"])]
            self._tables.append(("quotes", feed_rows.quotes(rows, recv_ns, self._number(rows["instrument"]), of.instruments)))
        tops = np.zeros(rows.size, TOP)
        for name in ("instrument", "ts", "bid", "bid_size", "ask", "ask_size", "frame"):
            tops[name] = rows[name]
        tops = np.concatenate([tops, np.array(self._tops, TOP)])
        self._tops = []
        if tops.size:
            self.best.tops = tops[np.argsort(tops["frame"], kind="stable")]
            self._alerts += self.spreads.feed(self.best.tops, of.instruments)

    def _of_known(self, heard: Heard, times: _Times, of: Roster) -> tuple[QuoteRows, int]:
        """Return the quotes of recorded instruments, these and times set; refuse the others."""
        rows, symbols = heard.decoded.quotes.copy(), heard.decoded.symbols
        at = times.at(rows["frame"])
        now, recv = times.ts[at], times.recv_ns[at] // 1000
        instrument = np.array([of.number.get((heard.venue, s), -1) for s in symbols], np.int32)[rows["instrument"]]
        ahead = (recv > 0) & (rows["ts"] > np.maximum(now, recv) + AHEAD_US)
        for k in np.flatnonzero(ahead | ((instrument < 0) & of.strict)).tolist():
            reason = _AHEAD if ahead[k] else _UNKNOWN
            self._faults.append((heard.venue, Fault(int(rows["frame"][k]), reason, symbols[int(rows["instrument"][k])])))
        rows["ts"] = np.where(rows["ts"] == 0, now, rows["ts"])
        rows["instrument"] = instrument
        return rows[(instrument >= 0) & ~ahead], heard.connection

    def _in_base(self, rows: QuoteRows, instruments: Sequence[Instrument]) -> None:
        counted = np.array([bool(x.contract) for x in instruments])[rows["instrument"]]
        for side in ("bid", "ask"):
            mine = np.flatnonzero(counted & (rows[side] > 0))
            if mine.size:
                trades = empty(mine.size)
                trades["instrument"], trades["price"] = rows["instrument"][mine], rows[side][mine]
                trades["size"] = rows[f"{side}_size"][mine]
                in_base(trades, instruments)
                rows[f"{side}_size"][mine] = trades["size"]

    def _number(self, instrument: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Number quotes per instrument, going on where the last ones ended."""
        out = np.zeros(instrument.size, np.int64)
        for i in np.unique(instrument).tolist():
            mine = np.flatnonzero(instrument == i)
            out[mine] = self.seqs["quotes"][i] + np.arange(mine.size)
            self.seqs["quotes"][i] += mine.size
        return out

    def _write(self, of: Roster) -> None:
        """Turn what has gathered into rows."""
        shown = self.books.take_shown()
        if shown:
            sizes = [self._sizes(s, of.instruments[s.instrument]) for s in shown]
            self._tables.append(("book", feed_rows.book(shown, sizes, of.instruments)))
            for snapshot, pair in zip(shown, sizes, strict=True):
                self._alerts += self.imbalances.feed(snapshot, pair, self._interval, of.instruments[snapshot.instrument])
        breaks = self.books.take_breaks()
        if breaks:
            self._tables.append(("gaps", ledger.gaps(breaks, of.instruments, "book")))
        if self._forced:
            self._tables.append(("liquidations", feed_rows.liquidations(np.array(self._forced, FORCED), of.instruments)))
        if self._carry:
            self._tables.append(("funding", feed_rows.funding(np.array(self._carry, CARRY), of.instruments)))
        self._forced, self._carry = [], []

    def _sizes(self, shown: Snapshot, instrument: Instrument) -> tuple[list[float], list[float]]:
        bids, asks = ([base(size, price, instrument) for price, size in side] for side in (shown.bids, shown.asks))
        return bids, asks


def _in_order(heard: Sequence[Heard], clock: Rows) -> list[_Event]:
    """Return messages and heartbeats in order of receipt."""
    beats = clock[clock["kind"] != MARK]
    events = [_Event(*beat) for beat in zip(*(beats[name].tolist() for name in ("frame", "instrument", "ts")), strict=True)]
    for h in heard:
        for messages in (h.decoded.depths, h.decoded.liquidations, h.decoded.fundings):
            events += [_Event(message.frame, 0, 0, h, message) for message in messages]
    return sorted(events, key=lambda event: event.frame)
