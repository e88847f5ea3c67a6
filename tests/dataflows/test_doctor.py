"""The doctor through real sockets: a sound exchange, one that is silent, one that refuses, a clock that is off."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection

from dataflows import doctor
from dataflows.demo.market import GENESIS_MS, Market
from dataflows.demo.server import Exchange, exchange
from dataflows.demo.tape import DAY_MS
from dataflows.doctor import Finding
from pipelines.settings import Settings, Venue
from pipelines.tape import Decoded
from pipelines.venues import venue
from pipelines.venues.binance import Binance
from tests.ports import free_ports


def settings(tmp_path: Path, port: int, *symbols: str) -> Settings:
    return Settings(
        data=tmp_path,
        venues={"demo": Venue(symbols=symbols or ("BTC-USDT",))},
        endpoints={"demo": f"http://127.0.0.1:{port}"},
    )


def an_exchange(*faults: str) -> Exchange:
    return exchange(seed=7, symbols=("BTC-USDT", "ETH-USDT"), rate=500, recording=None, speed=1, faults=faults)


@pytest.fixture
def _both_routes_of_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listen for so many seconds of the exchange's time that both routes tell of: ours may pass with nothing heard."""
    begun: dict[ClientConnection, int] = {}

    async def collect(socket: ClientConnection, frames: list[tuple[int, bytes]], seconds: float) -> None:
        last = 0
        async with asyncio.timeout(200):
            while len(begun) < 2 or last < max(begun.values()) + 1000 * seconds:
                frames.append((time.monotonic_ns(), await socket.recv(decode=False)))
                last = json.loads(frames[-1][1]).get("data", {"T": 0})["T"]
                if last:
                    begun.setdefault(socket, last)

    monkeypatch.setattr(doctor, "_collect", collect)


async def examined(tmp_path: Path, served: Exchange, *symbols: str, seconds: float = 2.0) -> dict[str, Finding]:
    async with served.serving(0) as port:
        found = await doctor._venues(settings(tmp_path, port, *symbols), seconds)
    return {finding.check: finding for finding in found}


@pytest.mark.usefixtures("_both_routes_of_one_time")
def test_a_sound_exchange_is_found_so(tmp_path: Path) -> None:
    found = asyncio.run(examined(tmp_path, an_exchange()))
    states = {check: finding.state for check, finding in found.items()}
    assert states == {"clock": "ok", "rules": "ok", "route market": "ok", "route public": "ok", "aggressor": "ok"}, found
    assert "BTC-USDT (TRADING)" in found["rules"].found


def test_a_clock_that_is_off_is_told(tmp_path: Path) -> None:
    async def run() -> Finding:
        served = an_exchange()
        served._clock.step(-70_000)  # however long the request takes: half of that is taken off
        return (await examined(tmp_path, served, seconds=0.2))["clock"]

    found = asyncio.run(run())
    assert found.state == "fault"
    assert "NTP" in found.remedy


def test_an_unknown_symbol_is_told_with_one_that_looks_like_it(tmp_path: Path) -> None:
    found = asyncio.run(examined(tmp_path, an_exchange(), "BTC-USDD"))
    assert found["rules"].state == "fault"
    assert "did you mean BTC-USDT" in found["rules"].found


def test_a_route_that_acknowledges_and_stays_silent_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Binance.routes

    def retired(self: Binance, *args: object) -> object:
        return [route._replace(url=route.url.replace("/market/", "/")) for route in honest(self, *args)]  # type: ignore[arg-type]

    monkeypatch.setattr(Binance, "routes", retired)
    found = asyncio.run(examined(tmp_path, an_exchange(), seconds=0.5))
    assert found["route market"].state == "fault"
    assert "data on 0 of 1 streams" in found["route market"].found


def test_a_venue_that_is_not_reached_is_told(tmp_path: Path) -> None:
    found = asyncio.run(doctor._venues(settings(tmp_path, free_ports(1)[0]), 0.1))
    assert [(f.check, f.state) for f in found] == [("reached", "fault")]


@pytest.mark.usefixtures("_both_routes_of_one_time")
def test_mirrored_sides_are_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Binance.decode

    def mirrored(self: Binance, *args: object) -> Decoded:
        decoded = honest(self, *args)  # type: ignore[arg-type]
        decoded.rows["side"] = -decoded.rows["side"]
        return decoded

    monkeypatch.setattr(Binance, "decode", mirrored)
    found = asyncio.run(examined(tmp_path, an_exchange()))
    assert found["aggressor"].state == "fault"


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_trades_after_quotes_broke_off_are_not_held_against_the_last_of_them(share: float) -> None:
    rules, market = venue("demo"), Market(7, ("BTC-USDT",), 20.0)
    noon, instruments = GENESIS_MS + 1000 * DAY_MS + DAY_MS // 2, [rules.guess("BTCUSDT")]
    heard = []
    for route, stream, ms in zip(
        rules.routes(instruments, ("trades", "quotes"), None),
        ("btcusdt@aggTrade", "btcusdt@bookTicker"),
        (60_000, int(60_000 * share)),
        strict=True,
    ):
        frames = [f'{{"stream":"{stream}","data":{frame.data!s}}}' for frame in market.frames(stream, noon, noon + ms)]
        heard.append(doctor._Heard(route, [(json.loads(frame)["data"]["E"], frame.encode()) for frame in frames], ""))
    found = doctor.sides(rules, instruments, doctor.together(heard))
    assert found.state == "ok", found


def test_a_disk_that_is_full_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(total=10**9, free=10**7)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert doctor.disk(settings(tmp_path, 1)).state == "fault"


def test_rules_are_read(tmp_path: Path) -> None:
    wanted = settings(tmp_path, 1).model_copy(update={"rules": tmp_path / "rules.yaml"})
    assert doctor.own_rules(wanted) == Finding("rules", "file", "ok", "no file of rules")
    wanted.rules.write_text("rules:\n- {name: one, when: close > 1}\n")
    assert doctor.own_rules(wanted).found == f"1 in {wanted.rules}"
    wanted.rules.write_text("rules:\n- {name: one, when: clos > 1}\n- {when: close > 1}\n")
    found = doctor.own_rules(wanted)
    assert found.state == "fault"
    assert "clos" in found.found
    assert "; " in found.found


def test_too_few_trades_say_nothing() -> None:
    place = venue("demo")
    assert doctor.sides(place, [], []).state == "unknown"
