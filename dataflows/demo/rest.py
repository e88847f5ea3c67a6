"""The REST side, without the socket: a request target in, an answer out, weights and errors as the exchange has them."""

from __future__ import annotations

import functools
import http
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec
import numpy as np

from dataflows.demo import wire
from dataflows.demo.clock import Clock
from dataflows.demo.faults import Faults
from dataflows.demo.market import Market
from dataflows.demo.tape import INTERVALS_MS, Listing, Tape

WEIGHT_A_MINUTE = 2400
HOUR_MS = 3_600_000
DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
"""What a book weighs, by its levels."""


class Answer(NamedTuple):
    """An HTTP answer with a JSON body."""

    status: int
    body: bytes
    headers: dict[str, str]


def turned_away(status: int, seconds: int) -> Answer:
    """Return what is answered to whoever is turned away for so long: a 403 comes from the firewall, and says nothing."""
    if status == http.HTTPStatus.FORBIDDEN:
        return Answer(status, b"<html><head><title>403 Forbidden</title></head></html>", {"Content-Type": "text/html"})
    error = {"code": -1003, "msg": "Way too many requests; turned away on request."}
    return Answer(status, msgspec.json.encode(error), {"Retry-After": str(seconds)})


class _RefusedError(Exception):
    """The exchange's own way to say no: a code and its text."""

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(msg)
        self.code, self.msg, self.status = code, msg, status


class Rest:
    """The REST API of USD-M, as far as a recorder needs it, on a tape.

    Parameters
    ----------
    wall : callable
        Seconds; weights are counted by its minutes.
    """

    def __init__(self, tape: Tape, clock: Clock, faults: Faults, wall: Callable[[], float] = time.time) -> None:
        self._tape, self._clock, self._faults, self._wall = tape, clock, faults, wall
        self._minute, self._used = 0, 0
        self._routes: dict[str, Callable[[dict[str, str]], tuple[int, object]]] = {
            "/fapi/v1/ping": lambda _: (1, {}),
            "/fapi/v1/time": lambda _: (1, {"serverTime": clock.now_ms()}),
            "/fapi/v1/exchangeInfo": lambda _: (1, wire.exchange_info(tape.listings.values(), clock.now_ms())),
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/aggTrades": self._agg_trades,
        }
        if isinstance(tape, Market):
            self._routes |= {
                "/fapi/v1/depth": functools.partial(self._depth, tape),
                "/fapi/v1/openInterest": functools.partial(self._open_interest, tape),
            }

    def answer(self, target: str) -> Answer:
        """Answer a GET of `target` (path and query)."""
        url = urlsplit(target)
        minute, second = divmod(self._wall(), 60)
        if minute != self._minute:
            self._minute, self._used = int(minute), 0
        if self._used >= WEIGHT_A_MINUTE:
            body = {
                "code": -1003,
                "msg": f"Too many requests; current limit is {WEIGHT_A_MINUTE} request weight per 1 MINUTE.",
            }
            return self._json(429, body, {"Retry-After": str(int(60 - second) + 1)})
        route = self._routes.get(url.path)
        if route is None:
            return self._json(404, {"code": -5000, "msg": f"Path {url.path}, Method GET is invalid"})
        try:
            weight, content = route(dict(parse_qsl(url.query)))
        except _RefusedError as refused:
            self._used += 1
            return self._json(refused.status, {"code": refused.code, "msg": refused.msg})
        self._used += weight
        return self._json(200, content)

    def _json(self, status: int, body: object, headers: dict[str, str] | None = None) -> Answer:
        used = {"X-MBX-USED-WEIGHT-1M": str(self._used)}
        return Answer(status, msgspec.json.encode(body), {"Content-Type": "application/json", **used, **(headers or {})})

    def _listing(self, query: dict[str, str]) -> Listing:
        if "symbol" not in query:
            raise _RefusedError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if query["symbol"] not in self._tape.listings:
            raise _RefusedError(-1121, "Invalid symbol.")
        return self._tape.listings[query["symbol"]]

    def _klines(self, query: dict[str, str]) -> tuple[int, object]:
        listing, interval, now = self._listing(query), query.get("interval", ""), self._clock.now_ms()
        if interval not in INTERVALS_MS:
            raise _RefusedError(-1120, "Invalid interval.")
        limit = _number(query, "limit", 500, most=1500)
        start, end = _number(query, "startTime", -1), _number(query, "endTime", now)
        width = INTERVALS_MS[interval]
        if start < 0:
            start = (min(end, now) // width - limit + 1) * width
        oldest = self._tape.id_at(listing.native, 0)
        begin = self._tape.trades(listing.native, oldest, oldest + 1).time // width * width
        start = max(start, *begin.tolist())
        rows = self._tape.candles(listing.native, interval, start, min(end, start + limit * width - 1), now)
        weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
        return weight, wire.rest_candles(listing, rows, interval)

    def _depth(self, market: Market, query: dict[str, str]) -> tuple[int, object]:
        listing, limit = self._listing(query), _number(query, "limit", 500)
        if limit not in DEPTH_WEIGHTS:
            raise _RefusedError(-4021, f"{limit} is not valid depth limit.")
        shown = market.depth[listing.native].shown(self._clock.now_ms())
        return DEPTH_WEIGHTS[limit], wire.rest_depth(listing, shown, limit)

    def _open_interest(self, market: Market, query: dict[str, str]) -> tuple[int, object]:
        listing, now = self._listing(query), self._clock.now_ms()
        return 1, wire.open_interest(listing, market.open_interest(listing.native, now), now)

    def _agg_trades(self, query: dict[str, str]) -> tuple[int, object]:
        listing, now = self._listing(query), self._clock.now_ms()
        limit = _number(query, "limit", 500, most=1000)
        start, end = _number(query, "startTime", -1), _number(query, "endTime", -1)
        stop = self._tape.unpublished(listing.native, now)
        if "fromId" in query:
            if start >= 0 or end >= 0:
                raise _RefusedError(-1128, "Combination of optional parameters invalid.")
            first = _number(query, "fromId", 0)
        elif start >= 0:
            if end >= 0 and end - start > HOUR_MS:
                raise _RefusedError(-1127, "More than 1 hours between startTime and endTime.")
            first = self._tape.id_at(listing.native, start)
            stop = min(stop, self._tape.id_at(listing.native, end + 1)) if end >= 0 else stop
        else:
            stop = min(stop, self._tape.id_at(listing.native, end + 1)) if end >= 0 else stop
            first = stop - limit
        first = max(first, self._tape.id_at(listing.native, 0))
        trades = self._tape.trades(listing.native, first, min(stop, first + limit))
        lost = [number for native, number in tuple(self._faults.lost) if native == listing.native]
        if lost:
            trades = trades.cut(~np.isin(trades.id, lost))
        return 20, wire.rest_trades(listing, trades)


def _number(query: dict[str, str], name: str, default: int, most: int = 2**62) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isdecimal() and len(text) < 19 and int(text) <= most):
        raise _RefusedError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return int(text)
