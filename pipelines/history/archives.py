"""Which files of an archive hold a day, and where they lie in a folder."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pipelines.market import Instrument
from pipelines.venues.venue import ArchiveFile

SUFFIXES: Final = (".csv", ".csv.gz", ".csv.zst", ".zip", ".gz")
"""What files that a user drops into a folder may be called like."""
_DATES = re.compile(r"(?<!\d)(\d{4})-?(\d{2})(?:-?(\d{2}))?(?!\d)")


class NoFileError(LookupError):
    """No file holds the day; `files` are those that would."""

    def __init__(self, files: Sequence[ArchiveFile]) -> None:
        super().__init__(" and ".join(file.path for file in files))
        self.files = files


def choose(files: Sequence[ArchiveFile], obtain: Callable[[ArchiveFile], Path | None]) -> list[Path]:
    """Return the files to read of those that can hold a date: the days', or else that of the month; and edges.

    Parameters
    ----------
    files : sequence of ArchiveFile
    obtain : callable
        Returns where a file is, None if there is none.

    Raises
    ------
    NoFileError
        If neither all of the days are there nor the month.
    """
    found = {file: path for file in files if file.part == "day" and (path := obtain(file)) is not None}
    days = [file for file in files if file.part == "day"]
    if len(found) < len(days):
        months = (path for file in files if file.part == "month" and (path := obtain(file)) is not None)
        month = next(months, None)
        if month is None:
            raise NoFileError([file for file in days if file not in found])
        return [month]
    edges = (obtain(file) for file in files if file.part == "edge")
    return [*found.values(), *(path for path in edges if path is not None)]


def in_folder(folder: Path, file: ArchiveFile) -> Path | None:
    """Return where a file of an archive lies in a folder: in the archive's layout or by its name alone, packed or not."""
    path = Path(file.path.lstrip("/"))
    plain = path.name.removesuffix(".zip").removesuffix(".gz").removesuffix(".csv")
    names = dict.fromkeys([path.name, *(plain + suffix for suffix in SUFFIXES)])
    places = (place / name for place in (folder / path.parent, folder) for name in names)
    return next((place for place in places if place.is_file()), None)


def dropped(folder: Path, instrument: Instrument, date: dt.date) -> list[Path]:
    """Return files anywhere below a folder that may hold trades of a date, by their names.

    A name holds that of the instrument (`BTCPERP`, `btc-perp`), not within that of another (`FTT-USD` in `FTT-USDT` or
    `FTT-USD-PERP`, `ETHUSDT` in `STETHUSDT`), and the date, its month, or two dates around it; or no date at all.
    """
    parts = re.findall(r"[A-Z0-9]+", instrument.native.upper())
    own = re.compile(rf"(?<![A-Z0-9]){'[^A-Z0-9]*'.join(parts)}(?![A-Z]|[^A-Z0-9]*PERP)")
    found = (p for p in sorted(folder.rglob("*")) if p.name.endswith(SUFFIXES) and p.is_file())
    return [path for path in found if own.search(path.name.upper()) and _covers(path.name, date)]


def _covers(name: str, date: dt.date) -> bool:
    told = [*_told(name)]
    return not told or min(begin for begin, _ in told) <= date <= max(end for _, end in told)


def _told(name: str) -> Iterator[tuple[dt.date, dt.date]]:
    """Yield the first and last day of each date or month in a name."""
    for year, month, day in _DATES.findall(name):
        try:
            begin = dt.date(int(year), int(month), int(day or 1))
        except ValueError:
            continue
        yield begin, begin if day else (begin + dt.timedelta(31)).replace(day=1) - dt.timedelta(1)
