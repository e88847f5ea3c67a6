"""What a rule may speak of: columns of one-minute bars, of features, of postures and of VPIN, under their own names."""

from __future__ import annotations

from typing import Final, Literal

import pyarrow as pa

from pipelines.kernels.bar import FIGURES
from pipelines.market import TABLES

Kind = Literal["number", "condition"]

BARS: Final = (*FIGURES, "trades", "fills")
"""Of the bar of the minute."""
VPIN: Final = ("vpin_flag", "vpin_bvc", "pct", "null_low", "null_high")
"""Of the last complete bucket of the date."""
_KINDS: Final[dict[pa.DataType, Kind]] = {pa.float64(): "number", pa.int64(): "number", pa.bool_(): "condition"}


def _of(table: str) -> dict[str, Kind]:
    """Return the columns of a table that are numbers, or true or false."""
    return {c.name: _KINDS[c.type] for c in TABLES[table].columns if c.type in _KINDS}


FEATURES: Final = tuple(_of("features"))
POSTURE: Final = tuple(_of("posture"))

METRICS: Final[dict[str, Kind]] = {**dict.fromkeys((*BARS, *VPIN), "number"), **_of("features"), **_of("posture")}
"""Every metric, and whether it is a number or true or false."""
