"""Many small days of an archive: what a day costs beside its trades, and whether 90 days of 3 symbols take under 3 minutes.

Days are finished as `tapeflow backfill` does it, in one process, from files in a local folder.

    python -m benchmarks.small_days
"""

from __future__ import annotations

import datetime as dt
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl

from assets.finishing import Ask, finish_all, house
from benchmarks.report import Line, show
from benchmarks.tape import DAY, day, instruments
from pipelines.history.day import Day
from pipelines.market import DAY_US
from pipelines.settings import Settings

VENUE: Final = "binance-usdm"
DAYS: Final = 90
SYMBOLS: Final = 3
TRADES: Final = 5_000
"""Of a symbol and day."""
GOAL: Final = 180.0


def archive(folder: Path, days: int) -> None:
    """Make the files of all days as Binance USD-M publishes them."""
    begun = dt.date(1970, 1, 1) + dt.timedelta(days=DAY // DAY_US)
    for k in range(days):
        for n, instrument in enumerate(instruments(SYMBOLS)):
            rows = day(TRADES, 1, seed=k * SYMBOLS + n, begin=DAY + k * DAY_US)
            ids = rows["trade_id"] + k * TRADES
            columns = {
                "agg_trade_id": ids,
                "price": pl.Series(np.rint(rows["price"] * 10).astype(np.int64)).cast(pl.Decimal(18, 1)) / 10,
                "quantity": pl.Series(np.rint(rows["size"] * 1000).astype(np.int64)).cast(pl.Decimal(18, 3)) / 1000,
                "first_trade_id": 2 * ids,
                "last_trade_id": 2 * ids + 1,
                "transact_time": rows["ts"] // 1000,
                "is_buyer_maker": rows["side"] < 0,
            }
            name = f"{instrument.native}-aggTrades-{begun + dt.timedelta(days=k)}"
            with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as packed:
                packed.writestr(f"{name}.csv", pl.DataFrame(columns).write_csv())


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        files, data = Path(folder, "files"), Path(folder, "data")
        files.mkdir()
        archive(files, DAYS)
        at = house(Settings(data=data, archives={VENUE: str(files)}))
        first = dt.date(1970, 1, 1) + dt.timedelta(days=DAY // DAY_US)
        days = [Day(first + dt.timedelta(days=k), VENUE) for k in range(DAYS)]
        wall, used = time.monotonic(), time.process_time()
        outcomes = list(finish_all(at, days, Ask(tuple(i.symbol for i in instruments(SYMBOLS)))))
        wall, used = time.monotonic() - wall, time.process_time() - used
    assert [o.status for o in outcomes] == ["sealed"] * DAYS, [o.error for o in outcomes if o.error][:1]
    yield Line(f"{DAYS} days x {SYMBOLS} symbols x {TRADES:,} trades: wall", f"{wall:.0f} s", f"{GOAL:.0f} s")
    yield Line("the same: processor time", f"{used:.0f} s, {1000 * used / DAYS:.0f} ms a day")


if __name__ == "__main__":
    show(run())
