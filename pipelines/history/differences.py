"""What the stream wrote of a day held against what sealing makes of it: how many rows differ, and why.

A cause has a time. A time bar is explained by a cause within it; what runs on along the tape (buckets, bars in volume
time, windows, alerts) by any cause before its end. What no cause explains is `unexplained`, and shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.market import BAR_WIDTHS_US, TABLES

UNEXPLAINED: Final = "unexplained"
REASONS: Final = {
    "late": "trades came after the tape had gone on; they count now",
    "repaired": "trades that were fetched again stand elsewhere on the tape",
    "missed": "trades that the stream never saw",
    "withdrawn": "trades that the sealed tape does not have",
    "twice": "the same trade was stored twice",
    "tie": "trades of one time stand in another order",
    "closed by clock": "a heartbeat had closed the bar before the trade came",
    "filled": "it was marked for a hole, or for a connection that was away; nothing is missing now",
    "settings": "settings or rules changed within the date",
    "beginning": "the first minute of a recording",
    "earlier dates": "earlier dates were sealed, loaded or not known when the stream read them",
    "open": "the flow had not come to its end when the date was sealed",
    "other feeds": "found in feeds that sealing does not read: quotes, books, liquidations, the clock, other venues",
    UNEXPLAINED: "nothing known explains it",
}
"""In order: of several that apply, the first is counted."""
OTHER_FEEDS: Final = (
    *("liquidation_spike", "spread_blowout", "book_imbalance", "pipeline_behind", "stale_feed"),
    *("dislocation", "cascade_proxy", "liquidity_drain"),
)
SHOWN: Final = 5
MINUTE_US: Final = 60_000_000
HELD_UP_US: Final = 60 * MINUTE_US
"""Trades that were held up for longer are not looked for in the bar that took them in."""

Times = npt.NDArray[np.int64]


@dataclass
class Causes:
    """What may have made live rows of an instrument differ: when (us), by reason.

    Attributes
    ----------
    times : dict of reason to int64, ascending
    begins : int or None
        First trade of a recording that began within the date.
    earlier : bool
        What the stream knew of earlier dates may not be what they hold now.
    reached : int or None
        Up to where the flow has come, where that is not the end of the date.
    """

    times: dict[str, Times] = field(default_factory=dict)
    begins: int | None = None
    earlier: bool = False
    reached: int | None = None

    def add(self, reason: str, times: Sequence[int] | Times) -> None:
        """Add causes."""
        if len(times):
            known = self.times.get(reason, np.zeros(0, np.int64))
            self.times[reason] = np.unique(np.concatenate([known, np.asarray(times, np.int64)]))


@dataclass
class Difference:
    """How the rows of a table compare.

    Attributes
    ----------
    equal : int
    changed, only_live, only_sealed : Counter of reason
    columns : Counter
        In how many changed rows each column differs.
    unexplained : list of str
        Keys of the first rows that nothing explains.
    """

    equal: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    only_live: Counter[str] = field(default_factory=Counter)
    only_sealed: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def compact(self) -> dict[str, Any]:
        """Return it as JSON has it: what is empty is left out."""
        found = {name: dict(sorted(getattr(self, name).items())) for name in ("changed", "only_live", "only_sealed", "columns")}
        told = {name: value for name, value in {**found, "unexplained": self.unexplained}.items() if value}
        return {"equal": self.equal, **told}


def compare(table: str, live: pl.DataFrame, sealed: pl.DataFrame, causes: Causes) -> Difference:
    """Compare rows of one instrument and day, given the causes of differences."""
    key = [name for name in TABLES[table].key if name not in ("venue", "symbol")]
    ignored = {"date", "venue", "symbol", "seq", "recv_ts", "flags", "origin", *key}
    values = [name for name in live.columns if name not in ignored]
    both = live.with_columns(live=True).join(
        sealed.select(*key, *values, sealed=True), on=key, how="full", coalesce=True, suffix=":sealed"
    )
    differs = {name: pl.col(name).ne_missing(pl.col(f"{name}:sealed")) for name in values}
    both = both.with_columns(
        **{f"{name}:differs": of for name, of in differs.items()},
        where=pl.when(pl.col("live").is_null())
        .then(pl.lit("only_sealed"))
        .when(pl.col("sealed").is_null())
        .then(pl.lit("only_live"))
        .when(pl.any_horizontal(differs.values()))
        .then(pl.lit("changed"))
        .otherwise(pl.lit("equal")),
    )
    unequal = both.filter(pl.col("where") != "equal")
    found = Difference(equal=both.height - unequal.height)
    if not unequal.height:
        return found
    reasons = np.array([*REASONS])[_explained(table, unequal, causes)]
    for where, reason in zip(unequal["where"].to_list(), reasons.tolist(), strict=True):
        getattr(found, where)[reason] += 1
    changed = unequal.filter(pl.col("where") == "changed")
    found.columns = Counter({name: n for name in values if (n := int(changed[f"{name}:differs"].sum()))})
    strange = unequal.filter(pl.Series(reasons == UNEXPLAINED)).head(SHOWN)
    found.unexplained = [" ".join(str(value) for value in row) for row in strange.select(*key, "where").iter_rows()]
    return found


def _explained(table: str, rows: pl.DataFrame, causes: Causes) -> npt.NDArray[np.int64]:
    """Return the place of the reason of each row in `REASONS`."""
    begin, end = (_us(rows, name) for name in ("ts", "end"))
    local = np.zeros(rows.height, np.bool_)
    if table == "bars":
        local = rows["bar"].is_in(list(BAR_WIDTHS_US)).to_numpy()
    applies = {}
    for reason, times in causes.times.items():
        within = np.searchsorted(times, end, side="left") > np.searchsorted(times, begin, side="left")
        applies[reason] = np.where(local, within, np.searchsorted(times, end, side="right") > 0)
    if causes.begins is not None:
        applies["beginning"] = begin < causes.begins + MINUTE_US
    if causes.earlier:
        applies["earlier dates"] = ~local
    if causes.reached is not None:
        left = end > causes.reached - MINUTE_US  # a bar is closed some seconds after its end
        applies["open"] = left & (rows["where"] == "only_sealed").to_numpy()
    if table == "alerts":
        applies["other feeds"] = rows["detector"].fill_null("").is_in(OTHER_FEEDS).to_numpy()
    ranks = np.full(rows.height, len(REASONS) - 1)
    for rank, reason in reversed(list(enumerate(REASONS))):
        if reason in applies:
            ranks[applies[reason]] = rank
    return ranks


def _us(rows: pl.DataFrame, name: str) -> Times:
    """Return a time of rows, of whichever side has it; a row that both have reaches over both."""
    pick = pl.min_horizontal if name == "ts" else pl.max_horizontal
    columns = [pl.col(c).dt.epoch("us") for c in (name, f"{name}:sealed") if c in rows.columns]
    times: Times = rows.select(pick(columns).alias("us"))["us"].to_numpy()
    return times


def clock_causes(live: pl.DataFrame, sealed: pl.DataFrame, causes: Causes) -> None:
    """Add what the narrowest time bars say: those that took in trades of bars closed before, and marks that fell away."""
    widths = [name for name in BAR_WIDTHS_US if name in set(live["bar"].unique())]
    if not widths:
        return
    mine, ours = (frame.filter(pl.col("bar") == widths[0]).sort("ts") for frame in (live, sealed))
    both = mine.join(ours, on="ts", how="full", coalesce=True, suffix=":sealed").sort("ts")
    same = ("volume", "buy_volume", "notional", "trades")
    unlike = both.filter(pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"{c}:sealed")) for c in same))
    taken = mine.filter(pl.col("quality").is_in(["late", "gap"]))
    taking, since = taken["ts"].dt.epoch("us").to_numpy(), taken["first_id"].to_numpy()
    late = mine.filter(pl.col("quality") == "late")["ts"].dt.epoch("us").to_numpy()
    own, last = (
        unlike["ts"].dt.epoch("us").to_numpy(),
        unlike.select(pl.coalesce("last_id:sealed", "last_id")).to_series().to_numpy(),
    )
    next_taking = np.searchsorted(taking, own)
    near = next_taking < taking.size
    behind = taking[next_taking[near]] - own[near]  # a minute where ids are in no order; however long where the bar took these in
    near[near] = (behind <= MINUTE_US) | ((behind <= HELD_UP_US) & (since[next_taking[near]] <= last[near]))
    causes.add("closed by clock", np.concatenate([late, own[near]]))
    fell = both.filter((pl.col("quality") == "gap") & (pl.col("quality:sealed") != "gap"))
    causes.add("filled", fell["ts"].dt.epoch("us").to_numpy())


def trade_causes(live: pl.DataFrame, sealed: pl.DataFrame, causes: Causes) -> None:
    """Add what trades say where the sealed tape is another than the live one: missed, withdrawn, in another order."""
    both = live.join(sealed, on="trade_id", how="full", coalesce=True, suffix=":sealed")
    same = ("ts", "price", "size", "side", "counted")
    sides = {"missed": pl.col("ts").is_null(), "withdrawn": pl.col("ts:sealed").is_null()}
    for reason, side in sides.items():
        causes.add(reason, both.filter(side).select(pl.coalesce("ts", "ts:sealed").dt.epoch("us"))["ts"].to_numpy())
    common = both.filter(pl.all_horizontal(*(~of for of in sides.values())))
    changed = common.filter(pl.any_horizontal(pl.col(c) != pl.col(f"{c}:sealed") for c in same))
    causes.add("missed", changed["ts"].dt.epoch("us").to_numpy())
    ranks = common.select("ts", was=pl.col("seq").rank("ordinal"), now=pl.col("seq:sealed").rank("ordinal"))
    causes.add("tie", ranks.filter(pl.col("was") != pl.col("now"))["ts"].dt.epoch("us").to_numpy())


def compare_trades(live: pl.DataFrame, sealed: pl.DataFrame) -> Difference:
    """Compare trades of one instrument by id, where the sealed tape is another than the live one."""
    both = live.join(sealed, on="trade_id", how="full", coalesce=True, suffix=":sealed")
    values = ("ts", "price", "size", "side", "counted")
    mine, ours = pl.col("ts").is_not_null(), pl.col("ts:sealed").is_not_null()
    differs = {name: mine & ours & (pl.col(name) != pl.col(f"{name}:sealed")) for name in values}
    now = differs["counted"] & pl.col("counted:sealed")
    changed = pl.any_horizontal(differs.values())
    late = now & ~pl.any_horizontal(differs[name] for name in values[:-1])
    counts = both.select(
        late=late.sum(),
        changed=(changed & ~late).sum(),
        withdrawn=(~ours).sum(),
        missed=(~mine).sum(),
        **{f"{name}:differs": of.sum() for name, of in differs.items()},
    ).row(0, named=True)
    found = Difference(both.height - sum(counts[name] for name in ("late", "changed", "withdrawn", "missed")))
    found.changed = +Counter({"late": counts["late"], UNEXPLAINED: counts["changed"]})
    found.only_live, found.only_sealed = +Counter(withdrawn=counts["withdrawn"]), +Counter(missed=counts["missed"])
    found.columns = +Counter({name: counts[f"{name}:differs"] for name in values})
    found.unexplained = [str(trade_id) for trade_id in both.filter(changed & ~late).head(SHOWN)["trade_id"]]
    return found
