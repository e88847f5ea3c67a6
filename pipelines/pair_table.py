"""The table of pairs."""

from __future__ import annotations

import pyarrow as pa

from pipelines.schema import FLOAT, INTEGER, TEXT, VENUE, Column, Table, end, ts

_BARS = ("trades",)


def _measure(name: str, doc: str) -> Column:
    return Column(name, FLOAT, doc, _BARS)


PAIRS = Table(
    "pairs",
    "Pairs of instruments of one venue over a span of time bars: hedge ratios, spread, tests. Logs of price throughout; y is"
    " explained by x. A measure that does not exist is null, and `why` says why.",
    ("run", "y", "x"),
    ("y", "x", "ts"),
    (
        VENUE,
        Column("run", TEXT, "hash of all rows that were made together", _BARS),
        Column("y", TEXT, "the leg that is explained: 1 unit of notional of it", ()),
        Column("x", TEXT, "the leg that explains: beta units of notional of it, sold", ()),
        Column("interval", TEXT, "time bars used, like `15m`", ()),
        Column("window", INTEGER, "points of every window", ()),
        Column("lags", INTEGER, "lagged differences of the unit-root tests as asked for; null: by AIC for each", ()),
        ts("start of the bar of the first point", _BARS),
        end("end of the bar of the last point: all that the row knows", _BARS),
        Column("points", INTEGER, "ends of bars at which both legs had traded of late, and one in the bar itself", _BARS),
        Column(
            "dropped",
            INTEGER,
            "ends of bars at which a leg was stale (last trade over 2 bars old), or neither traded in the bar",
            _BARS,
        ),
        Column("carried", INTEGER, "points at which one leg had no trade in the bar itself", _BARS),
        _measure("correlation", "of returns from bar to bar, over all points"),
        _measure("correlation_window", "of the last `window` returns"),
        _measure("beta", "hedge ratio by least squares (OLS), y on x"),
        _measure("beta_reverse", "by least squares the other way, x on y; beta x beta_reverse = r2"),
        _measure("r2", "share of the variance of y that beta x explains; of levels, so no proof of anything"),
        _measure("beta_huber", "hedge ratio by Huber's M-estimator (bound 1.345, scale by MAD)"),
        _measure("beta_theil_sen", "hedge ratio by Theil and Sen: median slope of all pairs of points; up to 3,000 points"),
        _measure("beta_tls", "hedge ratio by total least squares: the same line both ways"),
        _measure("beta_kalman", "hedge ratio by Kalman filter, at the last point"),
        _measure("spread_bps", "last y less the line of the `window` points before it, basis points"),
        _measure("z", "that spread against mean and standard deviation of the `window` spreads before it"),
        _measure("z_kalman", "what the last point added to the Kalman filter, in standard deviations"),
        _measure("half_life_bars", "bars until half of a deviation from the OLS line is gone; biased low, read beside `eg_p`"),
        _measure("half_life_hours", "the same in hours"),
        _measure("adf_y_t", "augmented Dickey-Fuller t of log y, with constant"),
        _measure("adf_y_p", "its p-value; Engle-Granger presumes that it is not small"),
        _measure("adf_x_t", "augmented Dickey-Fuller t of log x, with constant"),
        _measure("adf_x_p", "its p-value; Engle-Granger presumes that it is not small"),
        _measure("adf_ratio_t", "augmented Dickey-Fuller t of log (y / x), with constant: nothing is estimated, beta is 1"),
        _measure("adf_ratio_p", "its p-value"),
        _measure("eg_t", "Engle-Granger t of the residuals of y on x"),
        _measure("eg_p", "its p-value (surface for two series)"),
        _measure("eg_reverse_t", "Engle-Granger t of the residuals of x on y"),
        _measure("eg_reverse_p", "its p-value (surface for two series)"),
        _measure("p", "of both directions: twice the smaller p-value, at most 1"),
        Column("tested", INTEGER, "pairs made together that have a p, this one included: what the next two correct for", _BARS),
        _measure("p_bonferroni", "p x tested, at most 1"),
        _measure("p_fdr", "p adjusted by Benjamini and Hochberg: expected share of false finds among all below"),
        Column("why", pa.list_(TEXT), "for each measure that is null, `measure: reason`", _BARS),
    ),
)
