"""`init` writes settings that are the defaults; `venues` and `version`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import tapeflow
from pipelines.settings import VENUES, load
from tapeflow.cli import main
from tapeflow.template import template

pytestmark = pytest.mark.usefixtures("place")


def uncommented(text: str) -> str:
    return re.sub(r"^# ", "", text, flags=re.MULTILINE)


def test_init_writes_the_defaults() -> None:
    defaults = load()
    assert main(["init"]) == 0
    assert load() == defaults


def test_every_line_uncommented_is_the_defaults_too() -> None:
    defaults = load()
    text = uncommented(template())
    said = json.loads(defaults.model_dump_json())
    said["kernels"]["detectors"]["learned"]["model"] = "built-in"  # stands for all its numbers
    assert yaml.safe_load(text) == said, "every setting is in the file"
    Path("tapeflow.yaml").write_text(text)
    assert load() == defaults


def test_one_setting_uncommented_changes_that_one() -> None:
    defaults = load()
    text = template().replace("# ports:", "ports:").replace("#   dagster: 3000", "  dagster: 3100")
    Path("tapeflow.yaml").write_text(text)
    ports = defaults.ports.model_copy(update={"dagster": 3100})
    assert load() == defaults.model_copy(update={"ports": ports})


def test_settings_are_explained() -> None:
    text = template()
    assert "##     sockets per feed\n#     redundancy: 1  # 1 or 2\n" in text
    assert "#   dagster: 3000  # at least 1, at most 65535\n" in text
    assert "# log_level: info  # debug or info or warning or error\n" in text


def test_init_keeps_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tapeflow.yaml").write_text("shard: mine\n")
    assert main(["init"]) == 1
    assert "tapeflow.yaml is there already; --force" in capsys.readouterr().err
    assert Path("tapeflow.yaml").read_text() == "shard: mine\n"
    assert main(["init", "--force"]) == 0
    assert load().shard == "main"


def test_init_writes_where_the_settings_are_read(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("TAPEFLOW_CONFIG", str(place / "other.yaml"))
    assert main(["init"]) == 0
    assert (place / "other.yaml").exists()
    assert not (place / "tapeflow.yaml").exists()


def test_venues(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tapeflow.yaml").write_text(
        "venues: {binance-spot: {symbols: [BTC-USDT]}}\nendpoints: {binance-spot: 'http://127.0.0.1:1'}\n"
    )
    assert main(["venues", "--json"]) == 0
    listed = {row["venue"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(VENUES)
    assert listed["binance-spot"]["symbols"] == ["BTC-USDT"]
    assert listed["binance-spot"]["rest"] == "http://127.0.0.1:1"
    assert listed["binance-usdm"]["symbols"] == []
    assert main(["venues"]) == 0
    assert "binance-usdm" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"{tapeflow.__version__}\n"


@pytest.mark.parametrize("volume", ["abc", "-1", "", "0", "0.000", "1e9", "0.0000000000001"])
def test_a_bucket_volume_that_is_none_is_refused(volume: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("AAAUSDT-aggTrades-2023-11-15.csv")
    path.write_text("1,100,1,1,1,1700006400000,true\n")
    status = main(["load", str(path), "--venue", "binance-usdm", "--lake", "lake", f"--bucket-volume={volume}"])
    err = capsys.readouterr().err
    assert (status, Path("lake").exists()) == (2, False)
    assert f"--bucket-volume {volume}: write units of base, above 0, like 5 or 0.25" in err
    assert "Traceback" not in err


def test_a_load_that_was_done_before_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("AAAUSDT-aggTrades-2023-11-15.csv")
    path.write_text("1,100,1,1,1,1700006400000,true\n")
    told = []
    for _ in range(2):
        assert main(["load", str(path), "--venue", "binance-usdm", "--lake", "lake", "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    first, again = told
    assert first["rows"]["trades"] == 1
    assert again == first | {"rows": {}}, "nothing was written"
