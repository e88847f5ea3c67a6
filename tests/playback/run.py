"""A recorder and a flow of their own on the venues that are played, all at once, as a desk does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from pipelines.records import Kind
from pipelines.store.journal_report import entries
from pipelines.store.lake import Lake
from pipelines.venues import venue as venue_named
from tests.faults.house import ROOT, wait_for
from tests.playback import binance, okx
from tests.playback.bybit import Bybit
from tests.playback.coinbase import Advanced, Exchange
from tests.playback.kraken import Kraken
from tests.playback.market import TICK, Forced, Trade
from tests.playback.server import Playback, Script
from tests.ports import free_ports

RECORD = """
from dataflows.recording import liveness
from tapeflow.cli import main
liveness.STALLED = liveness.FIRST_DATA = 10**9
raise SystemExit(main(["record"]))
"""
"""A recorder that takes no socket for dead and no feed for silent: a recording ends, and a busy machine stalls who plays it."""
SECONDS = 400.0
"""Within which a process is done, on a machine with much else to do."""


class Played(NamedTuple):
    """What a lake holds of a run."""

    lake: Lake
    asked: dict[str, list[str]]
    said: str

    def rows(self, table: str, venue: str, symbol: str | None = None) -> pl.DataFrame:
        """Return the rows of a venue, in the order of the table."""
        found = self.lake.table(table).filter(pl.col("venue") == venue)
        return (found.filter(pl.col("symbol") == symbol) if symbol else found).collect()


def play(scripts: Sequence[Script], folder: Path, cut: tuple[int, int] | None = None) -> Played:
    """Record what the scripts send, all at once, and run the flow over the journal; `cut` as in `Playback`."""
    with ExitStack() as stack:
        servers = {script.venue: stack.enter_context(Playback(script, cut)) for script in scripts}
        ports = free_ports(3)
        venues = {s.venue: {"symbols": s.symbols, "feeds": sorted(venue_named(s.venue).rules.feeds)} for s in scripts}
        env = os.environ | {
            "TAPEFLOW_CONFIG": os.devnull,
            "TAPEFLOW_DATA": str(folder / "data"),
            "TAPEFLOW_VENUES": json.dumps(venues),
            "TAPEFLOW_ENDPOINTS": json.dumps({name: server.url for name, server in servers.items()}),
            "TAPEFLOW_KERNELS": json.dumps({"book": {"interval_s": 1}, "bars": ["1s", "1m"]}),
            **{f"TAPEFLOW_PORTS__{name}": str(port) for name, port in zip(("DEMO", "METRICS", "DAGSTER"), ports, strict=True)},
        }
        out = folder / "said.txt"
        with out.open("wb") as file:
            command = [sys.executable, "-c", RECORD]
            recorder = subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=file)
            stack.callback(recorder.kill)
            try:
                wait_for(
                    lambda: recorder.poll() is not None or all(s.played.is_set() for s in servers.values()),
                    "all was played",
                    SECONDS,
                )
            except AssertionError as error:
                waiting = [name for name, server in servers.items() if not server.played.is_set()]
                raise AssertionError(f"{waiting}: {error}\n{out.read_text()[-4000:]}") from None
            assert recorder.poll() is None, out.read_text()[-4000:]
            told = folder / "data" / "status" / "recorder.json"
            try:
                for _ in range(2):  # and still so behind the heartbeats
                    wait_for(partial(_whole, told, time.time_ns()), "every gap was closed and every book whole")
                    wait_for(partial(_beats, folder / "data" / "journal" / "main", time.time_ns()), "heartbeats in the journal")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{told.read_text()}\n{out.read_text()[-4000:]}") from None
            recorder.send_signal(signal.SIGTERM)
            assert recorder.wait(SECONDS) == 0, out.read_text()[-4000:]
            command = [sys.executable, "-m", "tapeflow", "run", "--until-end"]
            ended = subprocess.run(command, cwd=ROOT, env=env, stdout=file, stderr=file, timeout=SECONDS, check=False)
            assert ended.returncode == 0, out.read_text()[-4000:]
        return Played(Lake(str(folder / "data" / "lake")), {n: s.asked for n, s in servers.items()}, out.read_text())


def _whole(told: Path, since: int) -> bool:
    """Whether the recorder has said, after `since`, that no gap is open and no book broken."""
    state: dict[str, Any] = json.loads(told.read_bytes()) if told.exists() else {"at": 0}
    feeds = state.get("feeds", {})
    return state["at"] > since and not state["gaps_open"] and not any(feed["books_broken"] for feed in feeds.values())


def _beats(journal: Path, since: int) -> bool:
    """Whether there are heartbeats over a second and more after `since`: a snapshot of each book is due with them.

    Seconds of the clock do not do: a recorder that a busy machine held up does not beat for a while.
    """
    found = entries(journal, since, kinds=[Kind.HEARTBEAT])
    beats = [entry["recv_ns"] for entry in found if entry["kind"] == "heartbeat"]  # not damage: an end that is being written
    return bool(beats) and beats[-1] - beats[0] > 1.2e9


class Told(NamedTuple):
    """A venue's made-up run: whose instrument it is, and what a lot is worth.

    Attributes
    ----------
    venue, symbol : str
    contract : str
        Value of a contract; empty: a lot is a thousandth of base.
    inverse : bool
    history : int
        Trades of the past that are sent on subscribe.
    """

    venue: str
    symbol: str
    contract: str = ""
    inverse: bool = False
    history: int = 0

    def base(self, trade: Trade | Forced) -> float:
        """Return a size in base, worked out apart from ours."""
        if not self.contract:
            return trade.lots / 1000
        exact = trade.lots * Fraction(self.contract)
        if not self.inverse:
            return float(exact)
        return float(Fraction(round(exact / Fraction(trade.ticks, TICK) * 10**8), 10**8))


def everything(rest_shows: int = 1000) -> list[Script]:
    """Return a script of each venue; at Bybit's derivatives REST shows the newest `rest_shows` trades."""
    several = okx.made("BTC-USDT", "SPOT")
    for other in (okx.made("BTC-USDT-SWAP", "SWAP"), okx.made("BTC-USD-SWAP", "SWAP")):
        several.join(other)
    return [
        binance.made("binance-spot", "/api/v3", "BTCUSDT"),
        binance.made("binance-usdm", "/fapi/v1", "BTCUSDT"),
        binance.made("binance-coinm", "/dapi/v1", "BTCUSD_PERP", contract="100"),
        several,
        Bybit("spot", "BTCUSDT", "BTC-USDT"),
        Bybit("linear", "BTCUSDT", "BTC-USDT-PERP", rest_shows),
        Bybit("inverse", "BTCUSD", "BTC-USD-PERP", rest_shows),
        Exchange(),
        Advanced(),
        Kraken(),
    ]
