"""tapeflow: live crypto trades to bars, VPIN and anomaly alerts in Parquet.

>>> import tapeflow as tf
>>> lake = tf.open()  # the lake of the settings, or tf.open("data/demo/lake")
>>> lake.bars("BTC-USDT-PERP", "1m", start="2024-07-19").collect()
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.store.lake import Lake

__all__ = ["open"]

try:
    __version__ = version("tapeflow")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"


def open(path: str | Path | None = None) -> Lake:  # noqa: A001 - read as tf.open
    """Open a lake to read from.

    Parameters
    ----------
    path
        A folder or an `s3://` URL; by default the lake of the settings (`tapeflow.yaml`, TAPEFLOW_*).

    Raises
    ------
    SettingsError
        If the settings were needed and have faults.
    LakeError
        If there is no lake there.
    """
    from pipelines.settings import load
    from pipelines.store.lake import Lake, LakeError

    lake = Lake(path if path is not None else load().lake_root)
    try:
        lake.require()
    except LakeError as error:
        raise LakeError(f'{error}; `tapeflow up` makes one; the demo\'s is tf.open("data/demo/lake")') from None
    return lake
