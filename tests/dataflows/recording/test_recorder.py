"""The recorder: what it tells first, how it starts, renews, stops and goes on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest

from dataflows.recording.clock import date_of
from dataflows.recording.recorder import Recorder
from dataflows.recording.refusal import REFUSED_S
from dataflows.recording.station import Preparation, Station
from pipelines.settings import Settings, SettingsError, Venue
from pipelines.store.journal import segments
from pipelines.store.journal_report import entries
from tests.dataflows.fake_exchange import now_ns
from tests.dataflows.recording.desk import BTC, Written, exchange, holes, last_id, recording, settings, tape, until

pytestmark = pytest.mark.usefixtures("quick_overlap")


def test_everything_that_can_change_a_result_comes_before_the_first_trade(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC, "ETHUSDT") as made:
            wanted = settings(tmp_path, made, "BTC-USDT", "ethusdt")
            async with recording(wanted) as recorder:
                made.trade(BTC)
                await until(lambda: last_id(recorder) == 1)
                await until(lambda: "heartbeat" in {e["kind"] for e in entries(wanted.journal_dir)})
        return wanted

    wanted = asyncio.run(play())
    written = Written(wanted)
    kinds = [e["kind"] for e in written.entries]
    before = ["start", "settings", "rules", "instruments", *2 * ["reference"], *4 * ["klines"], "connect"]
    assert kinds == [*before, "frame", "frame", "disconnect"]  # an ack, then the trade
    assert written.payloads("settings") == [json.loads(wanted.kernels.canonical())]
    assert [i["symbol"] for i in written.payloads("instruments")[0]["instruments"]] == ["BTC-USDT", "ETH-USDT"]
    assert [(r["adv"], r["adv_notional"], r["days"]) for r in written.payloads("reference")] == 2 * [(14.5, 29.0, 30)]
    assert {r["date"] for r in written.payloads("reference")} == {date_of(now_ns()).isoformat()}
    klines = [(e["head"]["symbol"], e["head"]["interval"], len(e["body"])) for e in written.entries if e["kind"] == "klines"]
    assert sorted(klines) == [(symbol, interval, n) for symbol in (BTC, "ETHUSDT") for interval, n in (("1d", 31), ("1m", 1000))]
    times = [e["recv_ns"] for e in entries(wanted.journal_dir)]
    assert times == sorted(times)


def test_a_restart_goes_on_where_the_journal_ends(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.trade(BTC, 5)
                await until(lambda: last_id(recorder) == 5)
            made.trade(BTC, 2500)
            async with recording(wanted) as recorder:
                made.trade(BTC, 5)
                await until(lambda: last_id(recorder) == 2510 and not holes(recorder))
        return wanted

    written = Written(asyncio.run(play()))
    assert [gap[:2] for gap in written.gaps()] == [("gap_open", "restart"), ("gap_close", "repaired")]
    assert set(written.ids()) == set(range(1, 2511))
    references = written.payloads("reference")
    assert references[0] == references[-1]
    assert len(segments(tmp_path / "journal" / "main")) == 2


def test_symbols_edited_take_effect_without_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tapeflow.yaml"
    file.write_text("# one")
    monkeypatch.setenv("TAPEFLOW_CONFIG", str(file))

    async def play() -> Settings:
        async with exchange(BTC, "ETHUSDT") as made:
            wanted = settings(tmp_path, made)
            answers: list[Settings | SettingsError] = [
                SettingsError(["no YAML"]),
                settings(tmp_path, made, "BTC-USDT", "NOTHING"),
                settings(tmp_path, made, "BTC-USDT", "ETH-USDT"),
                settings(tmp_path, made, "ETH-USDT"),
            ]

            def reload() -> Settings:
                answer = answers.pop(0)
                if isinstance(answer, SettingsError):
                    raise answer
                return answer

            async with recording(wanted, reload=reload) as recorder:
                made.feed(BTC)
                for left in (3, 2, 1):
                    file.write_text("#" * (10 - left))
                    await until(lambda left=left: len(answers) == left)  # type: ignore[misc]
                await until(lambda: "ETHUSDT" in recorder.stations["demo"].menders)
                await until(lambda: {"btcusdt@aggTrade", "ethusdt@aggTrade"} in made.subscribed)
                made.trade("ETHUSDT", 3)
                await until(lambda: last_id(recorder, "ETHUSDT") == 3)
                await until(lambda: len(recorder.stations["demo"].lines) == 1)
                file.write_text("#")
                await until(lambda: list(recorder.stations["demo"].menders) == ["ETHUSDT"])
                await until(lambda: made.subscribed[-1] == {"ethusdt@aggTrade"})
        return wanted

    written = Written(asyncio.run(play()))
    assert [[i["native"] for i in r["instruments"]] for r in written.payloads("instruments")] == [
        [BTC],
        [BTC, "ETHUSDT"],
        ["ETHUSDT"],
    ]
    assert [r["symbol"] for r in written.payloads("reference")][-1] == "ETHUSDT"
    assert written.gaps() == []
    assert set(written.ids()) == set(range(min(written.ids()), max(written.ids()) + 1))


def test_a_venue_taken_out_while_it_is_asked_is_closed_behind_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Station.prepare

    async def play() -> Settings:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def slow(station: Station, wanted: Venue) -> Preparation:
            asked.set()
            await answer.wait()
            return await prepare(station, wanted)

        async with exchange(BTC, "ETHUSDT") as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                monkeypatch.setattr(Station, "prepare", slow)
                more = asyncio.create_task(recorder.change(settings(tmp_path, made, "BTC-USDT", "ETH-USDT")))
                await asked.wait()
                none = asyncio.create_task(recorder.change(wanted.model_copy(update={"venues": {}})))
                await asyncio.sleep(0)  # the second has begun
                answer.set()
                await asyncio.gather(more, none)
                assert not recorder.stations
        return wanted

    told = Written(asyncio.run(play())).payloads("instruments")
    assert [len(record["instruments"]) for record in told] == [1, 2]


def test_unknown_symbols_and_venues_that_do_not_answer_are_told_all_at_once(tmp_path: Path) -> None:
    async def play() -> None:
        async with exchange(BTC, "ETHUSDT") as made, recording(settings(tmp_path, made, "BTC-USD", "ETHUSD", "ETH-USDT")):
            pass

    with pytest.raises(SettingsError) as refusal:
        asyncio.run(play())
    assert len(refusal.value.faults) == 2
    assert "unknown symbol 'BTC-USD': did you mean BTC-USDT" in refusal.value.faults[0]
    assert [path.stat().st_size for path in segments(tmp_path / "journal" / "main")] == [0]


@asynccontextmanager
async def waiting(wanted: Settings, reload: Callable[[], Settings] | None = None) -> AsyncIterator[Recorder]:
    """Record, from when the status file tells that venue demo is waited for."""
    recorder, stop = Recorder(wanted, lambda folder: 0.5), asyncio.Event()
    task = asyncio.create_task(recorder.run(stop, reload or (lambda: wanted)))
    try:
        await until(lambda: task.done() or told(wanted, "waits"))
        yield recorder
    finally:
        stop.set()
        await task


def told(wanted: Settings, what: str) -> Any:
    """Return what the status file tells of venue demo."""
    file = wanted.data / "status" / "recorder.json"
    return file.exists() and json.loads(file.read_text())["feeds"].get("demo", {}).get(what)


def test_no_network_is_told_and_waited_for(tmp_path: Path) -> None:
    wanted = Settings(data=tmp_path, venues={"demo": Venue(symbols=("BTC-USDT",))}, endpoints={"demo": "http://127.0.0.1:9"})

    async def play() -> None:
        async with waiting(wanted):
            assert "http://127.0.0.1:9 could not be reached" in told(wanted, "waits")
            assert "; check the network" in told(wanted, "waits")

    asyncio.run(play())
    assert list(entries(wanted.journal_dir)) == []


def test_recording_begins_by_itself_when_the_venue_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.recorder.AGAIN_S", 0.1)

    async def play() -> Settings:
        async with exchange(BTC) as made:
            made.rest_status = 503
            wanted = settings(tmp_path, made)
            async with waiting(wanted) as recorder:
                assert "HTTP 503" in told(wanted, "waits")
                made.rest_status = 200
                await until(lambda: made.subscribed)
                made.trade(BTC, 3)
                await until(lambda: last_id(recorder) == 3 and told(wanted, "connected"))
                assert told(wanted, "waits") == ""
        return wanted

    written = Written(asyncio.run(play()))
    assert [e["kind"] for e in written.entries][:4] == ["start", "settings", "rules", "instruments"]
    assert (written.gaps(), sorted(written.ids().elements())) == ([], [1, 2, 3])


def test_settings_edited_while_no_venue_answers_are_those_it_begins_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.recorder.AGAIN_S", 0.1)
    file = tmp_path / "tapeflow.yaml"
    file.write_text("# one")
    monkeypatch.setenv("TAPEFLOW_CONFIG", str(file))

    async def play() -> Settings:
        async with exchange(BTC) as made:
            right = settings(tmp_path, made)
            wrong = right.model_copy(update={"endpoints": {"demo": "http://127.0.0.1:9"}})
            async with waiting(wrong, lambda: right) as recorder:
                file.write_text("# another")
                await until(lambda: made.subscribed)
                made.trade(BTC)
                await until(lambda: last_id(recorder) == 1)
        return right

    assert set(Written(asyncio.run(play())).ids()) == {1}


def test_an_endpoint_that_is_no_venue_is_refused(tmp_path: Path) -> None:
    async def play() -> None:
        async with exchange(BTC) as made:
            made.rest_status = 404
            async with recording(settings(tmp_path, made)):
                pass

    with pytest.raises(SettingsError, match="HTTP 404"):
        asyncio.run(play())


def test_no_venue_at_all_is_refused(tmp_path: Path) -> None:
    async def play() -> None:
        async with recording(Settings(data=tmp_path, venues={})):
            pass

    with pytest.raises(SettingsError, match="venues: none is named; name one, like okx"):
        asyncio.run(play())


def test_trades_missed_of_a_venue_that_did_not_answer_for_two_starts_are_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.recording.recorder.AGAIN_S", 0.1)

    async def play() -> Settings:
        async with exchange(BTC) as made, exchange(BTC) as other:
            venues = {name: Venue(symbols=("BTCUSDT",), feeds=("trades",)) for name in ("demo", "binance-usdm")}
            wanted = Settings(data=tmp_path, venues=venues, endpoints={"demo": made.url, "binance-usdm": other.url})
            async with recording(wanted, ready="binance-usdm") as recorder:
                await until(lambda: made.subscribed)
                made.trade(BTC, 5)
                other.trade(BTC, 5)
                await until(lambda: last_id(recorder) == 5 and tape(recorder, venue="binance-usdm").next_id == 6)
            other.rest_status = 503
            async with recording(wanted, ready="demo") as recorder:
                made.trade(BTC, 5)
                await until(lambda: last_id(recorder) == 10)
            other.trade(BTC, 5)
            async with recording(wanted, ready="demo") as recorder:
                assert recorder.stations["binance-usdm"].waits
                other.rest_status = 200
                await until(lambda: recorder.stations["binance-usdm"].lines and other.subscribed[1:])
                other.trade(BTC, 5)
                await until(lambda: tape(recorder, venue="binance-usdm").next_id == 16)
        return wanted

    gaps = [gap for gap in Written(asyncio.run(play())).payloads("gap_open") if gap["venue"] == "binance-usdm"]
    assert [(gap["reason"], gap["from_id"]) for gap in gaps] == [("restart", 6)]


def test_a_venue_about_to_close_is_left_before_it_does(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.feed(BTC)
                await until(lambda: last_id(recorder) > 5)
                made.send_raw(b'{"e":"serverShutdown","E":1}', "btcusdt@aggTrade")
                await until(lambda: len(made.subscribed) == 2)
                await until(lambda: len(recorder.stations["demo"].lines) == 1)
                seen = last_id(recorder)
                await until(lambda: last_id(recorder) > seen + 5)
        return wanted

    written = Written(asyncio.run(play()))
    assert written.gaps() == []
    kinds = [e["kind"] for e in written.entries if e["kind"] in ("connect", "disconnect")]
    assert kinds == ["connect", "connect", "disconnect", "disconnect"]
    assert set(written.ids()) == set(range(1, max(written.ids()) + 1))


def test_sockets_are_renewed_before_they_are_a_day_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with exchange(BTC) as made, recording(settings(tmp_path, made)) as recorder:
            recorder.stations["demo"].sockets.look()
            assert len(recorder.stations["demo"].lines) == 1
            recorder.stations["demo"].lines[0].opened_at -= recorder.stations["demo"].venue.rules.rotate_s
            await until(lambda: len(made.subscribed) == 2 and len(recorder.stations["demo"].lines) == 1)

    asyncio.run(play())


def test_volumes_of_the_next_date_are_told_in_the_last_hour(tmp_path: Path) -> None:
    day = datetime.combine(date_of(now_ns()), time_of_day(23, 10), UTC)

    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted, now_ns=lambda: int(day.timestamp()) * 10**9) as recorder:
                await recorder._refer()
        return wanted

    told = Written(asyncio.run(play())).payloads("reference")
    today, tomorrow, yesterday = ((day + timedelta(n)).date().isoformat() for n in (0, 1, -1))
    assert [(r["date"], r["last"]) for r in told] == [(today, yesterday), (tomorrow, yesterday)]


def test_a_venue_that_refuses_keeps_no_other_from_being_recorded_and_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made, exchange(BTC) as other:
            other.rest_status = 451
            venues = {name: Venue(symbols=("BTCUSDT",)) for name in ("demo", "binance-usdm")}
            wanted = Settings(data=tmp_path, venues=venues, endpoints={"demo": made.url, "binance-usdm": other.url})
            async with recording(wanted, ready="demo") as recorder:
                made.trade(BTC)
                await until(lambda: last_id(recorder) == 1)
                station = recorder.stations["binance-usdm"]
                assert "refuses this machine (HTTP 451" in station.refused[0]
                asked = len(other.asked)
                await recorder._settle_pending()
                assert (len(other.asked), other.subscribed) == (asked, [])
                other.rest_status = 200
                monkeypatch.setattr(station.rest, "_clock", lambda: time.monotonic() + REFUSED_S)
                assert not station.refused
                await recorder._settle_pending()
                await until(lambda: other.subscribed)
                made.trade(BTC)
                other.trade(BTC)
                await until(lambda: tape(recorder, venue="binance-usdm").next_id == 2 and last_id(recorder) == 2)
        return wanted

    written = Written(asyncio.run(play()))
    assert [r["venue"] for r in written.payloads("instruments")] == ["demo", "binance-usdm"]
    assert [i["symbol"] for r in written.payloads("instruments") for i in r["instruments"]] == ["BTC-USDT", "BTC-USDT-PERP"]


def test_the_demo_may_run_on_a_faster_clock(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            wanted = wanted.model_copy(update={"demo": wanted.demo.model_copy(update={"speed": 100.0})})
            async with recording(wanted) as recorder:
                made.trade(BTC)
                await until(lambda: last_id(recorder) == 1)
                await asyncio.sleep(0.5)
        return wanted

    begun = time.monotonic()
    wanted = asyncio.run(play())
    times = [e["recv_ns"] for e in entries(wanted.journal_dir)]
    assert 40e9 < times[-1] - times[0] < 100e9 * (time.monotonic() - begun)


def test_each_segment_can_be_read_alone(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                recorder.writer._segment_bytes = 60_000
                for k in range(1, 5):
                    made.trade(BTC, 400)
                    await until(lambda k=k: last_id(recorder) == 400 * k)  # type: ignore[misc]
        return wanted

    wanted = asyncio.run(play())
    paths = [path.name for path in segments(wanted.journal_dir)]
    assert len(paths) >= 4
    heads: dict[str, list[str]] = {name: [] for name in paths}
    for entry in entries(wanted.journal_dir):
        heads[entry["segment"]].append(entry["kind"])
    whole = ["settings", "rules", "instruments", "reference", "connect"]
    assert [heads[name][:5] for name in paths[2:]] == [whole] * (len(paths) - 2)
    assert [kind for kind in heads[paths[1]] if kind in whole][:4] == whole[:4]  # it may hold the connect itself


def test_what_goes_on_is_told_once_a_second(tmp_path: Path) -> None:
    async def play() -> dict[str, Any]:
        async with exchange(BTC) as made:
            path = tmp_path / "status" / "recorder.json"
            async with recording(settings(tmp_path, made)) as recorder:
                made.trade(BTC, 3)
                await until(lambda: last_id(recorder) == 3)
                path.unlink(missing_ok=True)
                await until(path.exists)
                return dict(json.loads(path.read_text()))

    state = asyncio.run(play())
    assert state["feeds"]["demo"]["connected"] is True
    assert state["feeds"]["demo"]["frames"] == 4
    assert state["feeds"]["demo"]["symbols"]["BTC-USDT"]["last_trade_age"] >= 0
    assert state["gaps_open"] == []
    assert state["journal"]["segment"] == "seg-0000000001.tfj"
