"""How the columns of tables `bars` and `vpin` are to be read."""

from __future__ import annotations

from typing import Final

from pipelines.schema import Reading

_AFML: Final = "Lopez de Prado, Advances in Financial Machine Learning (2018), 2.3"
_ELO: Final = "Easley, Lopez de Prado, O'Hara, RFS 25(5), 2012"
_TRUE_FLAGS: Final = (
    "No probability of informed trading, and no forecast: with true aggressor flags VPIN behaves otherwise than in its bulk"
    " form (Andersen, Bondarenko, Review of Finance 2015), follows trading intensity, and peaked after, not before, the"
    " flash crash (Andersen, Bondarenko, JFM 17, 2014)."
)

THRESHOLD: Final = Reading(
    "trades, units of base or quote currency, as the bar's kind says",
    f"{_AFML}; volume and dollar bars: average daily volume / 500",
    "time bars",
    "What closed the bar; of an adaptive bar, what past bars expected.",
    "How busy the date is: it is fixed from earlier dates, and as trading grows, so does the number of bars.",
)
PRICE: Final = Reading(
    "quote currency per unit of base",
    f"{_AFML}; checked against venues' own candles",
    "never: a bar without trades is no row",
    "First, highest, lowest and last price in tape order, of counted trades.",
    "Nothing of quotes: no one need have been able to trade at it after.",
)
AMOUNT: Final = Reading(
    "base; `notional` in quote currency",
    "sums of integers, rounded once",
    "never",
    "What changed hands; `buy_volume` is the part in which the buyer was the taker, sells are the rest.",
    "That money came in or left: each trade has a buyer and a seller, these say who was in a hurry.",
)
VWAP: Final = Reading(
    "quote currency per unit of base",
    "sum of price x size / sum of size, one division of integers",
    "never",
    "The average price paid in the bar.",
    "What one more order would pay; and averages of narrower bars do not average to that of the wider one.",
)
COUNT: Final = Reading(
    "count; `last_id` is an id",
    "the tape",
    "never",
    "`trades` counts rows of the tape, `fills` what the venue counts; on a tape of fills they are the same.",
    "The number of orders; and tapes that merge fills otherwise (archive, other venues) count otherwise.",
)
STATE: Final = Reading(
    "none",
    "the day anchor and the gap ledger",
    "never",
    "`partial`: closed short at midnight, in no window. `quality` other than `complete`: something is or was missing.",
    "That every trade is there: `complete` is all that the venue sent, which need not be all that was traded.",
)
IMBALANCE: Final = Reading(
    "that of `threshold`",
    f"{_AFML}.2",
    "every bar but imbalance and run bars",
    "Bought less sold; an imbalance bar ends when it reaches the threshold, so short bars mean one-sided flow.",
    "The market alone: with an adaptive threshold the length of a bar is the guards' doing as well.",
)

BUCKET: Final = Reading(
    "units of base; `squares` in units of base squared",
    f"{_ELO}: V = average daily volume / 50, a trade that overshoots is split",
    "never",
    "Volume V of a bucket, how much of it takers bought, and |buy - sell|. `squares` gives the effective trade size u.",
    "How long a bucket took is a measure of activity, not of direction.",
)
VPIN_FLAG: Final = Reading(
    "share, 0 to 1",
    f"{_ELO}, with the venue's aggressor flags: sum |buy - sell| / sum V over the last n buckets",
    "until n buckets are complete; no rows at all where V is unknown (no earlier date, no setting)",
    "Absolute order imbalance in volume time. Balanced flow does not give 0: hold it against `null_low` and `null_high`.",
    _TRUE_FLAGS,
)
VPIN_BVC: Final = Reading(
    "share, 0 to 1",
    f"{_ELO}: of a minute's volume Phi(dp / sigma) counts as bought, sigma of the 60 changes before",
    "until n buckets are known; near 0 in a tape's first hour, when no sigma is known",
    "How one-sided minutes' moves were, weighed by volume; it lags by the open minute.",
    "Who was the taker: made from prices and volume, it moves with volatility by construction. Never hold it to thresholds of"
    " `vpin_flag`.",
)
PERCENTILE: Final = Reading(
    "share, 0 to 1; ties count as at most",
    "trailing form of the empirical distribution of ELO 2012, strictly past values",
    "until `percentile_min` (250) past values are known",
    "Where `vpin_flag` stands among up to `percentile_window` (1,500) values before it.",
    "How many observations it rests on: successive values share n - 1 buckets, so a high percentile lasts.",
)
NULL_BAND: Final = Reading(
    "share, 0 to 1",
    "m = sqrt(2u / (pi V)), s = sqrt((1 - 2/pi) u / (V n)), u = sum q^2 / sum q",
    "until n buckets are complete",
    "Where VPIN would lie, 19 times of 20, if the sign of each trade were a toss: above it flow is one-sided.",
    "That anyone was informed: orders are split and follow each other, so real flow often lies above the band.",
)
HOLES: Final = Reading(
    "none",
    "the gap ledger and the day anchor",
    "never",
    "`partial`: closed short at midnight, in no window. `spans_gap`: a hole in this bucket; `gap`: in the window of n.",
    "Not how much is missing; `gaps` says that where ids tell.",
)
