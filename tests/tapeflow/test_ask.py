"""tapeflow ask: the answer with ids and the SQL of its numbers, as text and as JSON; with a model and without."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.model_server import DRAFT, KEY, Answers, Calls, ModelServer
from tests.pipelines.briefs.lakes import known

NIGHT = "why did VPIN rise on BTC last night?"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEFLOW_CONFIG", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return known(tmp_path_factory.mktemp("ask") / "lake")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(argv))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_the_answer_and_how_to_have_its_numbers_again(lake: Lake, capsys: pytest.CaptureFixture[str], place: Path) -> None:
    status, out, _ = run(capsys, "ask", NIGHT, "--lake", lake.root)
    assert status == 0
    assert "- VPIN 0.399 [F3] at the end" in out
    (again,) = [line for line in out.splitlines() if line.startswith("F4 highest VPIN in the window (max): ")]
    command = shlex.split(again.partition(": ")[2])
    assert command[:2] == ["tapeflow", "sql"]
    status, rows, _ = run(capsys, "sql", command[2], "--lake", lake.root, "--json")
    assert status == 0
    assert max(row["value"] for row in json.loads(rows)) == 0.399
    assert list(place.iterdir()) == []  # nothing is written


def test_json(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "ask", NIGHT, "--lake", lake.root, "--json", "--at", "2024-07-20T02:00Z")
    found = json.loads(out)
    assert status == 0
    assert (found["start"], found["end"]) == ("2024-07-19T20:00:00Z", "2024-07-20T02:00:00Z")
    assert found["instruments"] == [{"venue": "demo", "symbol": "BTC-USDT"}]
    assert found["topics"] == ["vpin"]
    facts = {fact["name"]: fact for fact in found["facts"]}
    assert facts["window_minutes"]["value"] == 360
    assert facts["window_vpin"]["query"].startswith("SELECT date, vpin_flag AS value FROM")


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("how is DOGE",), 1, "not in this lake: DOGE"),
        (("hello",), 1, "ask about an instrument (BTC-USDT)"),
        ((NIGHT, "--at", "soon"), 2, "--at soon: no time"),
        ((NIGHT, "--at", "0001-01-01"), 2, "--at 0001-01-01: no rows are that old"),
        ((NIGHT, "--lake", "nowhere"), 1, "no lake at "),
    ],
)
def test_refusals(lake: Lake, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], status: int, said: str) -> None:
    where = () if "--lake" in argv else ("--lake", lake.root)
    found, out, err = run(capsys, "ask", *argv, *where)
    assert (found, out) == (status, "")
    assert err.startswith(f"tapeflow: {said}")


@pytest.mark.usefixtures("_logging")
def test_with_a_model(lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pydantic_ai", reason="the packages of a language model are not installed")
    line = "BTC-USDT: VPIN {F3} at the end, {F2} before; its highest was {F4} at {F5}, in {F8} buckets"
    with ModelServer(Calls(DRAFT, {"lines": [line]}), Answers(b"{}", 500)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        for name, value in (("PROTOCOL", "openai"), ("NAME", "test"), ("URL", f"{server.url}/v1"), ("TIMEOUT_S", "120")):
            monkeypatch.setenv(f"TAPEFLOW_BRIEFS__MODEL__{name}", value)
        status, out, _ = run(capsys, "ask", NIGHT, "--lake", lake.root)
        assert status == 0
        assert out.splitlines()[0].startswith("BTC-USDT: VPIN 0.399 [F3] at the end, not available [F2] before;")
        assert "F3 last VPIN in the window (last): tapeflow sql " in out
        status, out, err = run(capsys, "ask", NIGHT, "--lake", lake.root)  # now the host fails
        assert status == 0
        assert "- VPIN 0.399 [F3] at the end" in out
        assert "Answered by rule: the model's host answered 500" in out
        assert KEY not in out + err
