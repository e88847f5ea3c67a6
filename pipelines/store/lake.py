"""The lake: Delta tables that polars, DuckDB and Spark can read."""

from __future__ import annotations

from pipelines.store.commits import Commits, LakeError
from pipelines.store.parquet import Staged

__all__ = ["Lake", "LakeError", "Staged"]


class Lake(Commits):
    """Every table of `market.TABLES` under one root: a local folder or an `s3://` URL."""
