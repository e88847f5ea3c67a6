"""The exchange through real sockets: protocol and restarts."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from dataflows.demo import server
from dataflows.demo.server import exchange, run
from pipelines.settings import SettingsError
from pipelines.venues import venue
from tests.dataflows.demo_client import BTC, Peer, an_exchange, ids, now, serving, trades


def test_combined_streams_in_the_venues_shape() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            frame = json.loads(await ws.recv())
            assert list(frame) == ["stream", "data"]
            assert frame["stream"] == BTC
            assert list(frame["data"]) == ["e", "E", "a", "s", "p", "q", "nq", "f", "l", "T", "m", "st"]
            following = await ids(ws, 50)
            assert following == list(range(frame["data"]["a"] + 1, frame["data"]["a"] + 51))
            assert begun - 5 < frame["data"]["E"] / 1000 < now() + 5

    begun = now()
    serving(test)


def test_the_venues_own_routes_and_decoder_serve_it() -> None:
    async def test(peer: Peer) -> None:
        demo = venue("demo")
        base = f"http://127.0.0.1:{peer.port}"
        market, public = demo.routes([demo.guess("BTCUSDT"), demo.guess("ETHUSDT")], ("trades", "quotes"), base)
        for route, feed in (market, "trades"), (public, "quotes"):
            assert route.feeds == [feed]
            async with connect(route.url, compression=None, max_queue=None, proxy=None) as ws:
                for message in route.subscribe:
                    await ws.send(message, text=True)
                    assert [answer.kind for answer in demo.look([await ws.recv(decode=False)]).answers] == ["ack"]
                frames = [await ws.recv(decode=False) for _ in range(200)]
            decoded = demo.decode(frames, "agg")
            assert (len(decoded.rows) if feed == "trades" else len(decoded.quotes), decoded.faults) == (200, [])
            assert set(decoded.symbols) == {"BTCUSDT", "ETHUSDT"}

    serving(test)


def test_raw_streams_named_by_the_path() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket(f"/market/ws/{BTC}") as ws:
            assert json.loads(await ws.recv())["s"] == "BTCUSDT"
        async with peer.socket(f"/market/stream?streams={BTC}/ethusdt@aggTrade") as ws:
            seen: set[str] = set()
            while seen < {BTC, "ethusdt@aggTrade"}:
                seen.add(json.loads(await ws.recv())["stream"])
            assert seen == {BTC, "ethusdt@aggTrade"}

    serving(test)


def test_quotes_come_on_their_own_route_and_agree_with_the_trades() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as market, peer.socket("/public/stream", "btcusdt@bookTicker") as public:
            quotes = {data["u"] // 2: data for data in await trades(public, 300)}
            sent = await trades(market, 1)
            while sent[-1]["a"] < max(quotes):
                sent += await trades(market, 1)
            both = [(data, quotes[data["a"]]) for data in sent if data["a"] in quotes]
            assert len(both) > 100
            for trade, quote in both:
                assert list(quote) == ["e", "u", "s", "ps", "b", "B", "a", "A", "T", "E", "st"]
                assert trade["p"] == (quote["b"] if trade["m"] else quote["a"])

    serving(test)


def test_streams_on_the_wrong_route_or_of_no_symbol_are_acknowledged_and_silent() -> None:
    async def test(peer: Peer) -> None:
        async with (
            peer.socket("/public/stream", BTC, "nopeusdt@bookTicker") as public,
            peer.socket("/stream", BTC) as root,
            peer.socket("/market/stream", "btcusdt@bookTicker", "nopeusdt@aggTrade") as market,
            peer.socket("/market/stream", BTC) as right,
        ):
            await ids(right, 100)
            for silent in public, root, market:
                await silent.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
                answer = json.loads(await silent.recv())
                assert answer["id"] == 2, "data came before the answer"
                assert answer["result"]
        async with peer.socket("/stream", "btcusdt@bookTicker") as root:
            assert json.loads(await root.recv())["stream"] == "btcusdt@bookTicker"

    serving(test)


def test_unsubscribing_stops_a_stream_and_errors_leave_the_socket_open() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            await ws.send(json.dumps({"method": "UNSUBSCRIBE", "params": [BTC], "id": 2}))
            while "result" not in json.loads(await ws.recv()):
                pass
            await ws.send('{"method":"SHOUT","id":3}')
            answer = json.loads(await ws.recv())
            assert (answer["code"], answer["id"]) == (2, 3)
            await ws.send('{"method":"LIST_SUBSCRIPTIONS","id":4}')
            assert json.loads(await ws.recv()) == {"result": [], "id": 4}

    serving(test)


def test_a_client_that_asks_too_often_is_cut_off() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket() as ws:
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await ws.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
                    await ws.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    serving(test)


def test_the_server_pings() -> None:
    class Pinged(ClientConnection):
        pings = 0

        def process_event(self, event: Any) -> None:
            self.pings += getattr(event, "opcode", None) is Opcode.PING
            super().process_event(event)

    async def test(peer: Peer) -> None:
        async with peer.socket(create_connection=Pinged) as ws:
            assert isinstance(ws, Pinged)
            while ws.pings < 2:
                await asyncio.sleep(0.01)

    serving(test, ping_interval=0.05)


def test_paths_that_do_not_exist() -> None:
    async def test(peer: Peer) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with peer.socket("/private/stream"):
                pass
        assert refused.value.response.status_code == 404
        assert (await peer.http.get("/elsewhere")).status_code == 404

    serving(test)


def test_rest_on_the_same_port() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            sent = await trades(ws, 200)
        rows = await peer.get(f"/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={sent[0]['a']}&limit=200")
        assert rows == [{name: data[name] for name in ("a", "p", "q", "nq", "f", "l", "T", "m")} for data in sent]
        begun = now()
        assert begun - 5 < (await peer.get("/fapi/v1/time"))["serverTime"] / 1000 < now() + 5
        status = await peer.get("/demo/status")
        assert status["last"]["BTCUSDT"] >= sent[-1]["a"]

    serving(test)


def test_a_restart_goes_on_where_it_was() -> None:
    seen: list[int] = []

    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            sent = await ids(ws, 20)
        if seen:
            between: list[int] = []
            while seen[-1] + len(between) + 1 < sent[0]:
                rows = await peer.get(f"/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={seen[-1] + len(between) + 1}&limit=1000")
                between += [row["a"] for row in rows if row["a"] < sent[0]]
            assert seen + between + sent == list(range(seen[0], sent[-1] + 1))
        seen.extend(sent)

    serving(test)
    serving(test)
    assert len(seen) == 40


def test_at_a_higher_speed_exchange_time_runs_ahead() -> None:
    async def test(peer: Peer) -> None:
        first = (await peer.get("/fapi/v1/time"))["serverTime"]
        while (await peer.get("/fapi/v1/time"))["serverTime"] < first + 20_000:
            await asyncio.sleep(0.01)
        async with peer.socket("/market/stream", BTC) as ws:
            sent = await trades(ws, 300)
            assert sent[0]["T"] > now() * 1000 + 5000
            assert [data["a"] for data in sent] == list(range(sent[0]["a"], sent[0]["a"] + 300))

    serving(test, an_exchange(speed=100.0, rate=10.0))


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_UNREAD", 1_000_000)

    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC, ping_interval=None) as ws:
            ws.transport.pause_reading()
            await peer.get("/demo/fault?kind=garbage")
            while (await peer.get("/demo/status"))["clients"]:
                await asyncio.sleep(0.05)

    serving(test)


def test_all_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as wrong:
        exchange(seed=7, symbols=("NONSENSE",), rate=20.0, recording=None, speed=1.0, faults=("explode@1", "cut"))
    assert len(wrong.value.faults) == 3


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match=r"ports\.demo"):
            run(port=taken.getsockname()[1])
