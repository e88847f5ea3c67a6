"""Learns the built-in model from recorded minutes in `../shared/data`, and judges it on recorded days that came later.

What is learned and how it is judged was fixed before a later day was looked at; docs/learned.md has the figures.

    python -m benchmarks.learned          # judges the model that is there
    python -m benchmarks.learned --write  # learns it again first
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import Final

import polars as pl

from pipelines.learned_model import BUILT_IN, Model, built_in
from pipelines.research import learned, rules
from pipelines.research.scores import Score
from tests import recorded_minutes

RULE: Final = "move:1%/10m"
HORIZON: Final = "20m"
LAST: Final = dt.date(2022, 1, 20)
"""Last of 20 dates of BTC-PERP at FTX that are learned from; 12 more follow."""


def model() -> Model:
    """Return what is learned from FTX's January 2022, up to `LAST`."""
    bars = pl.concat(recorded_minutes.ftx())
    known = [frame.filter(pl.col("ts").dt.date() <= LAST) for frame in (recorded_minutes.rows(bars), bars)]
    return learned.learn(known[0], known[1], rules.parse(RULE), rules.span_us(HORIZON))


def judged(of: Model) -> dict[str, Score]:
    """Return the scores on the days after, of each recording and of all."""
    out: dict[str, Score] = {}
    every: list[tuple[pl.DataFrame, pl.DataFrame]] = []
    for recording in (recorded_minutes.ftx, recorded_minutes.binance_us, recorded_minutes.usdm):
        parts = [(recorded_minutes.rows(bars), bars) for bars in recording()]
        every += parts
        out[recording.__name__] = _judge(of, parts)
    return out | {"all": _judge(of, every)}


def _judge(of: Model, parts: list[tuple[pl.DataFrame, pl.DataFrame]]) -> Score:
    features, bars = (pl.concat(frames) for frames in zip(*parts, strict=True))
    return learned.judge(of, features, bars)


def main() -> None:
    """Learn, if asked to; judge and print."""
    if "--write" in sys.argv:
        BUILT_IN.write_text(model().model_dump_json(indent=1) + "\n", encoding="utf-8")
    print("model", built_in().version)
    for name, score in judged(built_in()).items():
        p = score.precision
        print(f"{name}: {score.days:.1f} days, {score.hits} of {score.alerts}: {p.value} ({p.low} to {p.high})")
        print(f"  base rate {score.base_rate}, recall {score.recall.value}, false a day {score.false_per_day.value}")
        print(f"  unjudged {score.unjudged}, during {score.during}, lead {score.lead_s.value} s, beats base: {score.beats_base}")


if __name__ == "__main__":
    main()
