"""Learning which minutes look as they did before large moves, and judging it on days that came later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import learned_scores
from pipelines.feature_tables import VERSION
from pipelines.kernels import alarm
from pipelines.learned_model import Model, Term
from pipelines.research import events, rules, scores
from pipelines.research.events import INSTRUMENT

if TYPE_CHECKING:
    from pipelines.research.rules import Rule
    from pipelines.research.scores import Score

COLUMNS: Final = (
    *("mom_bps_1m", "mom_bps_5m", "mom_bps_15m", "rvol_1m", "rvol_5m", "rvol_15m"),
    *("rv_15m", "rv_1h", "rv_1d"),
)
"""Measures without a unit of their own, made from trades alone: a model can be used for other instruments."""
GENERATED: Final = ("demo",)
"""Venues whose market is made up."""
FLOOR: Final = 0.05
"""Quantile of the magnitudes that are not 0, below which they count the same: ln 0 is none."""
LEAST_EVENTS: Final = 20
FALSE_PER_DAY: Final = 2.0
REARM: Final = 0.7
COOLDOWN_MIN: Final = 30
_ROW = [*INSTRUMENT, "ts", "end"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Unfit(ValueError):
    """Rows that nothing can be learned from, or judged on; the message says why."""


def recorded(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that were recorded, not generated."""
    return frame.filter(~pl.col("venue").is_in(GENERATED))


def later(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of UTC dates after those that a model was learned from."""
    return frame.filter(pl.col("ts").dt.date() > model.last)


def learn(features: pl.DataFrame, bars: pl.DataFrame, rule: Rule, horizon_us: int, false_per_day: float = FALSE_PER_DAY) -> Model:
    """Learn from rows of table `features` which minutes an event followed.

    The same rows give the same model: nothing is drawn, and rows are put in order first.

    Parameters
    ----------
    features, bars
        Rows of tables `features` and `bars` (those of one minute count) of the days to learn from.
    rule, horizon_us
        What is foretold: an event that begins at or after the minute's end and is over within the horizon (us).
    false_per_day
        The level is what minutes without an event reached so many times a day and instrument.

    Raises
    ------
    Unfit
        If there are too few events, or all rows are generated.
    """
    rows = _rows(recorded(features), COLUMNS)
    bars = recorded(bars)
    if rows.is_empty():
        raise Unfit(f"no recorded minute has {', '.join(COLUMNS)}; the first day has no rv_1d")
    follows, known = _followed(rows, bars, rule, horizon_us)
    happened = events.find(rule, bars).height
    if happened < LEAST_EVENTS:
        raise Unfit(f"{happened} events of {rules.name(rule)}, needs {LEAST_EVENTS}: take more days, or smaller moves")
    terms, intercept = _fit(rows, follows, known)
    model = Model(
        features=VERSION,
        event=rules.name(rule),
        horizon=rules.span_text(horizon_us),
        instruments=tuple(f"{venue} {symbol}" for venue, symbol in rows.select(INSTRUMENT).unique().sort(INSTRUMENT).iter_rows()),
        first=rows["ts"].dt.date().min(),
        last=max(rows["ts"].dt.date().max(), bars["ts"].dt.date().max()),  # type: ignore[type-var]
        terms=terms,
        intercept=intercept,
        level=0.5,
        rearm=REARM,
        cooldown_min=COOLDOWN_MIN,
    )
    return model.model_copy(update={"level": _level(model, rows, known & ~follows, false_per_day)})


def alerts(model: Model, features: pl.DataFrame) -> pl.DataFrame:
    """Return the alerts that the flow would give on rows of table `features`: `venue`, `symbol`, `ts`, `end`, `score`."""
    told = []
    for part in _rows(features, [term.column for term in model.terms]).partition_by(INSTRUMENT, maintain_order=True):
        found = _scored(model, part)
        told.append(part.select(_ROW).with_columns(score=found.scores).filter(pl.Series(found.told)))
    return pl.concat(told) if told else features.select(_ROW).with_columns(score=0.0).clear()


def judge(model: Model, features: pl.DataFrame, bars: pl.DataFrame) -> Score:
    """Score a model's alerts on recorded dates after its own; whatever else the frames hold is left out.

    Raises
    ------
    Unfit
        If there are none.
    """
    features, bars = (later(model, recorded(frame)) for frame in (features, bars))
    if features.is_empty() or bars.is_empty():
        raise Unfit(f"no recorded days after {model.last}, the last that was learned from: nothing to judge on")
    rule = rules.parse(model.event)
    found = alerts(model, features)
    return scores.score(found, events.find(rule, bars), events.watched(rule, bars), rules.span_us(model.horizon))


def _rows(features: pl.DataFrame, columns: tuple[str, ...] | list[str]) -> pl.DataFrame:
    """Return the minutes of which every column is known, in order."""
    return features.select(*_ROW, *columns).drop_nulls(columns).unique([*INSTRUMENT, "ts"], keep="last").sort(*INSTRUMENT, "ts")


def _followed(rows: pl.DataFrame, bars: pl.DataFrame, rule: Rule, horizon_us: int) -> tuple[Flags, Flags]:
    """Return which minutes an event followed, and of which this can be told: watched for all of the horizon."""
    found, seen = events.find(rule, bars), events.watched(rule, bars)
    follows, known = np.zeros(rows.height, np.bool_), np.zeros(rows.height, np.bool_)
    which = rows.with_row_index("at")
    for key, mine in which.partition_by(INSTRUMENT, as_dict=True).items():
        here = dict(zip(INSTRUMENT, key, strict=True))
        ends, at = _us(mine["end"]), mine["at"].to_numpy()
        happened, watched = found.filter(**here), seen.filter(**here)
        starts = _us(happened["start"])
        following = np.searchsorted(starts, ends)
        there = following < starts.size
        follows[at[there]] = _us(happened["end"])[following[there]] <= ends[there] + horizon_us
        spell = np.searchsorted(_us(watched["start"]), ends, "right") - 1
        inside = spell >= 0
        known[at[inside]] = ends[inside] + horizon_us <= _us(watched["end"])[spell[inside]]
    return follows, known


def _fit(rows: pl.DataFrame, follows: Flags, known: Flags) -> tuple[tuple[Term, ...], float]:
    """Fit scikit-learn's logistic regression (L2, C = 1) to standardised logarithms of magnitudes."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - loads for seconds

    bare, standard = [], np.empty((rows.height, len(COLUMNS)))
    for k, column in enumerate(COLUMNS):
        size = np.abs(rows[column].to_numpy())
        if not (size > 0).any():
            raise Unfit(f"{column} is 0 throughout")
        floor = float(np.quantile(size[size > 0], FLOOR))
        logs = np.log(np.maximum(size, floor))
        low, center, high = (float(q) for q in np.quantile(logs, [0.25, 0.5, 0.75]))
        if not high > low:
            raise Unfit(f"{column} hardly changes")
        bare.append((column, floor, center, high - low))
        standard[:, k] = (logs - center) / (high - low)
    fit = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(standard[known], follows[known])
    weights = fit.coef_[0].tolist()
    terms = tuple(
        Term(column=name, floor=floor, center=center, scale=scale, weight=weight)
        for (name, floor, center, scale), weight in zip(bare, weights, strict=True)
    )
    return terms, float(fit.intercept_[0])


def _level(model: Model, rows: pl.DataFrame, quiet: Flags, per_day: float) -> float:
    """Return the probability that minutes which no event followed reached `per_day` times a day."""
    peaks, days = [], 0.0
    for part in rows.with_columns(quiet=quiet).partition_by(INSTRUMENT, maintain_order=True):
        values = np.where(part["quiet"].to_numpy(), _scored(model, part).scores, np.nan)
        ts = _us(part["ts"])
        date = ts // (alarm.DAY_MINUTES * alarm.MINUTE)
        for day in np.unique(date).tolist():
            of_day, found = np.full(alarm.DAY_MINUTES, np.nan), np.empty(alarm.PEAKS)
            of_day[ts[date == day] // alarm.MINUTE % alarm.DAY_MINUTES] = values[date == day]
            days += alarm.peaks(of_day, found)
            peaks.append(found)
    if days < 1.0:
        raise Unfit("less than a day of minutes that no event followed")
    return float(alarm.level(np.concatenate(peaks), days, per_day, 0.0))


def _scored(model: Model, part: pl.DataFrame) -> learned_scores.Scored:
    figures = part.select([term.column for term in model.terms]).to_numpy()
    first = np.zeros(part.height, np.int64)
    return learned_scores.score(model, first, _us(part["ts"]), np.ascontiguousarray(figures), learned_scores.fresh(1))


def _us(times: pl.Series) -> npt.NDArray[np.int64]:
    return times.dt.epoch("us").to_numpy()
