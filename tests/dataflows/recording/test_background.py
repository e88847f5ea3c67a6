"""Average volumes that thresholds are made from."""

from __future__ import annotations

import datetime as dt
import json

from dataflows.recording.background import reference
from pipelines.venues import venue

DAY_MS = 86_400_000


def days(*numbers: int) -> bytes:
    """Return candles of days counted from 1970, each with its number as volume and twice that as notional."""
    return json.dumps(
        [[n * DAY_MS, "1", "1", "1", "1", str(n), (n + 1) * DAY_MS - 1, str(2 * n), 1, "0", "0", "0"] for n in numbers]
    ).encode()


def date(number: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(number)


def test_the_mean_is_over_the_last_thirty_complete_dates() -> None:
    told = reference(venue("demo"), "BTCUSDT", date(20_040), date(20_040), days(*range(20_000, 20_041)))
    assert told is not None
    assert (told.adv, told.adv_notional, told.days) == (20_024.5, 40_049.0, 30)
    assert (told.date, told.last) == (date(20_040).isoformat(), date(20_039).isoformat())


def test_on_the_eve_the_date_that_is_not_over_does_not_count() -> None:
    told = reference(venue("demo"), "BTCUSDT", date(20_011), date(20_010), days(20_009, 20_010))
    assert told is not None
    assert (told.adv, told.days, told.last) == (20_009.0, 1, date(20_009).isoformat())


def test_without_a_complete_date_there_is_none() -> None:
    assert reference(venue("demo"), "BTCUSDT", date(20_010), date(20_010), days(20_010)) is None
    assert reference(venue("demo"), "BTCUSDT", date(20_010), date(20_010), b"[]") is None


def test_where_the_venue_does_not_say_the_notional_is_volume_at_the_middle_of_the_range() -> None:
    candles = json.dumps([[20_009 * DAY_MS // 1000, 1, 3, 2, 2, 10]]).encode()  # time, low, high, open, close, volume
    told = reference(venue("coinbase"), "BTC-USD", date(20_010), date(20_010), candles)
    assert told is not None
    assert (told.adv, told.adv_notional) == (10.0, 20.0)
