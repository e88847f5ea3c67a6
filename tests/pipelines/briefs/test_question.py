"""What a question names: instruments, times in the desk's zone, topics; and what it does not."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs.question import LONGEST, TOPICS, Question, read
from pipelines.briefs.times import WIDEST, window

UTC = ZoneInfo("UTC")
AT = dt.datetime(2026, 11, 20, 15, 30, tzinfo=dt.UTC)  # a Friday
KNOWN = [("demo", "BTC-USDT"), ("demo", "ETH-USDT"), ("okx", "SOL-USDT"), ("okx", "BTC-USDT"), ("okx", "XRP-USDT-PERP")]


def asked(text: str) -> Question:
    return read(text, AT, UTC, KNOWN)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("why did VPIN rise on BTC last night?", "11-19 20:00", "11-20 06:00"),
        ("today", "11-20 00:00", "11-20 15:30"),
        ("yesterday", "11-19 00:00", "11-20 00:00"),
        ("this morning", "11-20 06:00", "11-20 12:00"),
        ("yesterday morning", "11-19 06:00", "11-19 12:00"),
        ("yesterday evening", "11-19 18:00", "11-20 00:00"),
        ("this afternoon", "11-20 12:00", "11-20 15:30"),
        ("last 4 hours", "11-20 11:30", "11-20 15:30"),
        ("the past hour", "11-20 14:30", "11-20 15:30"),
        ("last thirty", "11-19 15:30", "11-20 15:30"),
        ("past 90 minutes", "11-20 14:00", "11-20 15:30"),
        ("last two days", "11-18 15:30", "11-20 15:30"),
        ("last week", "11-13 15:30", "11-20 15:30"),
        ("since 12:00", "11-20 12:00", "11-20 15:30"),
        ("at 14:30", "11-20 14:00", "11-20 15:00"),
        ("between 14:00 and 15:00", "11-20 14:00", "11-20 15:00"),
        ("yesterday between 23:00 and 01:00", "11-19 23:00", "11-20 01:00"),
        ("from 9:15 to 9:45", "11-20 09:15", "11-20 09:45"),
        ("on 2026-11-18", "11-18 00:00", "11-19 00:00"),
        ("2026-11-18 at 14:30", "11-18 14:00", "11-18 15:00"),
        ("on 18 November", "11-18 00:00", "11-19 00:00"),
        ("on November 18th, 2026", "11-18 00:00", "11-19 00:00"),
        ("on Wednesday", "11-18 00:00", "11-19 00:00"),
        ("last Friday evening", "11-13 18:00", "11-14 00:00"),
        ("BTC, please", "11-19 15:30", "11-20 15:30"),  # no time: the day before
        ("last 0 hours", "11-19 15:30", "11-20 15:30"),  # no time
        ("at 25:99", "11-19 15:30", "11-20 15:30"),
        ("last twelve hours", "11-20 03:30", "11-20 15:30"),
        ("the last half hour", "11-20 15:00", "11-20 15:30"),
        ("last half an hour", "11-20 15:00", "11-20 15:30"),
        ("2 hours ago", "11-20 13:00", "11-20 14:00"),  # half an hour around it, as at a time
        ("3 days ago", "11-17 00:00", "11-18 00:00"),
        ("since 9am", "11-20 09:00", "11-20 15:30"),
        ("since 9 am", "11-20 09:00", "11-20 15:30"),
        ("at 12am", "11-19 23:30", "11-20 00:30"),
        ("at 3pm yesterday", "11-19 14:30", "11-19 15:30"),
        ("noon", "11-20 11:30", "11-20 12:30"),
        ("between 1 and 2pm", "11-20 13:00", "11-20 14:00"),
        ("13:00-14:00", "11-20 13:00", "11-20 14:00"),
        ("yesterday between 23:00 and 24:00", "11-19 23:00", "11-20 00:00"),
        ("since 22:00", "11-19 22:00", "11-20 15:30"),  # today's lie ahead: the last ones that have begun
        ("at 23:30", "11-19 23:00", "11-20 00:00"),
        ("from 16:00 to 17:00", "11-19 16:00", "11-19 17:00"),
        ("this week", "11-16 00:00", "11-20 15:30"),
        ("this month", "11-01 00:00", "11-20 15:30"),
        ("since yesterday", "11-19 00:00", "11-20 15:30"),
        ("since Monday", "11-16 00:00", "11-20 15:30"),
        ("since last night", "11-19 20:00", "11-20 15:30"),
        ("since yesterday 14:00", "11-19 14:00", "11-20 15:30"),
        ("after 14:00 yesterday", "11-19 14:00", "11-20 00:00"),
        ("the day before yesterday", "11-18 00:00", "11-19 00:00"),
        ("overnight", "11-19 20:00", "11-20 06:00"),
        ("last weekend", "11-14 00:00", "11-16 00:00"),
        ("2026-11-18T14:30Z", "11-18 14:00", "11-18 15:00"),
        ("2026-11-18 to 2026-11-19", "11-18 00:00", "11-20 00:00"),
        ("between 2026-11-18 12:00 and 2026-11-19 06:00", "11-18 12:00", "11-19 06:00"),
        ("on 18 Nov 2026", "11-18 00:00", "11-19 00:00"),
        ("on the 18th of November", "11-18 00:00", "11-19 00:00"),
        ("tonight", "11-19 15:30", "11-20 15:30"),  # it has not begun
        ("2026-13-45", "11-19 15:30", "11-20 15:30"),  # no date
    ],
)
def test_times(text: str, start: str, end: str) -> None:
    found = window(text, AT, UTC)
    assert (f"{found.start:%m-%d %H:%M}", f"{found.end:%m-%d %H:%M}") == (start, end)


def test_a_day_before_this_year_is_meant_where_this_year_has_it_not_yet() -> None:
    assert window("on 12 December", AT, UTC).start == dt.datetime(2025, 12, 12, tzinfo=dt.UTC)
    assert window("on 12 October 2019", AT, UTC).start == dt.datetime(2019, 10, 12, tzinfo=dt.UTC)


def test_the_29th_of_february_of_a_year_before_is_no_date() -> None:
    at = dt.datetime(2028, 1, 10, tzinfo=dt.UTC)
    assert window("on 29 February", at, UTC).words == "29 february is no date, the day before"
    assert window("on 29 February 2024", at, UTC).start == dt.datetime(2024, 2, 29, tzinfo=dt.UTC)


def test_a_time_that_is_none_or_lies_ahead_is_told_so() -> None:
    assert window("tonight", AT, UTC).words == "tonight lies ahead, the day before"
    assert window("tomorrow at 9:00", AT, UTC).words == "tomorrow at 9:00 lies ahead, the day before"
    assert window("on 31 February 2026", AT, UTC).words == "31 february 2026 is no date, the day before"
    assert window("since 22:00", AT, UTC).words == "since 22:00 yesterday"
    wide = window("last 90 days", AT, UTC)
    assert (wide.end - wide.start, wide.words) == (WIDEST, "last 90 days, of it the last 31 days")
    assert window("hello", AT, UTC).words == ""


def test_hours_are_those_of_the_desk() -> None:
    found = window("last night", AT, ZoneInfo("America/New_York"))  # 10:30 there
    assert (found.start.hour, found.end.hour, found.start.tzinfo) == (1, 11, dt.UTC)
    # The clocks go back in the night to 2026-10-25 in Berlin: it has 11 hours.
    night = window("last night", dt.datetime(2026, 10, 25, 12, tzinfo=dt.UTC), ZoneInfo("Europe/Berlin"))
    assert night.end - night.start == dt.timedelta(hours=11)


def test_hours_in_utc_are_those_of_utc_whatever_the_desk_is() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert window("at 12:00", AT, berlin).start.hour == 10
    for text in ("at 12:00 UTC", "at 12:00Z", "at noon UTC", "2026-11-20T12:00:00Z"):
        assert (window(text, AT, berlin).start, window(text, AT, berlin).end.minute) == (AT.replace(hour=11), 30), text
    late = AT.replace(hour=23, minute=30)  # the 21st in Berlin
    assert window("today UTC", late, berlin).start == AT.replace(hour=0, minute=0)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("yesterday 14:00-15:30 CET", "11-19 13:00", "11-19 14:30"),
        ("between 9:30 and 10:00 EST", "11-20 14:30", "11-20 15:00"),
        ("from 3pm to 4pm cet", "11-20 14:00", "11-20 15:00"),
        ("on 2026-11-18 at 00:30 JST", "11-17 15:00", "11-17 16:00"),
    ],
)
def test_hours_in_a_named_zone_are_its_own_and_the_zone_is_no_symbol(text: str, start: str, end: str) -> None:
    found = asked(f"BTC {text}")
    assert (f"{found.window.start:%m-%d %H:%M}", f"{found.window.end:%m-%d %H:%M}") == (start, end)
    assert found.unknown == ()


def test_a_zone_that_no_time_stands_before_is_a_symbol() -> None:
    assert asked("GMT price").unknown == ("GMT: there are BTC, ETH, SOL, XRP",)


@pytest.mark.parametrize("at", [dt.datetime(2026, 3, 29, 3, tzinfo=dt.UTC), dt.datetime(2026, 10, 25, 4, tzinfo=dt.UTC)])
def test_an_hour_is_one_on_a_day_on_which_clocks_change(at: dt.datetime) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for text, hours in (("last 4 hours", 4), ("at 02:30", 1), ("2 hours ago", 1)):
        found = window(text, at, berlin)
        assert found.end - found.start == dt.timedelta(hours=hours), text
    skipped = window("between 02:00 and 03:00", dt.datetime(2026, 3, 29, 3, tzinfo=dt.UTC), berlin)
    assert skipped.words == "between 02:00 and 03:00 holds no time, the day before"


def test_in_the_night_last_night_is_this_one() -> None:
    found = window("last night", AT.replace(hour=2), UTC)
    assert (found.start.day, found.start.hour, found.end) == (19, 20, AT.replace(hour=2))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BTC", [("demo", "BTC-USDT"), ("okx", "BTC-USDT")]),
        ("btc on okx", [("demo", "BTC-USDT"), ("okx", "BTC-USDT")]),
        ("BTC on okx", [("okx", "BTC-USDT")]),
        ("BTC-USDT okx and ether", [("okx", "BTC-USDT"), ("demo", "ETH-USDT")]),
        ("ethusdt", [("demo", "ETH-USDT")]),
        ("XRPUSDT", [("okx", "XRP-USDT-PERP")]),
        ("WHY DID SOL FALL LAST NIGHT", [("okx", "SOL-USDT")]),
        ("ripple on 2026-11-18", [("okx", "XRP-USDT-PERP")]),  # a word, too, so that headlines must write it with a capital
        ("what is the solution", []),
    ],
)
def test_instruments(text: str, found: list[tuple[str, str]]) -> None:
    assert list(asked(text).instruments) == found
    assert asked(text).unknown == ()


def test_what_the_lake_has_not_is_told_with_what_may_be_meant() -> None:
    assert asked("VPIN of BTX this morning").unknown == ("BTX: did you mean BTC?",)
    assert asked("dogecoin").unknown == ("dogecoin: there are BTC, ETH, SOL, XRP",)
    assert asked("MATIC").unknown == ("MATIC: there are BTC, ETH, SOL, XRP",)
    assert asked("btc-usd today").unknown == ("btc-usd: did you mean BTC-USDT?",)
    assert asked("BTC/USDT").unknown == ()
    assert asked("BTC-USTD").unknown == ("BTC-USTD: did you mean BTC-USDT?",)


def test_an_exchange_of_which_the_lake_has_nothing_is_told() -> None:
    assert asked("BTC price on Kraken").unknown == ("kraken: there is demo, okx",)
    assert asked("binance or bybit?").unknown == ("binance: there is demo, okx", "bybit: there is demo, okx")
    assert asked("BTC on okx, and in the demo").unknown == ()


def test_topics() -> None:
    assert asked("why did VPIN rise on BTC").topics == ("vpin",)
    assert asked("why did BTC fall").topics == ("price",)
    assert asked("spread and gaps of SOL").topics == ("spread", "gaps")
    assert asked("what happened to SOL").topics == ()
    for topic, words in TOPICS.items():
        assert topic in asked(f"tell me of {words[0]}").topics


PIECES = (
    "since",
    "ago",
    "2pm",
    "to",
    "2026-02-28",
    "12:30",
    "utc",
    "weekend",
    "midnight",
    "29",
    "half",
    "last",
    "9999",
    "week",
    "BTC",
    "at",
    "99:99",
    "2026-02-31",
    "0000-00-00",
    "on",
    "31",
    "february",
    "night",
    "yesterday",
)


@settings(max_examples=150)
@given(st.text(max_size=LONGEST) | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_no_text_makes_it_fail_and_no_window_lies_ahead(text: str) -> None:
    found = read(text, AT, ZoneInfo("Europe/Berlin"), KNOWN)
    assert found.window.start < found.window.end <= AT
    assert found.window.end - found.window.start <= WIDEST
