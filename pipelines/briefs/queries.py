"""SQL for the rows of one instrument up to a time; every query is bounded by `date`, which opens no other files, and by `end`."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from pipelines.briefs.reading import moment, text

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
WEEK = dt.timedelta(days=7)
"""What a level is held against: the instrument's own values of the last week."""
MONTH = dt.timedelta(days=31)
"""How far back buckets of VPIN, and seals, are looked for."""


class Queries(NamedTuple):
    """Queries about an instrument, of rows with `end` <= `at`."""

    venue: str
    symbol: str
    at: dt.datetime

    def rows(self, table: str, columns: str, span: dt.timedelta, *, where: str = "", order: str = '"end"') -> str:
        """Return the rows of the last `span`; `columns` name the measured one `value`."""
        return f"SELECT date, {columns} FROM {table} WHERE {self.where(span, where)} ORDER BY {order}"

    def where(self, span: dt.timedelta, more: str = "") -> str:
        """Return the conditions of an instrument's rows of the last `span`."""
        mine = f"venue = {text(self.venue)} AND symbol = {text(self.symbol)}"
        return f"{mine} AND {self.when(span)}" + (f" AND {more}" if more else "")

    def when(self, span: dt.timedelta) -> str:
        """Return the conditions of time; a row's date is that of its beginning, at most a day before its end."""
        since = self.at - span
        dates = f"date BETWEEN {day(since - DAY)} AND {day(self.at)}"
        return f'{dates} AND "end" > {moment(since)} AND "end" <= {moment(self.at)}'

    def minutes(self, columns: str, span: dt.timedelta, where: str = "") -> str:
        """Return the minute bars of the last `span`."""
        return self.rows("bars", columns, span, where="bar = '1m'" + (f" AND {where}" if where else ""))

    def hours(self, column: str, span: dt.timedelta) -> str:
        """Return a column of minute bars, each with the `part` it belongs to: how many hours before `at` it ended."""
        part = f"""(epoch_us({moment(self.at)}) - epoch_us("end")) // 3600000000"""
        return self.minutes(f'"end", {part} AS part, {column} AS value', span)

    def vpin(self, column: str, setting: str, count: int, span: dt.timedelta = MONTH) -> str:
        """Return a column of the last `count` buckets that have a VPIN, oldest first."""
        known = f"setting = {text(setting)} AND NOT partial AND vpin_flag IS NOT NULL"
        newest = self.rows("vpin", f'"end", bucket, {column} AS value', span, where=known, order="date DESC, bucket DESC")
        return f"SELECT * FROM ({newest} LIMIT {count}) ORDER BY date, bucket"

    def newest(self, table: str, columns: str, span: dt.timedelta, keys: str, where: str = "") -> str:
        """Return the rows of a table that is written again, as they stood at `at`."""
        known = self.where(span, f"as_of <= {moment(self.at)}")
        last = f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY as_of DESC, {keys}) = 1"
        rows = f"SELECT * FROM {table}_history WHERE {known} {last}"
        return f"SELECT date, {columns} FROM ({rows})" + (f" WHERE {where}" if where else "") + f" ORDER BY {keys}"


def fresh(query: str, since: dt.datetime, order: str = '"end"') -> str:
    """Return the rows of a query, or none of them if the newest ended no later than `since`."""
    return f'SELECT * FROM ({query}) QUALIFY max("end") OVER () > {moment(since)} ORDER BY {order}'


def between(
    table: str, columns: str, instrument: tuple[str, str], start: dt.datetime, end: dt.datetime, where: str = "true"
) -> str:
    """Return rows of an instrument that begin in a time, in order."""
    mine = f"venue = {text(instrument[0])} AND symbol = {text(instrument[1])} AND {where}"
    when = f"date BETWEEN {day(start)} AND {day(end)} AND ts >= {moment(start)} AND ts < {moment(end)}"
    return f"SELECT {columns} FROM {table} WHERE {mine} AND {when} ORDER BY ts"


def day(time: dt.datetime) -> str:
    """Return the date of a time as SQL has it."""
    return f"DATE '{time.astimezone(dt.UTC):%Y-%m-%d}'"
