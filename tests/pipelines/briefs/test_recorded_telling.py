"""A recorded day as a desk would have heard of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pipelines.brief_settings import Briefs
from pipelines.briefs.episodes import MINUTE_US
from pipelines.briefs.message import Message
from pipelines.briefs.telling import Telling
from pipelines.instants import us
from pipelines.settings import Kernels
from tests.pipelines.test_recorded_signals import tables

pytestmark = pytest.mark.real


def heard(alerts: list[dict[str, Any]]) -> list[Message]:
    """Play alerts minute by minute, as the sender would have seen them."""
    by_minute: dict[int, list[dict[str, Any]]] = {}
    for alert in alerts:
        by_minute.setdefault(us(alert["end"]) // MINUTE_US, []).append({**alert, "origin": "live"})
    mine = Telling(Briefs(), {}, lambda _: "unscored")
    minutes = range(min(by_minute), max(by_minute) + 1500)
    return [message for minute in minutes for message in mine.messages(by_minute.get(minute, []), (minute + 1) * MINUTE_US)]


def test_the_day_of_the_xrp_cascade_sends_at_most_three_messages_and_the_cascade_is_one_thread() -> None:
    found = tables("trades/freqtrade_XRP_OLD-trades.json.gz", Kernels(bucket_volume="1500"))["alerts"].to_pylist()
    messages = heard(found)
    day = [m for m in messages if dt.datetime.fromtimestamp(m.made_us / 1e6, dt.UTC).date() == dt.date(2019, 10, 12)]
    assert 0 < len(day) <= 3
    about = [m for m in day if us(dt.datetime(2019, 10, 12, 18, 30, tzinfo=dt.UTC)) < m.made_us]
    assert len({m.episode for m in about}) == 1
    assert "cascade-like" in about[0].head
    assert len(found) > 100, "the day alerts far more often than it is told"
