"""Frames to columns, beside cryptofeed's parse-and-callback of the same lines in the same run.

The sides take turns, each in its own process, and the best turn of each counts, in processor time. Ours gets the lines 256 at
a time: the flow takes what the recorder wrote since it last looked. Cryptofeed gets them one by one, as from its
socket, and its callback only counts. `CRYPTOFEED_PYTHON` names a Python that has cryptofeed; without it, one is made in a
temporary folder.

    python -m benchmarks.decoders
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from benchmarks.report import Line, show
from pipelines.sources.captures import json_line, timed
from pipelines.sources.files import blocks
from pipelines.venues import venue
from tests.conftest import SHARED

CRYPTOFEED: Final = "cryptofeed==2.4.1"
LINES: Final = 25_600
BATCH: Final = 256
TURNS: Final = 6
REPETITIONS: Final = 5
GOAL: Final = 2
MARKET_TRADES: Final = (
    b'{"channel":"market_trades","client_id":"","timestamp":"2026-04-07T14:30:02.789012Z","sequence_num":5,"events":'
    b'[{"type":"update","trades":[{"trade_id":"995098700","product_id":"BTC-USD","price":"68900.50","size":"0.00150000",'
    b'"side":"BUY","time":"2026-04-07T14:30:02.789012Z"}]}]}'
)
MATCH: Final = (
    b'{"type":"match","trade_id":998200401,"maker_order_id":"0b7a2c10-1111-4a11-8a11-000000000003","taker_order_id":'
    b'"0b7a2c10-1111-4a11-8a11-000000000004","side":"sell","size":"0.00500000","price":"91260.02","product_id":"BTC-USD",'
    b'"sequence":118822003377,"time":"2026-11-20T20:00:00.010123Z"}'
)
AGG_TRADE: Final = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1795204800115,"a":%d,"s":"BTCUSDT","p":"%.2f","q":"%.3f",'
    b'"f":7000001,"l":7000002,"T":1795204800102,"m":true}}'
)
BOOK_TICKER: Final = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":%d,"s":"BTCUSDT","b":"%.2f","B":"%.3f","a":"99999.90",'
    b'"A":"3.120","T":1795204800119,"E":1795204800121}}'
)


class Kind(NamedTuple):
    """Lines of one kind; `theirs` is the exchange's name at cryptofeed, empty if its class knows no such lines."""

    what: str
    venue: str
    theirs: str
    lines: list[bytes]
    entries: int


def recorded(capture: str, stream: bytes) -> list[bytes]:
    """Return the lines of a stream in a recording, over and over if they are too few; none if there is no recording."""
    path = SHARED / "captures" / capture
    read = json_line if capture.endswith(".jsonl.zst") else timed
    taken = (read(line) for block in blocks(path, 0, LINES) for line in block) if path.exists() else ()
    found = [frame[1].rstrip() for frame in taken if frame and stream in frame[1][:60]]
    return list(islice(cycle(found), LINES))


def made_up(form: bytes) -> list[bytes]:
    """Return lines of a stream of Binance, in the true form."""
    return [form % (3_055_120_001 + k, 91_000 + k % 997 / 10, 1 + k % 89 / 1000) for k in range(LINES)]


def market_trades(trades: int) -> list[bytes]:
    """Return lines of Coinbase Advanced Trade with some trades each, newest first, after the fixture if it is there."""
    frame: dict[str, Any] = json.loads(MARKET_TRADES)
    path = SHARED / "fixtures" / "coinbase.jsonl.gz"
    if path.exists():
        with gzip.open(path) as lines:
            (frame,) = (f["data"] for f in map(json.loads, lines) if f["path"].endswith("ws_market_trades.json"))
    one = frame["events"][0]["trades"][0]
    made = []
    for k in range(LINES):
        fills = [_changed(one, k * trades + j, str) for j in reversed(range(trades))]
        made.append(_written(frame | {"sequence_num": k, "events": [{"type": "update", "trades": fills}]}))
    return made


def matches() -> list[bytes]:
    """Return lines of Coinbase Exchange."""
    one = json.loads(MATCH)
    return [_written(_changed(one, k, int)) for k in range(LINES)]


def _changed(trade: dict[str, Any], k: int, number: type[str | int]) -> dict[str, Any]:
    moment = f"{trade['time'][:17]}{k // 100 % 60:02d}.{k * 10_007 % 1_000_000:06d}Z"
    price, size = f"{68_000 + k % 9973 / 100:.2f}", f"{(k % 9_967 + 1) / 1e5:.8f}"
    return trade | {"trade_id": number(995_098_700 + k), "price": price, "size": size, "time": moment}


def _written(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def kinds() -> Iterator[Kind]:
    """Return what is read."""
    for name, capture, form in (
        ("aggTrade", "BINANCE_FUTURES.jsonl.zst", AGG_TRADE),
        ("bookTicker", "usdm_btcusdt_20240719.gz", BOOK_TICKER),
    ):
        lines = recorded(capture, f"@{name}".encode())
        told = "recorded" if lines else f"made up, as there is no {capture}"
        yield Kind(f"Binance USD-M {name}, {told}", "binance-usdm", "binance", lines or made_up(form), LINES)
    for trades in (1, 2, 5):
        what = f"Coinbase Advanced market_trades, {trades} trade{'s' * (trades > 1)} a line"
        yield Kind(what, "coinbase-advanced", "coinbase", market_trades(trades), LINES * trades)
    yield Kind("Coinbase Exchange match", "coinbase", "", matches(), LINES)


def ours(kind: Kind) -> float:
    """Return the seconds of the best repetition."""
    decode, tape = venue(kind.venue).decode, venue(kind.venue).rules.tape
    batches = [kind.lines[at : at + BATCH] for at in range(0, LINES, BATCH)]
    best = float("inf")
    for _ in range(REPETITIONS):
        entries = 0
        begun = time.process_time()
        for batch in batches:
            decoded = decode(batch, tape)
            entries += decoded.rows.size + decoded.quotes.size
        best = min(best, time.process_time() - begun)
        _expect(kind, entries)
    return best


def theirs(kind: Kind, python: str) -> float:
    """Return the seconds of the best repetition."""
    natives = {decoded for at in range(0, LINES, BATCH) for decoded in _names(kind, at)}
    command = [python, str(Path(__file__).with_name("cryptofeed_side.py")), kind.theirs, str(REPETITIONS), *sorted(natives)]
    with TemporaryDirectory() as folder:  # its log is written where it runs
        done = subprocess.run(command, input=b"\n".join(kind.lines), capture_output=True, check=True, cwd=folder)
    best, called = done.stdout.split()
    _expect(kind, int(called))
    return float(best)


def _names(kind: Kind, at: int) -> list[str]:
    return venue(kind.venue).decode(kind.lines[at : at + BATCH], venue(kind.venue).rules.tape).symbols


def _expect(kind: Kind, entries: int) -> None:
    if entries != kind.entries:
        raise AssertionError(f"{kind.what}: {entries} entries of {kind.entries}")


def cryptofeed(folder: Path) -> tuple[str, str]:
    """Return a Python that has cryptofeed, or else why there is none."""
    if named := os.environ.get("CRYPTOFEED_PYTHON"):
        return named, ""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", CRYPTOFEED], capture_output=True, text=True, cwd=folder, check=False
    )
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    return (python, "") if done.returncode == 0 else ("", lines[-1][:200])


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        python, why = cryptofeed(Path(folder))
        if not python:
            yield Line(f"{CRYPTOFEED} could not be had: {why}", "")
        for kind in kinds():
            against = python if kind.theirs else ""
            turns = [(ours(kind), theirs(kind, against) if against else 0.0) for _ in range(TURNS)]
            mine, other = (min(side) / LINES * 1e6 for side in zip(*turns, strict=True))
            yield Line(f"{kind.what}: to columns, {BATCH} lines a batch", f"{mine:.2f} us a line")
            if against:
                yield Line(f"{kind.what}: {CRYPTOFEED} to callbacks", f"{other:.2f} us a line")
                yield Line(f"{kind.what}: as fast as cryptofeed, times", f"{other / mine:.2f}", str(GOAL))
            elif python:
                yield Line(f"{kind.what}: cryptofeed's class reads Advanced Trade alone", "")


if __name__ == "__main__":
    show(run())
