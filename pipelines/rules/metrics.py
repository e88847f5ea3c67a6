"""What a rule may speak of: columns of one-minute bars, of features and of VPIN, under their own names."""

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
FEATURES: Final = tuple(c.name for c in TABLES["features"].columns if c.type in _KINDS)

METRICS: Final[dict[str, Kind]] = {
    **dict.fromkeys((*BARS, *VPIN), "number"),
    **{c.name: _KINDS[c.type] for c in TABLES["features"].columns if c.type in _KINDS},
}
"""Every metric, and whether it is a number or true or false."""
