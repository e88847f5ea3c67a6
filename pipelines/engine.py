"""From records to rows: decode, screen, put into tape order, run the kernels.

The engine reads no clock, no network, no environment and no random number: its output is a function of the records.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import controls, ledger, venue_time
from pipelines import rows as to_rows
from pipelines.account import Account
from pipelines.contracts import in_base
from pipelines.kernels import clock
from pipelines.market import DAY_US, Instrument
from pipelines.market_feeds import Heard, MarketFeeds, Roster, frames_of, placed
from pipelines.news import headlines
from pipelines.records import (
    Batch,
    Kind,
)
from pipelines.resequencer import Resequencer
from pipelines.rules.book import Rules, canonical
from pipelines.seed import Seeds
from pipelines.settings import Kernels
from pipelines.signals import Signals
from pipelines.sources import Piece
from pipelines.tape import CLOCK, MARK, TRADE, Decoded, Fault, Rows, empty, joined
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Tape

VERSION = 6
"""Of the snapshot; a store of another version is refused."""
MINUTE_NS = 60_000_000_000
_DATA = (Kind.FRAME, Kind.HEARTBEAT)


class Output(NamedTuple):
    """What a batch gave.

    Attributes
    ----------
    tables : list of (table name, rows)
    journal_ns : int
        Journal time reached (receive time; match time where the source has no receive times), ns since 1970.
    """

    tables: list[tuple[str, pa.Table]]
    journal_ns: int


class Engine:
    """One shard's computation, from records to rows.

    Parameters
    ----------
    kernels : Kernels
        Settings until a journal record says otherwise.
    origin : str
        `live` (tailing a journal) or `history` (a bounded tape).
    shard : str
        Name stored in `coverage`; empty: a bounded tape, which has no coverage rows.
    complete : bool
        See `Signals`.
    from_day : int
        Rows of earlier dates are put into order but neither stored nor counted, us since 1970.
    seeds : Seeds or None
        Stored rows of earlier dates that an instrument begins with.
    """

    def __init__(
        self,
        kernels: Kernels,
        *,
        origin: str = "live",
        shard: str = "",
        complete: bool = False,
        from_day: int = 0,
        seeds: Seeds | None = None,
    ) -> None:
        self.shard = shard
        self.from_day = from_day
        self.signals = Signals(kernels, origin, complete=complete)
        self.resequencer = Resequencer()
        self.feeds = MarketFeeds(kernels)
        self.index: dict[tuple[str, str], int] = {}
        self.tapes: list[str] = []
        self.tape_of_venue: dict[str, str] = {}
        self.venues: list[str] = []
        self.venue_of = np.zeros(0, np.int64)
        self.venue_clocks = np.zeros(0, clock.VENUE)
        self.connections: dict[int, str] = {}
        self.carried: dict[int, set[tuple[str, str]]] = {}
        self.strict = bool(shard)
        self.journal_ns = 0
        self.begun_ns = 0
        self.minute = 0
        self.stored = 0
        self.account = Account()
        self.headlines = headlines.Known()
        self.counts: Counter[str] = Counter()
        self.seeds = seeds
        self.out: list[tuple[str, pa.Table]] = []

    @property
    def bounded(self) -> bool:
        """Whether the tape has an end at which open time bars close."""
        return not self.shard

    # --- state

    def snapshot(self) -> bytes:
        """Return the state, to go on from with `restore`."""
        return pickle.dumps((VERSION, self.__dict__ | {"seeds": None}), protocol=5)

    @classmethod
    def restore(cls, state: bytes) -> Engine:
        """Return the engine that `snapshot` described.

        Raises
        ------
        ValueError
            If the state was written by another version.
        """
        version, attributes = pickle.loads(state)  # noqa: S301 - our own recovery store
        if version != VERSION:
            raise ValueError(f"the recovery store is of version {version}, this tapeflow reads {VERSION}")
        engine = cls.__new__(cls)
        engine.__dict__ = attributes
        return engine

    def add(self, instrument: Instrument, tape: str) -> int:
        """Add an instrument that is recorded; return its index."""
        key = (instrument.venue, instrument.native)
        if key in self.index:
            return self.index[key]
        if instrument.venue not in self.venues:
            self.venues.append(instrument.venue)
            fresh = np.zeros(1, clock.VENUE)
            fresh["least"], fresh["slots"] = clock.UNKNOWN, clock.UNKNOWN
            self.venue_clocks = np.concatenate([self.venue_clocks, fresh])
        self.index[key] = self.signals.add(instrument)
        self.tapes.append(tape)
        self.venue_of = np.append(self.venue_of, self.venues.index(instrument.venue))
        self.resequencer.add(contiguous=venue_named(instrument.venue).rules.contiguous)
        if self.seeds is not None:
            planted = self.seeds.plant(self.signals, self.index[key])
            if planted:
                self.account.note(instrument.venue, "seed", planted, self.journal_ns or self.seeds.before * 1000)
        return self.index[key]

    # --- input

    def feed(self, batch: Batch) -> Output:
        """Take a batch of records; return the rows that are complete now."""
        n = batch.kind.size
        minutes = batch.recv_ns // MINUTE_NS
        turns = np.flatnonzero(minutes != np.concatenate([[self.minute], minutes[:-1]])) if self.shard else np.zeros(0, np.int64)
        controls = np.flatnonzero((batch.kind != Kind.FRAME) & (batch.kind != Kind.HEARTBEAT))
        at = 0
        for cut in np.union1d(turns, controls):
            self._data(batch, at, int(cut))
            at = int(cut)
            if minutes[cut] > self.minute and self.shard:
                self.minute = int(minutes[cut])
                self._cover(batch, at)
            if batch.kind[cut] not in _DATA:
                self._control(batch, at)
                at += 1
        self._data(batch, at, n)
        if n:
            self.journal_ns = max(self.journal_ns, int(batch.recv_ns[-1]))
        return self._take()

    def feed_piece(self, piece: Piece, name: str) -> Output:
        """Take a piece of a bounded tape, which is of one venue; `name` is the file's."""
        if piece.batch is not None:
            return self.feed(piece.batch)
        if piece.rows is not None:
            faults, texts = piece.rows.faults, iter(piece.refused)
            self.refuse(self.venues[0], faults, lambda line: (name, line, next(texts), self.begun_ns))
            rows = self.of_known(self.venues[0], piece.rows)
            lines, ts = rows["frame"].copy(), rows["ts"].copy()
            self.order(rows, lambda k: (name, int(lines[k]), b"", int(ts[k]) * 1000))
            if rows.size:
                self.journal_ns = max(self.journal_ns, int(rows["recv_ns"][-1]) or int(rows["ts"][-1]) * 1000)
        return self._take()

    def finish(self) -> Output:
        """End a bounded tape; a second time, after a run that was killed behind its end, gives nothing more."""
        if self.signals.ending:
            return self._take()
        self.admit(self.resequencer.finish())
        self.signals.finish()
        self.feeds.finish(self.roster)
        self.signals.quoted(self.feeds.best.take(), ending=True)
        return self._take()

    def settle(self, kernels: Kernels, journal_ns: int, kind: str = "settings") -> None:
        """Take settings, and note them in `inputs`."""
        if self.signals.kernels != kernels:
            self.signals.configure(kernels)
            self.feeds.configure(kernels)
        self.account.note("all", kind, kernels.canonical(), journal_ns)

    def rule(self, rules: Rules, journal_ns: int) -> None:
        """Take rules of the user, and note them in `inputs`."""
        if rules != self.signals.watch.rules:
            self.signals.watch.configure(rules)
            self.account.note("all", "rules", canonical(rules), journal_ns, again=True)

    # --- records

    def _data(self, batch: Batch, begin: int, end: int) -> None:
        """Take consecutive frames and heartbeats."""
        if begin == end:
            return
        beats = begin + np.flatnonzero(batch.kind[begin:end] == Kind.HEARTBEAT)
        parts = [venue_time.beats(beats, batch, len(self.venues))] if beats.size and self.venues else []
        heard: list[Heard] = []
        connections = batch.connection[begin:end]
        for connection in np.unique(connections[batch.kind[begin:end] == Kind.FRAME]).tolist():
            where = begin + np.flatnonzero((connections == connection) & (batch.kind[begin:end] == Kind.FRAME))
            parts.append(self._frames(batch, connection, where, heard))
        self.take(batch, parts, heard)

    def take(self, batch: Batch, parts: Sequence[Rows], heard: Sequence[Heard]) -> None:
        """Take what records of a batch gave: trades and heartbeats, and messages of other feeds."""
        parts = [empty(0), *parts, *(venue_time.marks(frames_of(h.decoded), batch, self.venues.index(h.venue)) for h in heard)]
        rows = joined(parts)
        if len(parts) > 2:
            rows = rows.take(np.argsort(rows["frame"], kind="stable"))
        self._screen(rows, ledger.by_frame(rows, batch))
        timed = rows.compress((rows["kind"] == CLOCK) | (rows["kind"] == MARK))
        for venue, fault in self.feeds.take(heard, timed, self.roster):
            self.refuse(venue, [fault], ledger.origins(batch))
        rows = rows.compress(rows["kind"] != MARK) if (rows["kind"] == MARK).any() else rows
        self.feeds.arrived(rows, self.venue_of, self.venues)
        self.feeds.best.watch(rows, self.venue_of)
        self.signals.quoted(self.feeds.best.take())
        self._go_on(rows, ledger.by_frame(rows, batch))
        self.out += self.feeds.take_tables()
        self.signals.alert(self.feeds.take_alerts())

    @property
    def roster(self) -> Roster:
        """Who is recorded."""
        return Roster(self.signals.instruments, self.index, self.venues, self.strict)

    def _frames(self, batch: Batch, connection: int, where: npt.NDArray[np.int64], heard: list[Heard]) -> Rows:
        venue = self.connections.get(connection) or (self.venues[0] if not self.strict and self.venues else "")
        if not venue:
            faults = [Fault(int(k), f"connection {connection} was never announced") for k in where]
            self.refuse("unknown", faults, ledger.origins(batch))
            return empty(0)
        whole = where.size == len(batch.payload)
        payload = batch.payload if whole else [batch.payload[k] for k in where]
        decoded = venue_named(venue).decode(payload, self.tape_of(venue))
        self.counts["frames"] += where.size
        self.counts["ignored"] += decoded.ignored
        self.counts[f"faults of {venue}"] += len(decoded.faults)
        if not whole:
            decoded.rows["frame"] = where[decoded.rows["frame"]]
            decoded = placed(decoded, where)
        if venue in self.venues and (decoded.quotes.size or decoded.depths or decoded.liquidations or decoded.fundings):
            heard.append(Heard(venue, connection, decoded))
        self.refuse(venue, decoded.faults, ledger.origins(batch))
        decoded.rows["recv_ns"] = batch.recv_ns[decoded.rows["frame"]]
        return self.of_known(venue, decoded, batch)

    def tape_of(self, venue: str) -> Tape:
        """Return which kind of tape is taken of a venue."""
        return "fill" if self.tape_of_venue.get(venue) == "fill" else "agg"

    def of_known(self, venue: str, decoded: Decoded, batch: Batch | None = None) -> Rows:
        """Return the rows of instruments that are recorded, `instrument` set; refuse or skip the others."""
        index = np.array([self.index.get((venue, s), -1) for s in decoded.symbols], np.int32)
        rows = decoded.rows
        if not rows.size:
            return rows
        local = rows["instrument"]
        known = index[local] >= 0
        if not known.all():
            if self.strict and batch is not None:
                odd = [
                    Fault(int(r["frame"]), "its symbol is not among the instruments", decoded.symbols[r["instrument"]])
                    for r in rows[~known]
                ]
                self.refuse(venue, odd, ledger.origins(batch))
            rows = rows.compress(known)
        rows["instrument"] = index[rows["instrument"]]
        return rows

    def _control(self, batch: Batch, at: int) -> None:
        """Take one record that is neither frame nor heartbeat."""
        try:
            controls.take(self, batch, at)
        except (msgspec.DecodeError, ValueError) as error:
            fault = Fault(at, f"a {Kind(int(batch.kind[at])).name} record was not as it should be: {error}")
            self.refuse("unknown", [fault], ledger.origins(batch))

    # --- the way of a row

    def order(self, rows: Rows, origin: ledger.Origin) -> None:
        """Screen rows in order of receipt, put them into tape order, and go on."""
        self._screen(rows, origin)
        self._go_on(rows, origin)

    def _screen(self, rows: Rows, origin: ledger.Origin) -> None:
        """Bring sizes to base, refuse trades from the future, and set the time of heartbeats and marks."""
        if not rows.size:
            return
        odd = in_base(rows, self.signals.instruments)
        if odd.any():
            self._refuse_rows(rows, "its contracts come to no size that can be kept exactly", origin, np.flatnonzero(odd))
        refused = np.zeros(rows.size, np.bool_)
        if clock.screen(rows, self.venue_of, self.venue_clocks, refused):
            self._refuse_rows(rows, "it was stamped more than 10 s ahead of its receipt", origin, np.flatnonzero(refused))

    def _go_on(self, rows: Rows, origin: ledger.Origin) -> None:
        """Put screened rows into tape order, and run the kernels."""
        if not rows.size:
            return
        unfit = self.signals.prepare(rows)
        if unfit.any():
            self._refuse_rows(rows, "its price or size has more digits than can be kept exactly", origin, np.flatnonzero(unfit))
        self.admit(self.resequencer.push(rows, self.venue_of))

    def admit(self, rows: Rows) -> None:
        """Run the kernels over rows in tape order, and store the trades."""
        for stray in self.resequencer.take_strays():
            self._refuse_rows(stray, "its id was far from the ids around it", ledger.by_row(stray), np.zeros(1, np.int64))
        if rows.size and self.from_day:
            earlier = (rows["kind"] != CLOCK) & (rows["ts"] < self.from_day)
            self.signals.begun[rows["instrument"][earlier & rows["counted"]]] = True
            rows = rows.compress(~earlier)
        if rows.size:
            unfit = self.signals.feed(rows)
            if unfit.any():
                reason = "it was too large beside the finer steps of other trades"
                self._refuse_rows(rows, reason, ledger.by_row(rows), np.flatnonzero(unfit))
            kept = rows["kind"] == TRADE
            trades = rows if kept.all() else rows.compress(kept)
            if trades.size:
                self.stored += trades.size
                of = self.signals.instruments
                table = to_rows.trades(trades, [x.venue for x in of], [x.symbol for x in of], self.tapes)
                self.out.append(("trades", table))
        gaps = self.resequencer.take_ledger()
        if gaps:
            self.out.append(("gaps", ledger.gaps(gaps, self.signals.instruments)))

    def refuse(self, venue: str, faults: Sequence[Fault], where: Callable[[int], ledger.Where]) -> None:
        """Quarantine refused input; `where` tells of a frame where it stands."""
        if faults:
            symbols = {native: self.signals.instruments[i].symbol for (v, native), i in self.index.items() if v == venue}
            self.account.refuse(venue, faults, [where(f.frame) for f in faults], symbols)

    def _refuse_rows(self, rows: Rows, reason: str, origin: ledger.Origin, at: npt.NDArray[np.int64]) -> None:
        """Refuse the rows at the places `at`."""
        for k in at.tolist():
            instrument = self.signals.instruments[int(rows["instrument"][k])]
            fault = Fault(k, reason, instrument.native, int(rows["trade_id"][k] % (1 << 31)))
            self.refuse(instrument.venue, [fault], origin)

    def _cover(self, batch: Batch, at: int) -> None:
        """Write a coverage row per venue at the start of a minute of journal time."""
        for v, venue in enumerate(self.venues):
            least = int(self.venue_clocks["least"][v])
            offset = 0 if least == clock.UNKNOWN else least
            minute_us = self.minute * MINUTE_NS // 1000
            place = (batch.segment, int(batch.offset[at]))
            self.out.append(("coverage", ledger.coverage(venue, self.shard, minute_us, offset, *place, self.stored)))

    def _take(self) -> Output:
        out = [*self.out, *self.account.take(), *self.signals.take()]
        self.out = []
        if self.from_day:
            first = pa.scalar(np.datetime64(self.from_day // DAY_US, "D").item())
            out = [(name, rows.filter(pc.greater_equal(rows["date"], first))) for name, rows in out]
        for name, rows in out:
            self.counts[f"rows of {name}"] += rows.num_rows
        self.counts["duplicates"] = self.resequencer.duplicates
        self.counts["quarantined"] = self.account.refused
        return Output(out, self.journal_ns)
