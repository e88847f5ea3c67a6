"""The vocabulary and what is generated from it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.market import BAR_WIDTHS_US, TABLES, Flag, describe
from pipelines.schema import Table

DOCS = Path(__file__).parents[2] / "docs"


def test_the_description_of_the_tables_is_current() -> None:
    assert (DOCS / "tables.md").read_text() == describe(), "run `make docs`"


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_every_table_keeps_the_contract(table: Table) -> None:
    names = [c.name for c in table.columns]
    assert {"venue", "ts", "end", *table.key, *table.sort} <= {"date", *names}
    assert len(set(names)) == len(names)
    assert all(c.doc for c in table.columns)
    times = [c for c in table.columns if pa.types.is_timestamp(c.type)]
    assert {c.type for c in times} == {pa.timestamp("us", tz="UTC")}
    assert not table.newest or "as_of" in names


def test_each_width_of_a_bar_divides_the_next() -> None:
    widths = list(BAR_WIDTHS_US.values())
    assert all(wide % narrow == 0 for narrow, wide in itertools.pairwise(widths))


def test_flags_become_words() -> None:
    assert (Flag.LATE | Flag.OFF_BOOK).words() == ["off_book", "late"]
