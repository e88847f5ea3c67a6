"""What a detector's alerts were worth when they were scored last, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    import datetime as dt

    from pipelines.store.lake import Lake

UNSCORED: Final = "unscored"
_ORDER: Final = {"live": 0, "history": 1}


def precision(lake: Lake, alert: dict[str, Any], at: dt.datetime | None = None) -> str:
    """Return the newest score of the alert's detector and version at its instrument, of live alerts where there is one.

    `at`: as it was known then.
    """
    same = (pl.col(name) == alert[name] for name in ("venue", "symbol", "detector", "version"))  # `all` is no symbol of a lake
    mine = lake.table("scores_history").filter(*same)
    if at is not None:
        mine = mine.filter(pl.col("as_of") <= at)
    rows = mine.filter(pl.col("precision").is_not_null()).collect().to_dicts()
    if not rows:
        return UNSCORED
    best = max(rows, key=lambda row: (-_ORDER.get(row["origin"], 2), row["as_of"], row["end"], row["event"]))
    base = "" if best["base_rate"] is None else f", base rate {best['base_rate']:.2f}"
    of = "" if best["origin"] == "live" else f" on {best['origin']}"
    return f"{best['precision']:.2f}, n {best['alerts']} ({best['event']} within {best['horizon_s'] // 60} min{base}){of}"
