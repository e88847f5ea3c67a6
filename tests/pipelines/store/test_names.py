"""Times and symbols as people type them."""

from __future__ import annotations

import datetime as dt

import pytest

from pipelines.store import LakeError
from pipelines.store.names import Known, bounds, check_venue, resolve

LAKE = {
    Known("binance-spot", "BTC-USDT", "BTCUSDT"),
    Known("binance-usdm", "BTC-USDT-PERP", "BTCUSDT"),
    Known("binance-spot", "ETH-USDT", "ETHUSDT"),
    Known("okx", "BTC-USDT", "BTC-USDT"),
    Known("okx", "SOL-USDT-PERP"),
}


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]  # a time from its parts


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2024-07-19", utc(2024, 7, 19)),
        (dt.date(2024, 7, 19), utc(2024, 7, 19)),
        ("2024-07-19T06:30", utc(2024, 7, 19, 6, 30)),
        ("2024-07-19 06:30:00.123456", utc(2024, 7, 19, 6, 30, 0, 123456)),
        ("2024-07-19T06:30:00Z", utc(2024, 7, 19, 6, 30)),
        ("2024-07-19T06:30:00-04:00", utc(2024, 7, 19, 10, 30)),
        (dt.datetime(2024, 7, 19, 6, 30), utc(2024, 7, 19, 6, 30)),  # noqa: DTZ001  # a time without a zone is the case
        (None, None),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(typed: str | dt.date | None, meant: dt.datetime | None) -> None:
    assert bounds(typed, None) == (meant, None)
    assert bounds(None, typed) == (None, meant)


def test_a_date_alone_is_that_day() -> None:
    assert bounds("2024-07-19", "2024-07-19") == (utc(2024, 7, 19), utc(2024, 7, 20))
    assert bounds("2024-07-19", "2024-07-20") == (utc(2024, 7, 19), utc(2024, 7, 20))
    assert bounds("2024-07-19T00:00", "2024-07-19") == (utc(2024, 7, 19), utc(2024, 7, 19)), "a time is a time: nothing"


def test_a_wrong_time_says_what_a_right_one_is() -> None:
    with pytest.raises(LakeError, match=r"start: '19\.7\.2024' is no time; use 2024-07-19"):
        bounds("19.7.2024", None)
    with pytest.raises(LakeError, match=r"end .* lies before start"):
        bounds("2024-07-19", "2024-07-18")
    for start, end in (("9999-12-31", "9999-12-31"), ("0001-01-01T00:00+05:00", None)):
        with pytest.raises(LakeError, match="no time before the year 1 or after 9999"):
            bounds(start, end)


@pytest.mark.parametrize(
    ("symbol", "venue", "found"),
    [
        ("ETH-USDT", None, ("binance-spot", "ETH-USDT")),
        ("eth-usdt", None, ("binance-spot", "ETH-USDT")),
        ("ETHUSDT", None, ("binance-spot", "ETH-USDT")),
        ("BTCUSDT", "binance-usdm", ("binance-usdm", "BTC-USDT-PERP")),
        ("BTCUSDT", "binance-spot", ("binance-spot", "BTC-USDT")),
        ("BTC-USDT", "okx", ("okx", "BTC-USDT")),
        ("SOLUSDT", None, ("okx", "SOL-USDT-PERP")),
    ],
)
def test_symbols_are_found_by_either_name(symbol: str, venue: str | None, found: tuple[str, str]) -> None:
    assert resolve(symbol, venue, LAKE)[:2] == found


def test_several_venues_are_named() -> None:
    with pytest.raises(LakeError, match="BTC-USDT on binance-spot, BTC-USDT on okx: give venue"):
        resolve("BTC-USDT", None, LAKE)
    with pytest.raises(LakeError, match="BTC-USDT on binance-spot, BTC-USDT-PERP on binance-usdm, BTC-USDT on okx"):
        resolve("BTCUSDT", None, LAKE)


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(LakeError, match=r"unknown symbol 'ETH-USD'; did you mean ETH-USDT \(binance-spot\)"):
        resolve("ETH-USD", None, LAKE)
    with pytest.raises(LakeError, match="unknown symbol 'SOL-USDT' on okx; did you mean SOL-USDT-PERP"):
        resolve("SOL-USDT", "okx", LAKE)
    with pytest.raises(LakeError, match="unknown symbol 'XXXXXXX'; this lake has BTC-USDT, BTC-USDT-PERP, ETH-USDT"):
        resolve("XXXXXXX", None, LAKE)
    with pytest.raises(LakeError, match="no venue 'binance-sport' in this lake; did you mean binance-spot"):
        check_venue("binance-sport", LAKE)
    with pytest.raises(LakeError, match="no venue 'nyse' in this lake; it has binance-spot, binance-usdm, okx"):
        resolve("BTC-USDT", "nyse", LAKE)
