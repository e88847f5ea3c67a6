"""Rules over stored rows find what the flow found."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from pipelines import ledger
from pipelines.jobs import load
from pipelines.market import DAY_US, TABLES
from pipelines.rules.book import Rules, read
from pipelines.rules.history import Tried, fired
from pipelines.rules.metrics import BARS, VPIN
from pipelines.store.lake import Lake
from tests import tapes
from tests.conftest import SHARED
from tests.pipelines.test_jobs import archive, job

RULES = read("""
rules:
- {name: above, when: close > vwap, cooldown: 2}
- {name: lead, symbol: AAA-USDT-PERP, when: 'mom_bps_1m > m("BBB-USDT-PERP", "mom_bps_1m")'}
- {name: both, when: 'm("AAAUSDT", "close") > m("BBB-USDT-PERP", "close") or trades > 0'}
- {name: toxic, when: vpin_flag > 0.3 and pct >= 0, setting: v2.5x5, persistence: 2}
- {name: bulk, when: vpin_bvc > 0.1}
- {name: leans, when: p_up > 0.6 and confidence > 0.5, cooldown: 60}
- {name: many, when: rvol_15m > 1.2 and abs(trade_imbalance_5m) > 0.3, persistence: 2, severity: 3}
""")
COMPARED = ["alert_id", "symbol", "ts", "end", "detector", "version", "severity", "score", "threshold", "label", "details"]


def same(lake: Lake, tried: Tried) -> list[str]:
    """Compare with what the lake holds; return the names of the rules that fired."""
    stored = lake.table("alerts").filter(pl.col("source") == "rule").collect()
    theirs = sorted(stored.with_columns(pl.col("ts", "end").dt.epoch("us")).select(COMPARED).rows())
    ours = sorted(
        (
            a.alert_id,
            a.instrument.symbol,
            a.ts,
            a.end,
            a.detector,
            a.version,
            a.severity,
            a.score,
            a.threshold,
            a.label,
            a.details,
        )
        for a in tried.alerts
    )
    assert ours == theirs
    return sorted(set(stored["detector"]))


def filled(path: Path, rules: Rules, across_midnight: bool) -> Lake:
    """Return a lake of two instruments in one tape."""
    lake = Lake(path)
    lake.create()
    made = tapes.signals()
    made.watch.configure(rules)
    begin = tapes.DAY + DAY_US - 600_000_000 if across_midnight else tapes.DAY
    for name, table in tapes.run(made, tapes.rows(4, 2000, begin=begin, span_us=1_200_000_000)).items():
        _store(lake, name, table)
    _store(lake, "instruments", pa.concat_tables([ledger.instrument(it, tapes.DAY * 1000) for it in tapes.INSTRUMENTS]))
    return lake


def _store(lake: Lake, name: str, table: pa.Table) -> None:
    assert lake.commit(name, "test", 0, lake.stage(name, table, "test-00000000", {}))


@pytest.mark.parametrize("across_midnight", [False, True])
def test_history_of_two_instruments_is_that_of_the_flow(tmp_path: Path, across_midnight: bool) -> None:
    lake = filled(tmp_path / "lake", RULES, across_midnight)
    assert {"above", "both", "lead", "toxic"} <= set(same(lake, fired(lake, RULES, "adv50x50")))


def test_history_of_days_is_that_of_the_job(tmp_path: Path) -> None:
    paths, first = [], 1
    for day in range(2):
        paths.append(tmp_path / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv")
        first = archive(paths[-1], day, day, first)
    for path in paths:
        load(job(tmp_path / "lake", path)._replace(rules=RULES))
    lake = Lake(tmp_path / "lake")
    tried = fired(lake, RULES, "adv50x50")
    assert {"above", "many", "bulk", "toxic", "leans"} <= set(same(lake, tried))
    assert tried.missing["lead", "binance-usdm", "AAA-USDT-PERP", 'm("BBB-USDT-PERP", "mom_bps_1m")'] > 2000
    inputs = lake.table("inputs").filter(pl.col("kind") == "rules").collect()
    assert inputs.height == 2, "one for each job"


def test_a_span_shows_what_fired_in_it(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake", RULES, across_midnight=False)
    every = fired(lake, RULES, "adv50x50").alerts
    at, since = tapes.DAY + 300_000_000, "2023-11-15T00:05Z"
    later = fired(lake, RULES, "adv50x50", since).alerts
    assert later == [a for a in every if a.ts >= at] != every
    assert fired(lake, RULES, "adv50x50", None, since).alerts == [a for a in every if a.ts < at]
    assert fired(lake, RULES, "adv50x50", "2024-01-01").alerts == []


def test_a_job_with_rules_is_another_job(tmp_path: Path) -> None:
    path = tmp_path / "AAAUSDT-aggTrades-2023-11-15.csv"
    archive(path, 0, 0, 1, 100)
    plain = job(tmp_path / "lake", path)
    assert len({plain.name, plain._replace(rules=RULES).name, plain._replace(rules=RULES[:1]).name}) == 3
    assert plain._replace(rules=()).name == plain.name


def test_every_metric_stands_in_its_table() -> None:
    assert set(BARS) <= set(TABLES["bars"].schema.names)
    assert set(VPIN) <= set(TABLES["vpin"].schema.names)


@pytest.mark.real
def test_history_of_recorded_days_is_that_of_the_flow(tmp_path: Path) -> None:
    rules = read("""
rules:
- {name: runs, when: abs(mom_bps_15m) > 50 and rvol_5m > 1.5, persistence: 2, cooldown: 30}
- {name: jumps, when: jump_5m and not gap}
- {name: leans, when: p_up > 0.7 or p_up < 0.3, persistence: 3, cooldown: 60}
""")
    source = SHARED / "trades/freqtrade_XRP_OLD-trades.json.gz"
    load(job(tmp_path / "lake", source, venue="binance-spot", complete=False)._replace(rules=rules))
    lake = Lake(tmp_path / "lake")
    tried = fired(lake, rules, "adv50x50")
    assert {"runs", "leans"} <= set(same(lake, tried))
    assert tried.judged["runs", "binance-spot", "XRP-ETH"] == 2469
