"""How the columns of tables `features` and `posture` are to be read."""

from __future__ import annotations

from typing import Final

from pipelines.schema import Reading

_FULL: Final = "until the window is full; after three days without trades it begins anew"
_HOUR: Final = "below 20 minutes with trades of the last 60"
_DAY: Final = "until 288 returns of 5 minutes are known; `jump_share_1d`, `jump_z_1d`: no price moved"
_QUOTES: Final = "no best quotes recorded, or one side empty, or crossed"

MOMENTUM: Final = Reading(
    "bps",
    "close of the minute against that of w minutes before",
    _FULL,
    "How far the price has come; beside `atr_w` it says whether that is much.",
    "Past moves; whether they go on is another question, and closes of trades bounce between bid and ask.",
)
FROM_VWAP: Final = Reading(
    "bps",
    "close against sum of price x size / sum of size of the last w minutes, rolling",
    "no trades in the window, or it is not full yet",
    "Above 0: dearer than what was paid on average in the window.",
    "Not that the price will come back to it.",
)
RVOL: Final = Reading(
    "ratio",
    "volume of w minutes / mean of the 20 windows before, the current one excluded",
    "until 21 windows are known; where the 20 had no volume",
    "1: as usual of late.",
    "The time of day: at the opening of a busy hour it is high each day. `rvol_tod_1m` is free of that.",
)
RVOL_TIME_OF_DAY: Final = Reading(
    "ratio",
    "volume of the minute / mean of the same minute of earlier complete dates",
    "below 5 complete earlier dates; where that minute never had volume",
    "1: as usual at this time of day.",
    "The day of the week: the last 5 to 20 dates hold weekends too; one busy date moves a mean of five.",
)
ATR: Final = Reading(
    "quote currency",
    "Wilder, New Concepts in Technical Trading Systems (1978): (13 ATR + TR) / 14 over UTC-aligned bars",
    "until 14 bars of the width are closed",
    "The usual range of a bar, jumps between bars included. It restarts at midnight from the last 140 bars.",
    "Direction; and it is of the last closed bar, not of the open one.",
)
TRADE_IMBALANCE: Final = Reading(
    "share, -1 to 1",
    "(buy - sell) / volume by aggressor",
    "no trades in the window, or it is not full yet",
    "Above 0: takers bought more than they sold.",
    "It is no order flow imbalance: orders placed and cancelled are not in it.",
)
OFI: Final = Reading(
    "units of base",
    "Cont, Kukanov, Stoikov, J. Fin. Econometrics 12(1), 2014",
    "no quotes for all of the window; they begin anew at midnight and when the connection is lost",
    "Net size added at the bid and taken from the ask; over short spans the price moves with it, less so in a deep book.",
    "Only the best level, and what happened, not what comes; sizes of different instruments do not compare.",
)
KYLE: Final = Reading(
    "`kyle_lambda_1h`: quote currency per unit of base, per unit of base; t value; minutes",
    "Kyle, Econometrica 53, 1985: least squares with intercept, over minutes with trades",
    f"{_HOUR} (`kyle_n_1h` is known all the same); where all signed volumes are equal",
    "How far the price moved with one unit bought net; believe it where |t| is well above 2 and n near 60.",
    "Cause: moves draw trades as well. One hour of minutes is noisy, and the price is assumed to be linear in volume.",
)
AMIHUD: Final = Reading(
    "1 / quote currency",
    "Amihud, Journal of Financial Markets 5, 2002",
    "no trades in the last 60 minutes, or they are not known yet",
    "How far the price moved by notional traded: higher is thinner.",
    "It is high where little is traded whatever the book holds; levels of instruments in different quotes do not compare.",
)
ROLL: Final = Reading(
    "bps of the close",
    "Roll, Journal of Finance 39, 1984: 2 sqrt(-cov(dp_t, dp_(t-1)))",
    "where the covariance is not negative, so in trends; below 20 pairs of minutes with trades",
    "The spread that would make closes bounce as they did.",
    "No measured spread; on minutes of liquid instruments the bounce is far smaller than the noise.",
)
VARIANCE: Final = Reading(
    "squared log return over the span, not annualised",
    "sum of squared log returns",
    _FULL,
    "Its root is the volatility of the span.",
    "Closes bounce between bid and ask, which adds to it; the time of day is not taken out.",
)
JUMPS_OF_DAY: Final = Reading(
    "`rv_1d`, `bv_1d`: squared log return; share; standard deviations",
    "Barndorff-Nielsen, Shephard, J. Fin. Econometrics 2, 2004; ratio with maximum: Huang, Tauchen, ibid. 3, 2005",
    _DAY,
    "`jump_z_1d` above 3.09: variance that bipower variation does not hold, one day in a thousand without jumps.",
    "When the jump was. Returns of 0 lower bipower variation: on instruments that trade seldom it finds jumps that are none."
    " Windows overlap: a jump stays in for a day.",
)
LEE_MYKLAND: Final = Reading(
    "ratio to local volatility; `jump_5m` is true or false",
    "Lee, Mykland, Review of Financial Studies 21, 2008, K = 325, family of 288 returns, 1 %",
    "until 326 closes of 5 minutes are known; where none before moved",
    "|L| above 5.395: a jump in the last closed return of 5 minutes; without jumps one day in a hundred has one.",
    "Why. The time of day is not taken out: full hours and funding times ring more often than the level says.",
)
HOLE: Final = Reading(
    "true or false",
    "the gap ledger",
    "never",
    "Something of the last 15 minutes is missing: what looks back on them is too low or skewed.",
    "Holes further back, which measures of an hour or a day still contain.",
)
SPREAD: Final = Reading(
    "bps of the middle",
    "best ask less best bid at the end of the minute",
    _QUOTES,
    "What a small round trip of a taker costs, before fees.",
    "One moment of sixty seconds; and nothing of the size that stands there.",
)
MICROPRICE: Final = Reading(
    "quote currency per unit of base",
    "(bid x ask size + ask x bid size) / (bid size + ask size)",
    _QUOTES,
    "Near the ask when the bid is the larger: where the middle would go if the smaller side gave way.",
    "Orders that are shown can be withdrawn; it is a weighted middle, not Stoikov's estimate.",
)
EFFECTIVE: Final = Reading(
    "bps of the middle",
    "2 s (p - m) / m, m the last middle of an earlier venue time",
    "no trades that a quote stood before",
    "What takers paid, twice the distance from the middle.",
    "Costs of orders that were not filled; each trade counts the same, whatever its size.",
)
REALISED: Final = Reading(
    "bps of the middle",
    "2 s (p - m') / m, m' the middle 5 or 30 s later",
    "no such trade became known in this minute; lost where the date is over before",
    "What the other side kept; effective less realised is the impact of the trades.",
    "It stands in the minute in which it became known: the effective spread beside it is of other trades.",
)

P_UP: Final = Reading(
    "0 to 1",
    "ours: 1 / (1 + exp(-sum of terms)), weights set by hand before any outcome was looked at",
    "where one of its terms is null",
    "Above 0.5 the terms lean up; the terms beside it say why. `entry` is the level of this date.",
    "No probability: how often prices rose after it is not in it. No advice, no costs.",
)
TERM: Final = Reading(
    "part of the sum, at most its weight either way",
    "ours: weight x clip(z / 3, -1, 1)",
    "where a feature it is made of is null, or its scale is 0",
    "How much this measure moves the sum; flipping prices and sides flips it.",
    "Terms overlap (four of five follow the last price changes): they are no independent votes.",
)
POSTURE: Final = Reading(
    "words; `since` is a time; `confidence` is a share",
    "ours: state machine with entry, lower exit, and persistence of 3 minutes",
    "`confidence`: where a term is null; else never",
    "What the score has said for some minutes; `confidence` 1: all terms point one way, 0: they cancel.",
    "No position, no advice, and nothing of how long it will last.",
)
