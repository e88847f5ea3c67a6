"""What must hold of every venue; one that is added to `VENUES` is held to it, and adds its frames to `FORMS`."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest

from pipelines import settings
from pipelines.market import Instrument
from pipelines.venues import VENUES
from pipelines.venues.venue import Stream, Venue
from tests.conftest import SHARED
from tests.pipelines.venues import (
    test_binance_mutations,
    test_bybit_frames,
    test_coinbase,
    test_coinbase_advanced,
    test_kraken,
    test_okx_frames,
)
from tests.pipelines.venues.mutations import check, endure, mutated

STAND_IN = "http://127.0.0.1:8765"
GARBAGE = (
    *(b"", b"garbage", b"null", b"[]", b"{}", b"[1,", b"\xff\xfe", b'"x"', b"1e308", b"[" * 20_000, b"{}{}", b"pong", b"ping"),
    *(b'{"type":"match"}', b'{"channel":"trade"}', b'{"topic":"x"}', b'{"arg":{"channel":"trades"},"data":[{}]}'),
)
FORMS = {
    **dict.fromkeys(("binance-spot", "binance-usdm", "demo"), test_binance_mutations.FORMS),
    "binance-coinm": [form.replace(b'"st":1', b'"st":2') for form in test_binance_mutations.FORMS],
    **dict.fromkeys(("bybit-spot", "bybit-linear", "bybit-inverse"), test_bybit_frames.FORMS),
    "coinbase": test_coinbase.FORMS,
    "coinbase-advanced": test_coinbase_advanced.FORMS,
    "kraken": test_kraken.FORMS,
    "okx": test_okx_frames.FRAMES,
}
"""A frame of each form that a venue sends."""
FIGURE = re.compile(rb"(?<![\d:.-])\d+\.\d+(?![\dZ])")
SPARE = re.compile(rb'markPriceUpdate|"z":"-?0"')
OPEN = {name: venue for name, venue in VENUES.items() if venue.rules.feeds}
"""Those that can be recorded; of FTX there are only files."""
each = pytest.mark.parametrize("venue", OPEN.values(), ids=list(OPEN))


def instruments(venue: Venue) -> list[Instrument]:
    """Those of the usual names that the venue has."""
    found = []
    for text in ("BTC-USDT", "BTC-USDT-PERP", "BTC-USD-PERP", "BTC-USD"):
        with suppress(ValueError):
            found.append(venue.guess(text))
    return found


def an_instrument(venue: Venue) -> Instrument:
    return instruments(venue)[0]


@each
def test_its_name_is_known_to_the_settings(venue: Venue) -> None:
    assert VENUES[venue.name] is venue
    assert venue.name in settings.VENUES


@each
def test_its_rules_can_be_kept(venue: Venue) -> None:
    rules = venue.rules
    assert "trades" in rules.feeds
    assert rules.verified <= rules.feeds
    assert rules.messages_per_second > 0
    assert min(rules.weight_window) > 0
    assert min(rules.connects) > 0
    assert rules.page > 0


@each
def test_every_feed_has_a_route_that_a_stand_in_can_take_over(venue: Venue) -> None:
    usual = instruments(venue)
    for feed in venue.rules.feeds:
        routes = venue.routes(usual, [feed], STAND_IN)
        assert feed in {carried for route in routes for carried in route.feeds}
        assert all(route.url.startswith("ws://127.0.0.1:8765") for route in routes)
        assert {s for route in routes for s in route.symbols} <= {i.native for i in usual}
    real = venue.routes(usual, venue.rules.feeds)
    assert len({route.name for route in real}) == len(real)
    assert all(isinstance(json.loads(message), dict) for route in real for message in route.subscribe)
    with pytest.raises(ValueError, match="use a URL like"):
        venue.routes(usual, ["trades"], "localhost")


@each
def test_a_book_comes_from_somewhere(venue: Venue) -> None:
    native = an_instrument(venue).native
    if "book" in venue.rules.feeds:
        assert bool(venue.book_request(native)) != bool(venue.resubscribe(Stream("book", native)))


@each
def test_requests_stand_under_the_venues_own_url(venue: Venue) -> None:
    native = an_instrument(venue).native
    asked = [venue.time_request(), *venue.instruments_requests(), venue.klines_request(native, "1d"), venue.book_request(native)]
    asked += [venue.klines_request(native, "1m"), venue.repair_request(native, 5, 9), venue.repair_request(native, 5, None)]
    for request in [*asked, venue.funding_request(native)]:
        if request is not None:
            assert request.path.startswith("/")
            assert 0 < request.weight <= venue.rules.weight_window[0] / 2  # what a budget holds
            assert all(isinstance(value, str) for value in request.params.values())


@each
def test_no_garbage_raises_or_disappears(venue: Venue) -> None:
    check(venue, GARBAGE)


@each
def test_its_forms_hold_each_of_its_feeds(venue: Venue) -> None:
    """Else frames of that feed would not be damaged."""
    decoded = venue.decode(FORMS[venue.name], venue.rules.tape)
    found = {"trades": decoded.rows.size, "quotes": decoded.quotes.size, "book": len(decoded.depths)}
    found |= {"liquidations": len(decoded.liquidations), "funding": len(decoded.fundings)}
    assert all(found[feed] for feed in venue.rules.feeds)


@each
def test_damaged_data_is_ignored_only_where_nothing_is_left_of_it(venue: Venue) -> None:
    """Else it would disappear. A forced order may have filled nothing, and nobody asks for marks of all symbols."""
    whole = venue.decode(FORMS[venue.name], venue.rules.tape)
    refused = {fault.frame for fault in whole.faults}
    data = [
        form
        for k, form in enumerate(FORMS[venue.name])
        if k not in refused and not venue.decode([form], venue.rules.tape).ignored
    ]
    figures = set(FIGURE.findall(b" ".join(data)))
    for frame in mutated(data, 4_000, seed=3):
        left = [figure for figure in FIGURE.findall(frame) if figure in figures]
        if len(left) > 1 and not SPARE.search(frame):
            assert venue.decode([frame], venue.rules.tape).ignored == 0, frame[:500]


@pytest.mark.soak
@each
def test_a_million_mutated_frames_are_all_accounted_for(venue: Venue) -> None:
    outcome = endure(venue, FORMS[venue.name], 1_000_000, 1)
    outcome += endure(venue, FORMS[venue.name], 100_000, 2, "fill" if venue.rules.tape == "agg" else "agg")
    assert min(outcome["rows"], outcome["depths"], outcome["faults"], outcome["ignored"]) > 10_000


@each
@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_no_answer_raises_but_as_documented(venue: Venue, body: bytes) -> None:
    native = an_instrument(venue).native
    assert venue.decode_rest(body, native).rows.size == 0
    (request, *_) = venue.instruments_requests()
    venue.next_page(request, body)
    venue.parse_error(body)
    for parse in (venue.parse_time, venue.parse_instruments, venue.parse_klines):
        with suppress(ValueError):
            parse(body)


DOCUMENTED = {
    "binance-spot": "binance_spot",
    **dict.fromkeys(("binance-usdm", "binance-coinm", "demo"), "binance_um"),
    **dict.fromkeys(("bybit-spot", "bybit-linear", "bybit-inverse"), "bybit"),
    "coinbase": "coinbase_exchange",
    "coinbase-advanced": "coinbase_advanced",
    "kraken": "kraken",
    "okx": "okx",
}
"""Where answers of a venue stand."""


@pytest.mark.real
@each
def test_no_damaged_answer_raises_but_as_documented(venue: Venue) -> None:
    native = an_instrument(venue).native
    lines = [json.loads(line) for line in (SHARED / "frames" / f"{DOCUMENTED[venue.name]}.jsonl").read_text().splitlines()]
    answers = [json.dumps(line["frame"]).encode() for line in lines if line["channel"].startswith("rest.")]
    (request, *_) = venue.instruments_requests()
    for body in mutated(answers, 4_000, seed=5):
        for decode in (venue.decode_rest, venue.decode_book, venue.decode_funding):
            decode(body, native)
        venue.next_page(request, body)
        venue.parse_error(body)
        for parse in (venue.parse_time, venue.parse_instruments, venue.parse_klines):
            with suppress(ValueError):
                parse(body)


@each
def test_a_name_is_told_in_either_spelling(venue: Venue) -> None:
    instrument = an_instrument(venue)
    assert instrument.venue == venue.name
    assert venue.guess(instrument.native) == venue.guess(instrument.symbol) == instrument
    with pytest.raises(ValueError, match=r"."):
        venue.guess("?")
