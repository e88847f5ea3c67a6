"""What records that are neither frame nor heartbeat do to the engine: connections, settings, instruments, answers, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pipelines import ledger
from pipelines.contracts import worth
from pipelines.market import Flag, Instrument
from pipelines.market_feeds import Heard, placed
from pipelines.news import headlines
from pipelines.records import (
    Batch,
    Book,
    Connect,
    Disconnect,
    Funding,
    Gap,
    Instruments,
    Kind,
    Klines,
    News,
    Reference,
    Repair,
    Start,
    split_head,
)
from pipelines.rules import book
from pipelines.settings import Kernels
from pipelines.venues import venue as venue_named

if TYPE_CHECKING:
    from pipelines.engine import Engine


def take(engine: Engine, batch: Batch, at: int) -> None:
    """Do what the record at place `at` of `batch` says, which is neither frame nor heartbeat.

    Raises
    ------
    ValueError, msgspec.DecodeError
        If it is not as it should be.
    """
    kind, connection = Kind(int(batch.kind[at])), int(batch.connection[at])
    payload, now = batch.payload[at], int(batch.recv_ns[at])
    match kind:
        case Kind.START:
            engine.tape_of_venue |= msgspec.json.decode(payload, type=Start).tape
            engine.connections = {}
            engine.feeds.drop()
            engine.signals.on_tape.cascades.forced.clear()
            gone, engine.carried = engine.carried, {}
            _lost(engine, set().union(*gone.values()), now)
        case Kind.CONNECT:
            opened = msgspec.json.decode(payload, type=Connect)
            engine.connections[connection] = opened.venue
            if "liquidations" in opened.feeds:
                of_venue = [native for venue, native in engine.index if venue == opened.venue]
                told = {engine.index.get((opened.venue, native), -1) for native in opened.symbols or of_venue}
                engine.signals.on_tape.cascades.forced |= told - {-1}
            trades = "trades" in opened.feeds
            engine.carried[connection] = {(opened.venue, native) for native in opened.symbols if trades}
        case Kind.DISCONNECT:
            msgspec.json.decode(payload, type=Disconnect)
            engine.feeds.drop(connection)
            _lost(engine, engine.carried.pop(connection, set()), now)
        case Kind.SETTINGS:
            kernels = Kernels.model_validate_json(payload)
            engine.settle(kernels, now)
            if kernels.detectors.learned.model is not None:  # the rest of the settings holds all the same
                kernels.detectors.learned.model.check()
        case Kind.RULES:
            engine.rule(book.decode(payload), now)
        case Kind.INSTRUMENTS:
            _instruments(engine, msgspec.json.decode(payload, type=Instruments), now)
        case Kind.REFERENCE:
            _reference(engine, msgspec.json.decode(payload, type=Reference), payload, now)
        case Kind.KLINES:
            _klines(engine, payload, now)
        case Kind.REPAIR:
            _repair(engine, payload, batch, at)
        case Kind.BOOK | Kind.FUNDING:
            _answer(engine, kind, payload, batch, at)
        case Kind.NEWS:
            _news(engine, payload, batch, at, now)
        case Kind.GAP_OPEN | Kind.GAP_CLOSE | Kind.SHED:
            _gap(engine, kind, msgspec.json.decode(payload, type=Gap), now)


def _lost(engine: Engine, gone: set[tuple[str, str]], now: int) -> None:
    """Note which instruments no connection brings trades of any more."""
    for key in sorted(gone.difference(*engine.carried.values())):
        if key in engine.index:
            engine.resequencer.connection_lost(engine.index[key], now)


def _instruments(engine: Engine, record: Instruments, now: int) -> None:
    if engine.seeds is not None:
        engine.seeds.begin(now // 1000)
    odd = []
    for r in record.instruments:
        instrument = Instrument(record.venue, *msgspec.structs.astuple(r))
        if instrument.contract:
            try:
                worth(instrument)
            except ValueError as error:
                odd.append(f"{instrument.symbol}: {error}")
                continue
        engine.signals.instruments[engine.add(instrument, engine.tape_of(record.venue))] = instrument
        engine.account.describe(instrument, now)
    if odd:
        raise ValueError("; ".join(odd))


def _reference(engine: Engine, record: Reference, payload: bytes, now: int) -> None:
    i = engine.index.get((record.venue, record.symbol))
    if i is not None:
        day = int(np.datetime64(record.date, "us").astype(np.int64))
        engine.signals.volumes.record(i, day, record.adv, record.adv_notional)
        engine.account.note(record.venue, "reference", payload, now)


def _klines(engine: Engine, payload: bytes, now: int) -> None:
    head, body = split_head(payload)
    record = msgspec.json.decode(head, type=Klines)
    i = engine.index.get((record.venue, record.symbol))
    if i is not None:
        candles = venue_named(record.venue).parse_klines(body)
        engine.account.candles(engine.signals.instruments[i], record.interval, candles, now)


def _repair(engine: Engine, payload: bytes, batch: Batch, at: int) -> None:
    head, body = split_head(payload)
    record = msgspec.json.decode(head, type=Repair)
    decoded = venue_named(record.venue).decode_rest(body, record.symbol)
    decoded.rows["frame"] = at
    decoded.rows["recv_ns"] = batch.recv_ns[at]
    decoded.rows["flags"] |= int(Flag.REPAIRED)
    engine.refuse(record.venue, [f._replace(frame=at) for f in decoded.faults], ledger.origins(batch))
    rows = engine.of_known(record.venue, decoded, batch)
    engine.order(rows, lambda _: ledger.origins(batch)(at))


def _answer(engine: Engine, kind: Kind, payload: bytes, batch: Batch, at: int) -> None:
    """Take a snapshot of a book, or what a venue says of funding, asked for over REST."""
    head, body = split_head(payload)
    if kind == Kind.BOOK:
        record: Book | Funding = msgspec.json.decode(head, type=Book)
        decoded = venue_named(record.venue).decode_book(body, record.symbol)
    else:
        record = msgspec.json.decode(head, type=Funding)
        decoded = venue_named(record.venue).decode_funding(body, record.symbol)
    decoded = placed(decoded, np.full(1, at, np.int64))
    engine.refuse(record.venue, decoded.faults, ledger.origins(batch))
    if record.venue in engine.venues:
        engine.take(batch, [], [Heard(record.venue, int(batch.connection[at]), decoded)])


def _news(engine: Engine, payload: bytes, batch: Batch, at: int, now: int) -> None:
    head, body = split_head(payload)
    record = msgspec.json.decode(head, type=News)
    venue = headlines.venue(record.feed)
    if engine.headlines.begin(record.feed) and engine.seeds is not None:
        engine.seeds.begin(now // 1000)
        planted = engine.seeds.headlines(engine.headlines, venue)
        if planted:
            engine.account.note(venue, "seed", planted, now)
    found = headlines.read(record.form, body)
    engine.refuse(venue, [f._replace(frame=at) for f in found.faults], ledger.origins(batch))
    fresh = engine.headlines.fresh(record.feed, found.items)
    if fresh:
        bases = {i.base for i in engine.signals.instruments}
        engine.out.append(("news", headlines.rows(record.feed, fresh, now // 1000, bases)))


def _gap(engine: Engine, kind: Kind, gap: Gap, now: int) -> None:
    i = engine.index.get((gap.venue, gap.symbol))
    if i is None:
        return
    instrument = engine.signals.instruments[i]
    if kind == Kind.SHED or gap.feed != "trades":
        engine.out.append(("gaps", ledger.shed(instrument, gap, now)))
        if kind == Kind.SHED and gap.feed == "book":
            engine.feeds.books.empty(i)
    elif kind == Kind.GAP_OPEN:
        engine.resequencer.gap_opened(i, gap.reason, gap.from_id, gap.to_id, now)
    else:
        engine.admit(engine.resequencer.gap_closed(i, gap.status, gap.from_id, gap.to_id, now))
