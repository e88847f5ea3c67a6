"""The exchange through real sockets: protocol, restarts, and each fault as a plain client sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from dataflows.demo import server
from dataflows.demo.clock import Clock
from dataflows.demo.faults import GARBAGE, parse
from dataflows.demo.market import GENESIS_MS, Market
from dataflows.demo.server import Exchange, exchange, run
from dataflows.demo.tape import DAY_MS
from pipelines.settings import SettingsError
from pipelines.venues import venue

BTC = "btcusdt@aggTrade"


SHIFT = (GENESIS_MS + 1000.5 * DAY_MS) / 1000 - time.time()
"""Tests begin at the same exchange time whenever they run: the market is the same, and busy."""


def now() -> float:
    """Return exchange time in seconds, at speed 1."""
    return time.time() + SHIFT


def an_exchange(
    speed: float = 1.0, rate: float = 600.0, faults: tuple[str, ...] = (), wall: Callable[[], float] = now
) -> Exchange:
    market = Market(7, ("BTC-USDT", "ETH-USDT"), rate)
    return Exchange(market, Clock(speed, wall=wall), [parse(text) for text in faults])


class Hand:
    """A clock that a test moves: what is sent hangs on nothing else."""

    def __init__(self) -> None:
        self.time = now()

    def __call__(self) -> float:
        return self.time


class Peer:
    """A plain client of one exchange."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    async def get(self, target: str) -> Any:
        answer = await self.http.get(target)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextlib.asynccontextmanager
    async def socket(self, path: str = "/market/stream", *streams: str, **options: Any) -> AsyncIterator[ClientConnection]:
        url = f"ws://127.0.0.1:{self.port}{path}"
        async with connect(url, compression=None, max_size=None, max_queue=None, close_timeout=1, proxy=None, **options) as ws:
            if streams:
                await ws.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
                assert json.loads(await ws.recv()) == {"result": None, "id": 1}
            yield ws


def serving(test: Callable[[Peer], Awaitable[None]], served: Exchange | None = None, **options: Any) -> None:
    """Run a test against an exchange, for at most 200 s."""

    async def running() -> None:
        async with asyncio.timeout(200), (served or an_exchange()).serving(0, **options) as port:
            peer = Peer(port)
            async with peer.http:
                await test(peer)

    asyncio.run(running())


async def trades(ws: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Return the data of the next frames."""
    return [json.loads(await ws.recv())["data"] for _ in range(count)]


async def ids(ws: ClientConnection, count: int) -> list[int]:
    return [data["a"] for data in await trades(ws, count)]


def odd_steps(sent: list[int]) -> list[int]:
    """Return the steps between ids that are not 1."""
    return [b - a for a, b in pairwise(sent) if b != a + 1]


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


def test_cut_tears_sockets_down_and_refuses_new_ones_while_rest_goes_on() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            last = (await ids(ws, 1))[0]
            await peer.get("/demo/fault?kind=cut&seconds=1000")
            with pytest.raises(ConnectionClosed):
                while True:
                    last = (await ids(ws, 1))[0]
        with pytest.raises(InvalidStatus) as refused:
            async with peer.socket():
                pass
        assert refused.value.response.status_code == 503
        while not await peer.get(f"/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={last + 2}"):
            await asyncio.sleep(0.01)
        await peer.get("/demo/fault?kind=cut&seconds=0.01")
        while True:
            with contextlib.suppress(InvalidStatus):
                async with peer.socket("/market/stream", BTC) as ws:
                    assert (await ids(ws, 1))[0] > last + 1
                    return

    serving(test)


def test_stall_silences_open_sockets_even_for_pings_and_spares_new_ones() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC, ping_interval=None) as ws:
            sent = await ids(ws, 1)
            await peer.get("/demo/fault?kind=stall&seconds=1000")
            pong = asyncio.ensure_future(await ws.ping())
            async with peer.socket("/market/stream", BTC) as other:
                await ids(other, 100)
                assert not pong.done()
            await peer.get("/demo/fault?kind=stall&seconds=0.01")
            await pong
            while not odd_steps(sent):
                sent += await ids(ws, 50)
            (jump,) = odd_steps(sent)
            assert jump > 10

    serving(test)


@pytest.mark.parametrize(
    ("kind", "count", "steps"),
    [("duplicates", 3, [0, 0, 0]), ("reorder", 2, [2, -1, 3, -1, 2]), ("missing", 4, [5]), ("unfillable", 4, [5])],
)
def test_faults_on_trades_as_a_client_sees_them(kind: str, count: int, steps: list[int]) -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            sent = await ids(ws, 1)
            await peer.get(f"/demo/fault?kind={kind}&count={count}&symbol=BTCUSDT")
            while len(odd_steps(sent)) < len(steps):
                sent += await ids(ws, 50)
            assert odd_steps(sent) == steps
            if kind in ("missing", "unfillable"):
                hole = next(a for a, b in pairwise(sent) if b != a + 1) + 1
                rows = await peer.get(f"/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={hole}&limit=4")
                assert [row["a"] for row in rows] == ([] if kind == "unfillable" else list(range(hole, hole + 4)))

    serving(test)


def test_garbage_comes_between_trades_that_are_whole() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            await peer.get("/demo/fault?kind=garbage")
            good: list[int] = []
            bad = 0
            longest = 0
            while bad < len(GARBAGE) or len(good) < 100:
                frame = await ws.recv(decode=False)
                longest = max(longest, len(frame))
                try:
                    data = json.loads(frame)["data"]
                    assert data["m"] in (True, False)
                    assert data["e"] == "aggTrade"
                    assert 0 < float(data["p"]) < 1e300
                    assert 0 < float(data["q"]) < 1e300
                    assert "pad" not in data
                    good.append(data["a"])
                except (ValueError, KeyError, AssertionError):
                    bad += 1
            assert good == list(range(good[0], good[0] + len(good)))
            assert longest > 10_000_000

    serving(test)


def test_a_late_trade_is_held_back() -> None:
    served = an_exchange()

    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            sent = await ids(ws, 1)
            await peer.get("/demo/fault?kind=late&seconds=1000")
            while len(odd_steps(sent)) < 1:
                sent += await ids(ws, 50)
            sent += await ids(ws, 50)
            served._began -= 1001
            while len(odd_steps(sent)) < 3:
                sent += await ids(ws, 50)
            skipped, back, _ = odd_steps(sent)
            assert skipped == 2
            assert back < -20
            assert sorted(sent) == list(range(sent[0], sent[0] + len(sent)))

    serving(test, served)


@pytest.mark.parametrize(("kind", "status"), [("limit", 429), ("ban", 418), ("forbid", 403)])
def test_whoever_knocks_can_be_turned_away_while_open_sockets_go_on(kind: str, status: int) -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            await peer.get(f"/demo/fault?kind={kind}&seconds=1000")
            with pytest.raises(InvalidStatus) as refused:
                async with peer.socket():
                    pass
            answers = refused.value.response, await peer.http.get("/fapi/v1/time")
            assert [a.status_code for a in answers] == [status, status]
            waits = [a.headers.get("Retry-After") for a in answers]
            assert waits == [None, None] if status == 403 else all(700 < int(wait or 0) <= 1000 for wait in waits)
            counts = await peer.get("/demo/status")
            assert (counts["handshakes"], counts["rest"]) == (2, 1)
            sent = await ids(ws, 50)
            assert sent == list(range(sent[0], sent[0] + 50))
            await peer.get(f"/demo/fault?kind={kind}&seconds=0.001")
        while (await peer.http.get("/fapi/v1/time")).status_code != 200:
            await asyncio.sleep(0.01)

    serving(test)


def test_a_subscription_can_be_refused() -> None:
    async def test(peer: Peer) -> None:
        await peer.get("/demo/fault?kind=refuse&seconds=1000")
        async with peer.socket() as ws:
            await ws.send(json.dumps({"method": "SUBSCRIBE", "params": [BTC], "id": 1}))
            assert json.loads(await ws.recv()) == {"code": 2, "msg": "Invalid request: refused on request", "id": 1}
            await ws.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
            assert json.loads(await ws.recv())["result"] == []

    serving(test)


def test_the_past_is_sent_again_to_the_next_socket_alone() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            wall.time += 1.0
            last = (await peer.get("/demo/status"))["last"]["BTCUSDT"]
            sent = await ids(ws, 1)
            sent += await ids(ws, last - sent[0])
            await peer.get("/demo/fault?kind=resent&count=30")
            async with peer.socket("/market/stream", BTC) as other:
                assert await ids(other, 30) == list(range(last - 29, last + 1))
                async with peer.socket("/market/stream", BTC) as third:
                    wall.time += 1.0
                    for socket in ws, other, third:
                        assert await ids(socket, 50) == list(range(last + 1, last + 51))

    wall = Hand()
    serving(test, an_exchange(wall=wall))


def test_skew_puts_the_exchanges_clock_forward() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            await ids(ws, 1)
            await peer.get("/demo/fault?kind=skew&milliseconds=60000")
            sent = await trades(ws, 1)
            while sent[-1]["T"] < now() * 1000 + 30_000:
                sent += await trades(ws, 1)
            assert [data["a"] for data in sent] == list(range(sent[0]["a"], sent[0]["a"] + len(sent)))
        assert (await peer.get("/fapi/v1/time"))["serverTime"] > now() * 1000 + 30_000

    serving(test)


def test_a_fault_can_be_scheduled() -> None:
    async def test(peer: Peer) -> None:
        async with peer.socket("/market/stream", BTC) as ws:
            with pytest.raises(ConnectionClosed):
                while True:
                    await ids(ws, 1)

    serving(test, an_exchange(faults=("cut@0.5:1",)))


def test_wrong_faults_over_http_say_why() -> None:
    async def test(peer: Peer) -> None:
        for query in ("kind=explode", "kind=cut&seconds=x", "kind=cut&seconds=-1", "kind=missing&symbol=NOPE", ""):
            answer = await peer.http.get(f"/demo/fault?{query}")
            assert answer.status_code == 400
            assert answer.json()["error"]

    serving(test)


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
