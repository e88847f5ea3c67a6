"""Closed minutes and all that is known of them: what features tell, and detectors on minutes take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import rows as to_rows
from pipelines.kernels import features, lee_mykland, minutes, standing
from pipelines.market import Instrument
from pipelines.quote_features import COLUMNS as QUOTED

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

COLUMNS: Final = (*features.COLUMNS, "rvol_tod_1m", *QUOTED, "close", "volume")
"""Columns of table `features`, and the minute's bar in quote and base."""
OF_QUOTES: Final = slice(COLUMNS.index(QUOTED[0]), COLUMNS.index(QUOTED[-1]) + 1)
_AT: Final = {name: k for k, name in enumerate(COLUMNS)}
_READ: Final = (*standing.COLUMNS, "close", "volume")


class Measured(NamedTuple):
    """Minutes: instrument, start (us), and `COLUMNS` of each, (n, COLUMNS); NaN: null."""

    instrument: Times
    ts: Times
    values: Floats

    def chosen(self, which: npt.NDArray[np.generic]) -> Measured:
        """Return some of these minutes."""
        return Measured(self.instrument[which], self.ts[which], self.values[which])

    def columns(self, names: Sequence[str]) -> Floats:
        """Return columns side by side, (n, names)."""
        return np.ascontiguousarray(self.values[:, [_AT[name] for name in names]])

    def standing(self) -> npt.NDArray[np.void]:
        """Return what the detectors on minutes read, `standing.MINUTE`."""
        rows = np.empty(self.ts.size, standing.MINUTE)
        rows["instrument"], rows["ts"] = self.instrument, self.ts
        for name in _READ:
            rows[name] = self.values[:, _AT[name]]
        return rows

    def table(self, of: Sequence[Instrument]) -> pa.Table:
        """Return rows of table `features`."""
        by_name = dict(zip(COLUMNS, np.ascontiguousarray(self.values.T), strict=True))
        tested, n, gap = by_name["lee_mykland_5m"], by_name.pop("kyle_n_1h"), by_name.pop("gap")
        columns = {
            "date": to_rows.date(self.ts),
            "venue": to_rows.words([x.venue for x in of], self.instrument),
            "symbol": to_rows.words([x.symbol for x in of], self.instrument),
            "ts": to_rows.time(self.ts),
            "end": to_rows.time(self.ts + minutes.MINUTE),
            "jump_5m": pa.array(np.abs(tested) > lee_mykland.LIMIT, pa.bool_(), mask=np.isnan(tested)),
            "kyle_n_1h": pa.array(n, pa.float64(), from_pandas=True).cast(pa.int64()),
            "gap": pa.array(gap > 0),
        }
        return to_rows.table("features", columns | {name: pa.array(x, from_pandas=True) for name, x in by_name.items()})


NONE: Final = Measured(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, len(COLUMNS))))


def joined(parts: Sequence[Measured]) -> Measured:
    """Return minutes one after another."""
    if len(parts) == 1:
        return parts[0]
    instrument, ts, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Measured(instrument, ts, values)
