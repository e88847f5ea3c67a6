"""How history is partitioned: by UTC date and venue. The days of all assets of history are named here."""

import datetime as dt

import dagster as dg

from pipelines.history.day import Day
from pipelines.settings import VENUES

FIRST = "2017-08-17"
"""The oldest day in any of the archives."""

DAYS = dg.MultiPartitionsDefinition(
    {"date": dg.DailyPartitionsDefinition(FIRST), "venue": dg.StaticPartitionsDefinition(list(VENUES))}
)
"""A date is there once it is over. Venues are only ever appended: a range of them goes by their order."""


def key_of(day: Day) -> dg.MultiPartitionKey:
    """Return the partition of a day."""
    return dg.MultiPartitionKey({"date": day.date.isoformat(), "venue": day.venue})


def day_of(key: str) -> Day:
    """Return the day of a partition, given as `2026-11-20|okx`."""
    date, _, venue = key.partition("|")
    return Day(dt.date.fromisoformat(date), venue)
