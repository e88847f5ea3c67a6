"""What a question names: instruments, times in the desk's zone, topics; and what it does not."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs.question import LONGEST, TOPICS, WIDEST, Question, read, window

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


def test_a_time_that_lies_ahead_is_told_so() -> None:
    assert window("tonight", AT, UTC).words == "tonight lies ahead, the day before"
    assert window("hello", AT, UTC).words == ""


def test_hours_are_those_of_the_desk() -> None:
    found = window("last night", AT, ZoneInfo("America/New_York"))  # 10:30 there
    assert (found.start.hour, found.end.hour, found.start.tzinfo) == (1, 11, dt.UTC)
    # The clocks go back in the night to 2026-10-25 in Berlin: it has 11 hours.
    night = window("last night", dt.datetime(2026, 10, 25, 12, tzinfo=dt.UTC), ZoneInfo("Europe/Berlin"))
    assert night.end - night.start == dt.timedelta(hours=11)


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
    assert asked("BTC-USTD").unknown == ("BTC-USTD: did you mean BTC-USDT?",)


def test_topics() -> None:
    assert asked("why did VPIN rise on BTC").topics == ("vpin",)
    assert asked("why did BTC fall").topics == ("price",)
    assert asked("spread and gaps of SOL").topics == ("spread", "gaps")
    assert asked("what happened to SOL").topics == ()
    for topic, words in TOPICS.items():
        assert topic in asked(f"tell me of {words[0]}").topics


PIECES = ("last", "9999", "week", "BTC", "at", "99:99", "2026-02-31", "0000-00-00", "on", "31", "february", "night", "yesterday")


@settings(max_examples=150)
@given(st.text(max_size=LONGEST) | st.lists(st.sampled_from(PIECES)).map(" ".join))
def test_no_text_makes_it_fail_and_no_window_lies_ahead(text: str) -> None:
    found = read(text, AT, ZoneInfo("Europe/Berlin"), KNOWN)
    assert found.window.start < found.window.end <= AT
    assert found.window.end - found.window.start <= WIDEST
