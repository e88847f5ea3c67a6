"""Settings of the anomaly detectors. A baseline always lies strictly before the point that is held against it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pipelines.learned_model import Model, chosen


class Part(BaseModel):
    """A part of the settings: nothing unknown, nothing changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Held(Part):
    """A score held against a level: the least one, or what earlier dates reached so many times a day."""

    false_alarms_per_day: float = Field(4.0, gt=0, le=24, description="alarms a day that the dates before would have given")
    cooldown_s: int = Field(300, ge=0, description="seconds in which an instrument does not alert again")


class Rearmed(Held):
    """A score that must fall before it alerts again."""

    rearm: float = Field(0.7, gt=0, le=1, description="share of the level that it must fall below before it alerts again")


class BigTrade(Held):
    """Log-notional z-score of sweep-merged trades against the `window` sweeps before.

    Formula: z = (x - mean) / sd, x = ln(notional) of a run of trades of equal time and side; mean, sd (ddof 1) of the
    sweeps before; held against a level of at least `z`; the floor must be reached, below it the score is 0.
    Unit: standard deviations of ln(notional).
    Source: ours; trades of one taker order are merged, as one order walks the book in several.
    Null: until `window` sweeps are known.
    Read: Someone took far more at once than others did of late.
    Beware: What they know: it may be a hedge, a liquidation, or one leg. ln(notional) is not normal: 4 is no 1 in
    30,000. An order that is cut in pieces over time is not seen. No
    hysteresis: each sweep is an event of its own, and the next small one would re-arm it; the cooldown holds.
    """

    window: int = Field(1000, ge=30, le=10_000)
    z: float = Field(4.0, gt=0, description="least level")
    floor: float = Field(100_000.0, ge=0, description="smallest notional in quote currency (USD) that can alert")
    false_alarms_per_day: float = Field(12.0, gt=0, le=24, description="alarms a day that the 3 dates before would have given")
    cooldown_s: int = Field(60, ge=0, description="seconds in which an instrument does not alert again")


class VolumeSurge(Rearmed):
    """z of ln(1 + volume) against the `window` bars before, and relative volume.

    Formula: z = (x - mean) / sd, x = ln(1 + volume), and rvol = volume / mean volume, over the bars before, those
    without trades as 0; z is held against a level of at least `z`, and rvol must be reached.
    Unit: standard deviations of ln(1 + volume).
    Source: ours.
    Null: until `window` bars are known; where sd is 0.
    Read: Much more is traded than in the hour before.
    Beware: Direction; nor the time of day: busy hours begin with one.
    """

    bar: Literal["1s", "1m", "5m", "15m", "1h"] = "1m"
    window: int = Field(60, ge=10, le=10_000)
    z: float = Field(4.0, gt=0, description="least level")
    rvol: float = Field(3.0, ge=1)


class VpinHigh(Held):
    """VPIN's trailing percentile reaching its level from below.

    Formula: share of the past values of vpin_flag that are at most this one; held against a level of at least `pct`;
    severity 2 and 3 from 0.99 and 1.
    Unit: share, 0 to 1.
    Source: Easley, Lopez de Prado, O'Hara, RFS 25(5), 2012, alarm on the empirical distribution; here of past values
    alone.
    Null: until `kernels.percentile_min` values are known.
    Read: Flow in volume time is more one-sided than nearly always before.
    Beware: That volatility will follow: VPIN was a poor predictor of it, peaked after the flash crash, and mostly
    follows trading intensity (Andersen, Bondarenko, JFM 17, 2014). By design it is above `pct` in 1 - `pct` of buckets;
    a level of 1 cannot be told from one above it.
    """

    pct: float = Field(0.95, gt=0, le=1, description="least level")
    rearm: float = Field(0.9, gt=0, le=1, description="percentile to fall below before it alerts again, where the level is `pct`")
    cooldown_s: int = Field(0, ge=0, description="seconds in which an instrument does not alert again")


class LiquidationSpike(Rearmed):
    """Liquidated notional of a minute against the `window` minutes before, minutes without any included.

    Formula: liquidated notional of the minute by the highest of floor, 99 % order statistic and `times` x mean of the
    minutes before; held against a level of at least 1.
    Unit: quote currency.
    Source: ours; no deviation of the median, which is 0 where most minutes have none.
    Null: no feed of liquidations; until `window` minutes are known.
    Read: Positions are being closed by force.
    Beware: The whole sum: Binance sends at most the latest order a second and symbol, so this is sampled, lowest by
    most in a cascade.
    """

    window: int = Field(240, ge=10, le=10_000)
    times: float = Field(5.0, ge=1, description="multiple of the mean that must be reached, beside the 99 % order statistic")
    floor: float = Field(100_000.0, gt=0, description="smallest notional in quote currency (USD) that can alert")


class CascadeProxy(Rearmed):
    """A minute that looks like a cascade, where no liquidations are recorded: a jump on high, one-sided volume.

    Formula: |r| / sqrt(mean r^2), held against a level of at least `move`; volume >= times median, |buy - sell| / volume
    >= share, of the sign of r = ln(C_t / C_(t-1)); all must hold.
    Unit: multiple of the root mean square return.
    Source: ours.
    Null: until `window` minutes are known; where the mean square or the median is 0.
    Read: A minute as a cascade of liquidations would make it.
    Beware: That anything was liquidated: it is made from trades alone, and news makes the same minutes.
    """

    window: int = Field(60, ge=10, le=10_000)
    move: float = Field(4.0, gt=0, description="least level: multiple of the root mean square log return")
    volume: float = Field(5.0, ge=1, description="multiple of the median volume")
    one_sided: float = Field(0.6, ge=0, le=1, description="least |buy - sell| / volume, of the sign of the return")


class SpreadBlowout(Rearmed):
    """The spread at the end of a second against the `window` seconds with quotes before.

    Formula: 10,000 (ask - bid) / middle at the end of a second, by the highest of floor, 99 % order statistic and `times`
    x median of the seconds before; held against a level of at least 1.
    Unit: bps.
    Source: ours.
    Null: no best quotes; until `window` seconds with quotes are known.
    Read: Makers have stepped back: taking costs more than usual.
    Beware: Why; and one large order can empty the best level for a second.
    """

    window: int = Field(300, ge=30, le=10_000)
    times: float = Field(5.0, ge=1, description="multiple of the median that must be reached, beside the 99 % order statistic")
    floor_bps: float = Field(2.0, gt=0, description="smallest spread that can alert")
    cooldown_s: int = Field(60, ge=0, description="seconds in which an instrument does not alert again")


class BookImbalance(Rearmed):
    """(bid sizes - ask sizes) / their sum over the best levels, at several snapshots of the book in a row.

    Formula: (bid sizes - ask sizes) / their sum over the best `levels`: the least of `snapshots` snapshots in a row, 0 if
    these are not all to the same side; held against a level of at least `threshold`.
    Unit: share, 0 to 1.
    Source: ours.
    Null: no book, or it has broken; snapshots that do not follow each other.
    Read: Far more is bid than offered, or the other way, and stays so.
    Beware: That it will be traded: orders that are shown can be withdrawn, and some are there to be seen.
    """

    levels: int = Field(5, ge=1, le=20)
    threshold: float = Field(0.8, gt=0, le=1, description="least level")
    snapshots: int = Field(6, ge=1, le=1000)
    cooldown_s: int = Field(60, ge=0, description="seconds in which an instrument does not alert again")


class StaleFeed(Part):
    """No trade for many expected gaps, of an instrument that usually trades, while heartbeats go on; once an episode.

    Formula: time since the last trade >= floor and >= `gaps` x mean time between trades of the minutes before, while
    the venue's clock goes on.
    Unit: seconds.
    Source: ours.
    Null: below `per_minute` trades; until `window_min` minutes are known; sources without heartbeats (captures,
    archives).
    Read: Trades stopped although the connection lives: a halt, or a feed that died quietly.
    Beware: Which of both; `gaps` and status of the instrument tell more. Not tuned by false alarms a day: a silence that
    is 20 gaps long is worth a look however often it comes; it ends with the next trade, and until then it is told once.
    """

    window_min: int = Field(60, ge=5, le=1440, description="minutes before the last trade that its rate is taken from")
    gaps: float = Field(20.0, gt=1, description="multiple of the mean time between trades")
    floor_s: float = Field(60.0, gt=0, description="shortest silence that can alert")
    per_minute: float = Field(1.0, gt=0, description="trades a minute from which an instrument usually trades")
    cooldown_s: int = Field(0, ge=0, description="seconds in which an instrument does not alert again")


class PipelineBehind(Part):
    """Trades of a venue reach the recorder later than they did in the 10 minutes before.

    Formula: least receipt less match time of a second beyond the least of the 10 minutes before, at `seconds` seconds
    with trades in a row.
    Unit: seconds.
    Source: ours.
    Null: no times of receipt; history; until the venue's offset is known.
    Read: Data arrive late: what is shown as now is not.
    Beware: Where the delay is: venue, network or this machine. Not tuned by false alarms a day: what is late is late
    however often; a run of late seconds is told once, and ends with the first that is not late.
    """

    lag_s: float = Field(2.0, gt=0, description="least delay of a second's freshest trade beyond the venue's clock offset")
    seconds: int = Field(5, ge=1, le=600, description="seconds with trades in a row")
    cooldown_s: int = Field(60, ge=0, description="seconds in which an instrument does not alert again")


class Dislocation(Rearmed):
    """Closes of one-second bars of the same symbol at several venues, apart by more than they usually are.

    Formula: d = ln(close) - ln(median of the others' closes); |d - median of d over the seconds before| of the venue where
    it is highest, the least of `seconds` seconds in a row; held against a level of at least `threshold_bps`.
    Unit: bps.
    Source: ours.
    Null: below two venues with a close of the last 2 s; until `window` seconds of the date are known.
    Read: One venue's price left the others'.
    Beware: That it can be earned: fees, transfer and the quote's own price are not in it, and the late venue may be the
    right one.
    """

    window: int = Field(300, ge=30, le=10_000, description="seconds before, whose median is what is usual")
    threshold_bps: float = Field(20.0, gt=0, description="least level")
    seconds: int = Field(3, ge=1, le=600, description="seconds in a row")
    cooldown_s: int = Field(60, ge=0, description="seconds in which an instrument does not alert again")


class Tuned(Part):
    """A score of closed minutes: it alerts from the level that earlier dates reached so many times a day."""

    least: float = Field(gt=0, description="least level, and the level while fewer dates are known")
    false_alarms_per_day: float = Field(2.0, gt=0, le=7, description="alarms a day that the 14 dates before would have given")
    rearm: float = Field(0.7, gt=0, le=1, description="share of the level that it must fall below before it alerts again")
    cooldown_min: int = Field(30, ge=0, le=240, description="minutes in which an instrument does not alert again")


class RvolSpike(Tuned):
    """Relative volume: that of 5 minutes by the mean of the 20 windows of 5 minutes before.

    Formula: rvol_5m.
    Unit: ratio.
    Source: ours; level from earlier dates, as for all tuned detectors.
    Null: where `rvol_5m` is null.
    Read: Trading has become much faster than in the 100 minutes before.
    Beware: Direction; nor the time of day.
    """

    least: float = Field(4.0, gt=0, description="least level, and the level while fewer dates are known")


class VolatilityJump(Tuned):
    """Realised volatility of 15 minutes by that of the 45 minutes before.

    Formula: sqrt(3 rv_15m / (rv_1h - rv_15m)).
    Unit: ratio.
    Source: ours.
    Null: until an hour of minutes is known; where the 45 minutes before did not move.
    Read: Prices move much more than in the 45 minutes before.
    Beware: Direction, or that it lasts; a quiet hour before makes it large, too.
    """

    least: float = Field(2.5, gt=0, description="least level, and the level while fewer dates are known")


class LiquidityDrain(Tuned):
    """Spread and Amihud's measure, each by its median of the 120 minutes before: their geometric mean; needs quotes.

    Formula: sqrt(spread_bps / median x amihud_1h / median), medians of the 120 minutes with quotes before.
    Unit: ratio.
    Source: ours.
    Null: no quotes; until 120 minutes with quotes are known; where a median is 0.
    Read: It costs more to trade, and trades move the price more.
    Beware: The depth of the book, which is not looked at; `amihud_1h` is of an hour, so it comes late.
    """

    least: float = Field(2.0, gt=0, description="least level, and the level while fewer dates are known")


class CusumBreak(Tuned):
    """Cumulative sum of standardised returns of minutes, 0.5 a minute taken off.

    Formula: S = max(0, S + x - 0.5) for rises, and for falls with -x; x = log return of a minute / root mean square of
    the 59 before; a side that alerts begins anew.
    Unit: standard deviations of a minute.
    Source: Page, Biometrika 41, 1954; Lopez de Prado, AFML (2018), 2.5.2.1.
    Null: until an hour of minutes is known; where it did not move.
    Read: Many small moves one way that no single minute shows.
    Beware: That it goes on; and returns have heavier tails than the normal, so one jump can do it alone.
    """

    least: float = Field(10.0, gt=0, description="least level, and the level while fewer dates are known")


class Posture(Part):
    """Posture from the trend score: flat, long or short; every change alerts (new_trend, trend_reversal, trend_end).

    Formula: p_up of table `posture`: enter at `entry` or the date's level, leave at `exit`, each 3 minutes in a row;
    the alert's score is |sum of terms|.
    Unit: sum of terms (log odds in form only).
    Source: ours.
    Null: where `p_up` is null; each entry within `cooldown_min` of the last.
    Read: What the trend score says, with every term in `details`.
    Beware: That it pays: `p_up` is no probability, and it follows prices that have moved already.
    Alerts: new_trend, trend_reversal, trend_end.
    """

    entry: float = Field(0.75, gt=0.5, lt=1, description="least p_up to become long; short from 1 - entry")
    exit: float = Field(0.55, ge=0.5, lt=1, description="p_up below which long ends; short above 1 - exit")
    false_alarms_per_day: float = Field(6.0, gt=0, le=7, description="entries a day that the 14 dates before would have given")
    cooldown_min: int = Field(15, ge=0, le=240, description="minutes between entries")

    @model_validator(mode="after")
    def _leaves_below(self) -> Posture:
        if self.exit >= self.entry:
            raise ValueError("exit must lie below entry")
        return self


class Learned(Part):
    """Probability of a large move, learned from minutes before such moves.

    Formula: 1 / (1 + exp(-(intercept + sum of weight x (ln max(|x|, floor) - center) / scale))) over the columns of
    `features` that the model names; alerts at the model's level, once it was below `rearm` x level and the cooldown is
    over. Each date begins anew.
    Unit: probability, as of the days it was learned from.
    Source: ours; scikit-learn's LogisticRegression; the level by false alarms a day on these days.
    Null: where a column that the model names is null (the built-in one: the first day).
    Read: It moves and is traded as it did before large moves; `details` has each term. More in docs/learned.md.
    Beware: Direction. Most of it is that volatility stays high once it is; what it was learned from is one instrument of
    one month.
    """

    model: Annotated[Model | None, BeforeValidator(chosen)] = Field(
        cast("Any", "built-in"), validate_default=True, description="built-in, off, or a file that `tapeflow learn` wrote"
    )


class Detectors(Part):
    """The anomaly detectors."""

    big_trade: BigTrade = BigTrade()
    volume_surge: VolumeSurge = VolumeSurge()
    vpin_high: VpinHigh = VpinHigh()
    liquidation_spike: LiquidationSpike = LiquidationSpike()
    cascade_proxy: CascadeProxy = CascadeProxy()
    spread_blowout: SpreadBlowout = SpreadBlowout()
    book_imbalance: BookImbalance = BookImbalance()
    stale_feed: StaleFeed = StaleFeed()
    pipeline_behind: PipelineBehind = PipelineBehind()
    dislocation: Dislocation = Dislocation()
    rvol_spike: RvolSpike = RvolSpike()
    volatility_jump: VolatilityJump = VolatilityJump()
    liquidity_drain: LiquidityDrain = LiquidityDrain()
    cusum_break: CusumBreak = CusumBreak()
    posture: Posture = Posture()
    learned: Learned = Learned()

    def cooldowns(self) -> dict[str, int]:
        """Return by detector the seconds in which an instrument does not alert again, of those that are held against no level."""
        return {"stale_feed": self.stale_feed.cooldown_s, "pipeline_behind": self.pipeline_behind.cooldown_s}
