"""Faults of the demo exchange as a client on a real socket sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dataflows.demo.faults import GARBAGE
from tests.dataflows.demo_client import BTC, Hand, Peer, an_exchange, ids, now, odd_steps, serving, trades


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
            await ids(ws, 1)
            served._began -= 1000  # only now: until the socket is open, any time may pass
            with pytest.raises(ConnectionClosed):
                while True:
                    await ids(ws, 1)

    served = an_exchange(faults=("cut@1000:1",))
    serving(test, served)


def test_wrong_faults_over_http_say_why() -> None:
    async def test(peer: Peer) -> None:
        for query in ("kind=explode", "kind=cut&seconds=x", "kind=cut&seconds=-1", "kind=missing&symbol=NOPE", ""):
            answer = await peer.http.get(f"/demo/fault?{query}")
            assert answer.status_code == 400
            assert answer.json()["error"]

    serving(test)
