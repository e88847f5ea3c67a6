"""`tapeflow rules`: what it prints, and how it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.jobs import load
from pipelines.rules.book import read
from pipelines.rules.metrics import METRICS
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.test_jobs import archive, job

pytestmark = pytest.mark.usefixtures("place")

DOCS = Path(__file__).parents[2] / "docs" / "rules.md"
RULES = """\
rules:
- {name: turns, symbol: AAAUSDT, when: mom_bps_15m > 20, cooldown: 30, severity: 2}
- {name: nothing, symbol: ZZZ-USDT, when: close > 1}
- {name: jumps, symbol: AAA-USDT-PERP, when: abs(jump_z_1d) > 1 or close / 0 > 1}
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rules")
    archive(folder / "AAAUSDT-aggTrades-2023-11-15.csv", 1, 0, 1)
    load(job(folder / "lake", folder / "AAAUSDT-aggTrades-2023-11-15.csv")._replace(rules=read(RULES)))
    return str(folder / "lake")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["rules", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_check_tells_every_fault(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "rules.yaml").write_text("rules:\n- name: a\n  when: clos > 1\n  severity: 9\n")
    status, _, err = run(capsys, "check")
    assert status == 2
    assert err.splitlines() == [
        "tapeflow: rules.yaml:3: rule a: when, column 9: there is no metric clos; did you mean close?",
        "tapeflow: rules.yaml:4: rule a: severity: write a whole number from 1 to 3 (1 notice, 2 warning, 3 severe)",
    ]


def test_check_notes_what_is_not_recorded(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = """\
rules:
- {name: a, symbol: BTC-USDT, setting: v3x50, when: 'pct > m("okx", "BTC-USDT", "pct")'}
- {name: b, symbol: BTCUSDTPERP, when: pct > 1}
"""
    (place / "mine.yaml").write_text(rules)
    status, out, err = run(capsys, "check", "mine.yaml")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "note: rule a: symbol BTC-USDT is not recorded; did you mean BTC-USDT-PERP?",
        "note: rule a: venue okx is not recorded; the settings name binance-usdm",
        "note: rule a: VPIN setting v3x50 is not computed; the settings name adv50x50",
        "mine.yaml: 2 rules, no fault",
    ]


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["check"], ["list"], ["test"]):
        status, _, err = run(capsys, *argv)
        assert (status, err) == (
            2,
            "tapeflow: rules.yaml: no such file; docs/rules.md shows one, `rules:` of the settings names another\n",
        )


def test_list(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "rules.yaml").write_text(RULES)
    status, out, _ = run(capsys, "list", "--json")
    listed = json.loads(out)
    assert status == 0
    assert (listed[0]["name"], listed[0]["when"], listed[0]["cooldown"]) == ("turns", "mom_bps_15m > 20", 30)
    assert listed[0]["version"] == read(RULES)[0].version
    assert "mom_bps_15m > 20" in run(capsys, "list")[1]
    metrics = json.loads(run(capsys, "list", "--metrics", "--json")[1])
    assert [m["metric"] for m in metrics] == list(METRICS)
    assert {m["table"] for m in metrics} == {"bars", "features", "posture", "vpin"}


def test_rules_are_tried_on_history(place: Path, lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "rules.yaml").write_text(RULES)
    status, out, _ = run(capsys, "test", "--lake", lake, "--json")
    tried = json.loads(out)
    stored = Lake(lake).sql("""select alert_id from alerts where source = 'rule' order by "end" """).fetchall()
    assert status == 0
    assert [(a["alert_id"],) for a in tried] == stored
    assert len(stored) > 3
    status, out, _ = run(capsys, "test", "--lake", lake)
    lines = out[out.rindex("┘") + 2 :].splitlines()
    counts = [re.sub(r"\d+(,\d{3})*", "#", line) for line in lines]
    assert counts == [
        "turns binance-usdm AAA-USDT-PERP: # alerts in # minutes with trades",
        "  mom_bps_#m: null in # of them, where the rule is false",
        "nothing: no minutes of ZZZ-USDT there; `tapeflow coverage` shows what the lake holds",
        "jumps binance-usdm AAA-USDT-PERP: # alerts in # minutes with trades",
        *(counts[4:]),
    ]
    assert any(line.startswith("  jump_z_#d: null in #") for line in counts[4:])
    assert int(lines[0].split(": ")[1].split()[0]) == len(stored)


def test_a_rule_is_chosen_by_name(place: Path, lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "other.yaml").write_text(RULES)
    status, out, _ = run(capsys, "test", "nothing", "--file", "other.yaml", "--lake", lake)
    assert (status, out) == (0, "nothing: no minutes of ZZZ-USDT there; `tapeflow coverage` shows what the lake holds\n")
    status, _, err = run(capsys, "test", "turn", "--file", "other.yaml", "--lake", lake)
    assert (status, err) == (2, "tapeflow: no rule turn; did you mean turns?\n")


def test_the_example_of_the_docs_is_right(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "rules.yaml").write_text(DOCS.read_text().split("```yaml\n")[1].split("```")[0])
    status, out, _ = run(capsys, "check")
    assert (status, out) == (0, "rules.yaml: 3 rules, no fault\n")


def test_load_takes_the_rules_of_the_settings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "rules.yaml").write_text("rules:\n- {name: any, when: trades > 0}\n")
    archive(place / "AAAUSDT-aggTrades-2023-11-15.csv", 1, 0, 1, 200)
    argv = ["AAAUSDT-aggTrades-2023-11-15.csv", "--venue", "binance-usdm", "--lake"]
    assert main(["load", *argv, "one"]) == main(["replay", *argv, "two"]) == 0
    query = "select alert_id, score from alerts where source = 'rule' order by all"
    one, two = (Lake(place / name).sql(query).fetchall() for name in ("one", "two"))
    assert one == two
    assert len(one) == 1
    (place / "rules.yaml").write_text("rules: [")
    assert main(["load", *argv, "three"]) == 2
    assert "rules.yaml:1: no valid YAML" in capsys.readouterr().err
