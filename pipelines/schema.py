"""What a table of the lake is made of; the tables themselves are in `market` and `feed_tables`."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")


class Reading(NamedTuple):
    """How a signal is to be read; with the formula it makes an entry of `docs/signals.md`.

    Attributes
    ----------
    unit : str
    source : str
        Where the definition is from.
    null : str
        When there is none.
    read : str
        What it says.
    beware : str
        What it does not say.
    """

    unit: str
    source: str
    null: str
    read: str
    beware: str


class Column(NamedTuple):
    """A column: its Arrow type, its meaning with the unit or formula, the feeds it is computed from, how to read it."""

    name: str
    type: pa.DataType
    doc: str
    inputs: tuple[str, ...] = ("trades",)
    reading: Reading | None = None


class Table(NamedTuple):
    """A table of the lake: partitioned by `date` and `venue`, rows unique by `key`."""

    name: str
    doc: str
    key: tuple[str, ...]
    sort: tuple[str, ...]
    columns: tuple[Column, ...]
    every_epoch: bool = False
    """Committed at every epoch; the others once a minute of journal time."""
    newest: bool = False
    """Rows are written again with a later `as_of`; readers see the newest per key."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of a data file, without the partition columns `date` and `venue`."""
        return pa.schema([(c.name, c.type) for c in self.columns if c.name != "venue"])

    @property
    def lake_schema(self) -> pa.Schema:
        """The Arrow schema as readers see it: partition columns first."""
        return pa.schema([("date", pa.date32()), ("venue", pa.string()), *((f.name, f.type) for f in self.schema)])


FLOAT, INTEGER, TEXT, BOOLEAN = pa.float64(), pa.int64(), pa.string(), pa.bool_()
VENUE = Column("venue", TEXT, "where it was traded, like `binance-usdm`; a partition column", ())
SYMBOL = Column("symbol", TEXT, "normalised instrument, like `BTC-USDT-PERP`", ())


def ts(doc: str, inputs: tuple[str, ...] = ("trades",)) -> Column:
    """Return the column `ts`."""
    return Column("ts", TIME, doc, inputs)


def end(
    doc: str = "when the row was complete, in event time (exclusive for bars)", inputs: tuple[str, ...] = ("trades",)
) -> Column:
    """Return the column `end`."""
    return Column("end", TIME, doc, inputs)
