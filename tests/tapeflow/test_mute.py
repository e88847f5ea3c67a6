from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipelines.briefs.outbox import Outbox
from pipelines.briefs.telling import MUTES
from tapeflow.cli import main


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "TAPEFLOW_VENUES",
        json.dumps({"okx": {"symbols": ["BTC-USDT", "ETH-USDT"]}, "kraken": {"symbols": ["BTC-USDT", "ETH-USDT-PERP"]}}),
    )
    return tmp_path / "data" / "slack" / "outbox.db"


def test_a_symbol_is_muted_everywhere_or_at_a_venue_and_let_go(outbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = time.time_ns() // 1000
    assert main(["mute", "btcusdt", "90s"]) == 0
    after = time.time_ns() // 1000
    assert main(["mute", "BTC-USDT", "4h", "--venue", "okx"]) == 0
    mutes = Outbox(outbox).get(MUTES)
    assert mutes.keys() == {"BTC-USDT", "okx/BTC-USDT"}
    assert before + 90_000_000 <= mutes["BTC-USDT"] <= after + 90_000_000
    assert main(["mute", "BTC-USDT", "off"]) == 0
    capsys.readouterr()
    assert main(["mute", "--json"]) == 0
    assert [row["symbol"] for row in json.loads(capsys.readouterr().out)] == ["okx/BTC-USDT"]


def test_a_symbol_at_a_venue_may_be_typed_as_it_is_shown(outbox: Path) -> None:
    assert main(["mute", "okx/BTC-USDT", "4h"]) == 0
    assert Outbox(outbox).get(MUTES).keys() == {"okx/BTC-USDT"}
    assert main(["mute", "okx/BTC-USDT", "off"]) == 0
    assert Outbox(outbox).get(MUTES) == {}


def test_what_is_not_muted_is_not_said_to_be_let_go(outbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for muted, let_go, said in (
        ([], ["BTC-USDT", "off"], "BTC-USDT is not muted"),
        (
            ["BTC-USDT", "4h", "--venue", "okx"],
            ["BTC-USDT", "off"],
            "BTC-USDT is not muted everywhere but at okx: tapeflow mute BTC-USDT off --venue okx",
        ),
        (
            ["ETH-USDT", "4h"],
            ["ETH-USDT", "off", "--venue", "okx"],
            "okx/ETH-USDT is not muted by itself but wherever it is traded: tapeflow mute ETH-USDT off",
        ),
    ):
        assert not muted or main(["mute", *muted]) == 0
        assert main(["mute", *let_go]) == 1
        assert capsys.readouterr().err == f"tapeflow: {said}\n"
    assert Outbox(outbox).get(MUTES).keys() == {"okx/BTC-USDT", "ETH-USDT"}


def test_what_is_over_is_not_shown(outbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Outbox(outbox).commit([], {MUTES: {"BTC-USDT": 1}})
    assert main(["mute"]) == 0
    assert capsys.readouterr().out == "nothing is muted\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["BTC-USDC", "4h"], "BTC-USDT"),
        (["ETHUSDT", "4h"], "may be ETH-USDT or ETH-USDT-PERP: write it so"),
        (["BTC-USDT", "four hours"], "write 90s, 10m, 1h or 2d, or off to end it"),
        (["BTC-USDT", "4h", "--venue", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_muted_is_told(outbox: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    assert main(["mute", *words]) in (1, 2)
    assert told in capsys.readouterr().err
    assert Outbox(outbox).get(MUTES) is None
