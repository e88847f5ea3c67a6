"""Settings of the anomaly detectors. A baseline always lies strictly before the point that is held against it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    """A part of the settings: nothing unknown, nothing changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BigTrade(Part):
    """Log-notional z-score of sweep-merged trades against the `window` sweeps before."""

    window: int = Field(1000, ge=30, le=10_000)
    z: float = Field(4.0, gt=0)
    floor: float = Field(100_000.0, ge=0, description="smallest notional in quote currency (USD) that can alert")


class VolumeSurge(Part):
    """z of ln(1 + volume) against the `window` bars before, and relative volume."""

    bar: Literal["1s", "1m", "5m", "15m", "1h"] = "1m"
    window: int = Field(60, ge=10, le=10_000)
    z: float = Field(4.0, gt=0)
    rvol: float = Field(3.0, ge=1)


class VpinHigh(Part):
    """VPIN's trailing percentile reaching `pct` from below."""

    pct: float = Field(0.95, gt=0, le=1)


class LiquidationSpike(Part):
    """Liquidated notional of a minute against the `window` minutes before, minutes without any included."""

    window: int = Field(240, ge=10, le=10_000)
    times: float = Field(5.0, ge=1, description="multiple of the mean that must be reached, beside the 99 % order statistic")
    floor: float = Field(100_000.0, gt=0, description="smallest notional in quote currency (USD) that can alert")


class CascadeProxy(Part):
    """A minute that looks like a cascade, where no liquidations are recorded: a jump on high, one-sided volume."""

    window: int = Field(60, ge=10, le=10_000)
    move: float = Field(4.0, gt=0, description="multiple of the root mean square log return")
    volume: float = Field(5.0, ge=1, description="multiple of the median volume")
    one_sided: float = Field(0.6, ge=0, le=1, description="least |buy - sell| / volume, of the sign of the return")


class SpreadBlowout(Part):
    """The spread at the end of a second against the `window` seconds with quotes before."""

    window: int = Field(300, ge=30, le=10_000)
    times: float = Field(5.0, ge=1, description="multiple of the median that must be reached, beside the 99 % order statistic")
    floor_bps: float = Field(2.0, gt=0, description="smallest spread that can alert")
    cooldown_s: int = Field(60, ge=0, description="seconds in which an instrument does not alert again")


class BookImbalance(Part):
    """(bid sizes - ask sizes) / their sum over the best levels, at several snapshots of the book in a row."""

    levels: int = Field(5, ge=1, le=20)
    threshold: float = Field(0.8, gt=0, le=1)
    snapshots: int = Field(6, ge=1, le=1000)


class StaleFeed(Part):
    """No trade for many expected gaps, of an instrument that usually trades, while heartbeats go on; once an episode."""

    window_min: int = Field(60, ge=5, le=1440, description="minutes before the last trade that its rate is taken from")
    gaps: float = Field(20.0, gt=1, description="multiple of the mean time between trades")
    floor_s: float = Field(60.0, gt=0, description="shortest silence that can alert")
    per_minute: float = Field(1.0, gt=0, description="trades a minute from which an instrument usually trades")


class PipelineBehind(Part):
    """Trades of a venue reach the recorder later than they did in the 10 minutes before."""

    lag_s: float = Field(2.0, gt=0, description="least delay of a second's freshest trade beyond the venue's clock offset")
    seconds: int = Field(5, ge=1, le=600, description="seconds with trades in a row")


class Dislocation(Part):
    """Closes of one-second bars of the same symbol at several venues, apart by more than they usually are."""

    window: int = Field(300, ge=30, le=10_000, description="seconds before, whose median is what is usual")
    threshold_bps: float = Field(20.0, gt=0)
    seconds: int = Field(3, ge=1, le=600, description="seconds in a row")


class Tuned(Part):
    """A score of closed minutes: it alerts from the level that earlier dates reached so many times a day."""

    least: float = Field(gt=0, description="least level, and the level while fewer dates are known")
    false_alarms_per_day: float = Field(2.0, gt=0, le=7, description="alarms a day that the 14 dates before would have given")
    rearm: float = Field(0.7, gt=0, le=1, description="share of the level that it must fall below before it alerts again")
    cooldown_min: int = Field(30, ge=0, le=240, description="minutes in which an instrument does not alert again")


class RvolSpike(Tuned):
    """Relative volume: that of 5 minutes by the mean of the 20 windows of 5 minutes before."""

    least: float = Field(4.0, gt=0, description="least level, and the level while fewer dates are known")


class VolatilityJump(Tuned):
    """Realised volatility of 15 minutes by that of the 45 minutes before."""

    least: float = Field(2.5, gt=0, description="least level, and the level while fewer dates are known")


class LiquidityDrain(Tuned):
    """Spread and Amihud's measure, each by its median of the 120 minutes before: their geometric mean; needs quotes."""

    least: float = Field(2.0, gt=0, description="least level, and the level while fewer dates are known")


class CusumBreak(Tuned):
    """Cumulative sum of standardised returns of minutes, 0.5 a minute taken off."""

    least: float = Field(10.0, gt=0, description="least level, and the level while fewer dates are known")


class Posture(Part):
    """Posture from the trend score: flat, long or short; every change alerts (new_trend, trend_reversal, trend_end)."""

    entry: float = Field(0.75, gt=0.5, lt=1, description="least p_up to become long; short from 1 - entry")
    exit: float = Field(0.55, ge=0.5, lt=1, description="p_up below which long ends; short above 1 - exit")
    false_alarms_per_day: float = Field(6.0, gt=0, le=7, description="entries a day that the 14 dates before would have given")
    cooldown_min: int = Field(15, ge=0, le=240, description="minutes between entries")

    @model_validator(mode="after")
    def _leaves_below(self) -> Posture:
        if self.exit >= self.entry:
            raise ValueError("exit must lie below entry")
        return self


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
