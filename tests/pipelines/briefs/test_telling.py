from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.brief_settings import Briefs, Elevated, Slack
from pipelines.briefs.message import Message
from pipelines.briefs.telling import Telling

DAY = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
MINUTE = 60_000_000


def us(minutes: float) -> int:
    return int((DAY.timestamp() + minutes * 60) * 1e6)


def alert(minute: float, detector: str = "cascade_proxy", severity: int = 3, **other: Any) -> dict[str, Any]:
    end = DAY + dt.timedelta(minutes=minute)
    row = {
        "alert_id": f"{detector}-{minute}-{other.get('symbol', '')}",
        "venue": "demo",
        "symbol": "BTC-USDT",
        "ts": end - dt.timedelta(minutes=1),
        "end": end,
        "source": "detector",
        "detector": detector,
        "version": 1,
        "severity": severity,
        "score": 5.0,
        "threshold": 4.0,
        "label": f"{detector} was found",
        "details": "{}",
        "origin": "live",
    }
    return row | other


def telling(state: dict[str, Any] | None = None, **said: Any) -> Telling:
    return Telling(Briefs(**said), state or {}, lambda _: "unscored")


def told(*alerts: dict[str, Any], now: float | None = None, **said: Any) -> list[Message]:
    last = max(one["end"] for one in alerts)
    return telling(**said).messages(alerts, int(last.timestamp() * 1e6) if now is None else us(now))


def test_a_severe_alert_of_a_kind_that_stands_alone_is_told() -> None:
    (message,) = told(alert(600.5))
    assert message.head.splitlines() == [
        "BTC-USDT demo: severe",
        "2026-11-02 10:00:30 UTC cascade_proxy was found",
        "  cascade_proxy 5 against 4; precision: unscored; alert cascade_prox",
    ]
    assert message.episode == message.id or message.episode
    assert message.made_us == us(600.5)


def test_a_measure_far_out_waits_for_another_kind() -> None:
    assert told(alert(600, "rvol_spike")) == []
    assert told(alert(600, "rvol_spike"), alert(601, "volume_surge")) == []  # the same kind
    assert told(alert(600, "rvol_spike"), alert(601, "new_trend", 1)) == []  # too weak
    assert told(alert(600, "rvol_spike", 2), alert(601, "new_trend", 2)) == []  # none severe
    assert told(alert(600, "rvol_spike"), alert(606, "new_trend", 2)) == []  # too late
    (message,) = told(alert(600, "rvol_spike"), alert(605, "new_trend", 2))
    assert [line for line in message.head.splitlines() if "found" in line] == [
        "2026-11-02 10:00:00 UTC rvol_spike was found",
        "2026-11-02 10:05:00 UTC new_trend was found",
    ]


def test_the_pair_is_found_over_two_calls_and_a_restart() -> None:
    first = telling()
    assert first.messages([alert(600, "rvol_spike")], us(600)) == []
    again = telling(first.state())
    assert len(again.messages([alert(602, "new_trend", 2)], us(602))) == 1


def test_other_instruments_bear_nothing_out() -> None:
    assert told(alert(600, "rvol_spike"), alert(600, "new_trend", symbol="ETH-USDT")) == []


def test_extreme_vpin_and_rules_and_postures_and_severity_alone() -> None:
    assert told(alert(600, "vpin_high", 1, score=0.98)) == []
    assert len(told(alert(600, "vpin_high", 1, score=0.99))) == 1
    assert len(told(alert(600, "mine", source="rule"))) == 1
    assert told(alert(600, "new_trend", 1)) == []
    assert len(told(alert(600, "new_trend", 1), elevated=Elevated(posture=True))) == 1
    assert len(told(alert(600, "rvol_spike"), elevated=Elevated(confirm_min=0))) == 1


def test_history_is_never_told() -> None:
    assert told(alert(600, origin="history")) == []


def test_verbose_tells_every_alert() -> None:
    assert len(told(alert(600, "trend_end", 1), slack=Slack(mode="verbose"))) == 1


def test_an_episode_is_one_thread_and_tells_news_after_the_cooldown() -> None:
    mine = telling()
    (root,) = mine.messages([alert(600)], us(600))
    assert mine.messages([alert(601), alert(602, "vpin_high", 2)], us(602)) == []
    assert mine.messages([], us(614)) == []
    (update,) = mine.messages([], us(615))
    assert update.episode == root.episode
    assert update.head.splitlines()[0] == "BTC-USDT demo: goes on, 3 elevated alerts since 2026-11-02 10:00:00 UTC. New:"
    assert "vpin_high was found" in update.head
    assert mine.messages([alert(620)], us(700)) == []  # nothing new in it
    (next_root,) = mine.messages([alert(651)], us(700))  # over half an hour after the last
    assert next_root.episode != root.episode


def test_a_cascade_in_an_open_episode_is_told_at_once_and_takes_along_what_waited() -> None:
    mine = telling()
    (root,) = mine.messages([alert(599, "new_trend", 2), alert(600, "rvol_spike")], us(600))
    assert mine.messages([alert(601, "vpin_high", 2)], us(601)) == []
    assert mine.messages([alert(602, "cascade_proxy", 2)], us(602)) == [], "not severe"
    (update,) = mine.messages([alert(603, "liquidation_spike")], us(603))
    assert update.episode == root.episode
    assert [line.split()[3] for line in update.head.splitlines() if "found" in line] == [
        "vpin_high",
        "cascade_proxy",
        "liquidation_spike",
    ]
    assert mine.messages([alert(604, "liquidation_spike")], us(604)) == [], "told already"
    assert mine.messages([alert(605, "spread_blowout")], us(605)) == [], "as severe as what was told"
    assert len(mine.messages([], us(618))) == 1


def test_a_higher_severity_in_an_open_episode_is_told_at_once() -> None:
    mine = telling()
    assert len(mine.messages([alert(600, "vpin_high", 2, score=0.995)], us(600))) == 1
    (update,) = mine.messages([alert(601, "rvol_spike")], us(601))
    assert "rvol_spike was found" in update.head
    assert mine.messages([alert(602, "spread_blowout")], us(602)) == []


def test_what_is_worse_counts_against_the_days_number_and_waits_for_the_end_of_quiet_hours_unless_severe() -> None:
    spent = telling(a_day=1)
    spent.messages([alert(600)], us(600))
    assert spent.messages([alert(601, "liquidation_spike")], us(601)) == []
    assert [one["detector"] for one in spent.state()["held"]] == ["liquidation_spike"]
    quiet = telling(quiet=(22, 6), elevated=Elevated(severity=2))
    quiet.messages([alert(21 * 60 + 50)], us(21 * 60 + 50))
    assert quiet.messages([alert(22 * 60 + 1, "liquidation_spike", 2)], us(22 * 60 + 1)) == []
    assert [one["detector"] for one in quiet.state()["held"]] == ["liquidation_spike"]


def test_an_alert_stored_late_belongs_to_the_episode_it_fell_into() -> None:
    mine = telling()
    mine.messages([alert(600)], us(600))
    assert mine.messages([alert(599)], us(601)) == []


def test_past_the_days_number_alerts_come_in_one_digest_on_the_next_day() -> None:
    mine = telling(a_day=2)
    sent = [mine.messages([alert(60.0 * hour)], us(60.0 * hour)) for hour in range(1, 6)]
    assert [len(each) for each in sent] == [1, 1, 0, 0, 0]
    assert mine.messages([], us(23 * 60)) == []
    (digest,) = mine.messages([], us(24 * 60))
    assert digest.head.splitlines() == [
        "3 elevated alerts held back by the day's number of messages, 2026-11-02 03:00 to 2026-11-02 05:00 UTC",
        "BTC-USDT demo: cascade_proxy 3; highest severity 3",
    ]
    assert mine.messages([], us(24 * 60 + 1)) == []
    assert len(mine.messages([alert(25 * 60)], us(25 * 60))) == 1


def test_quiet_hours_hold_back_all_but_the_severe_and_end_with_a_digest() -> None:
    mine = telling(quiet=(22, 6), time_zone="Europe/Berlin")  # an hour ahead in November
    night = [alert(22 * 60, "vpin_high", 2, score=0.995), alert(22 * 60 + 40, symbol="ETH-USDT")]
    (severe,) = mine.messages(night, us(23 * 60))
    assert severe.head.startswith("ETH-USDT")
    assert mine.messages([], us(28 * 60 + 59)) == []
    (digest,) = mine.messages([], us(29 * 60))
    assert digest.head.splitlines() == [
        "1 elevated alert held back by quiet hours, 2026-11-02 23:00 to 2026-11-02 23:00 Europe/Berlin",
        "BTC-USDT demo: vpin_high 1; highest severity 2",
    ]


def test_a_digest_names_all_that_held_alerts_back() -> None:
    mine = telling(quiet=(22, 6), a_day=1)
    for k, severity, detector in ((12, 3, "cascade_proxy"), (14, 3, "cascade_proxy"), (23, 2, "vpin_high")):
        mine.messages([alert(k * 60.0, detector, severity, score=0.995)], us(k * 60.0))
    (digest,) = mine.messages([], us(30 * 60))
    assert digest.head.splitlines()[0] == (
        "2 elevated alerts held back by quiet hours and the day's number of messages, 2026-11-02 14:00 to 2026-11-02 23:00 UTC"
    )


@pytest.mark.parametrize("name", ["BTC-USDT", "demo/BTC-USDT"])
def test_a_muted_symbol_is_counted(name: str) -> None:
    mine = telling(a_day=0)
    mutes = {name: us(700)}
    assert mine.messages([alert(600), alert(600, symbol="ETH-USDT")], us(600), mutes) == []
    (digest,) = mine.messages([], us(25 * 60), mutes)
    assert digest.head.splitlines()[0].endswith("; 1 more of muted symbols")
    assert len(telling().messages([alert(701)], us(701), mutes)) == 1


def test_a_recording_that_is_played_keeps_its_own_time() -> None:
    mine = telling()
    later = us(600) * 2
    (root,) = mine.messages([alert(600)], later)
    assert mine.messages([alert(602, "vpin_high", 2)], later + 2 * MINUTE) == []
    (update,) = mine.messages([], later + 15 * MINUTE)
    assert update.episode == root.episode


ALERTS = st.lists(
    st.builds(
        alert,
        st.integers(0, 4000),
        st.sampled_from(["cascade_proxy", "liquidation_spike", "rvol_spike", "new_trend", "vpin_high"]),
        st.integers(1, 3),
        symbol=st.sampled_from(["BTC-USDT", "ETH-USDT"]),
    ),
    max_size=60,
    unique_by=lambda one: one["alert_id"],
)


@settings(max_examples=60, deadline=None)
@given(alerts=ALERTS, a_day=st.integers(0, 4), quiet=st.sampled_from([None, (22, 6), (3, 9)]))
def test_no_day_has_more_messages_than_wanted_and_what_stands_alone_is_told_counted_or_held(
    alerts: list[dict[str, Any]], a_day: int, quiet: tuple[int, int] | None
) -> None:
    mine = telling(a_day=a_day, quiet=quiet)
    out: list[Message] = []
    days: dict[str, int] = {}
    for one in sorted(alerts, key=lambda one: one["end"]):
        mine = telling(mine.state(), a_day=a_day, quiet=quiet)  # as after a restart
        out += mine.messages([one], int(one["end"].timestamp() * 1e6))
    for at in range(0, 5000, 15):
        out += mine.messages([], us(4000 + at))
    for message in out:
        if message.episode:
            day = dt.datetime.fromtimestamp(message.made_us / 1e6, dt.UTC).date().isoformat()
            days[day] = days.get(day, 0) + 1
    assert all(count <= a_day for count in days.values())
    assert len({message.id for message in out}) == len(out)
    assert mine.state()["held"] == []
    said = "\n".join([line for message in out for line in (message.head, *message.thread)])
    for one in alerts:
        if one["detector"] in ("cascade_proxy", "liquidation_spike") and one["severity"] == 3:
            assert one["symbol"] in said
