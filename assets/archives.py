"""A day of a venue from its archive: its files fetched (or found in a folder), and read as one tape."""

from collections.abc import Callable, Sequence

from pipelines.history.archive_day import ArchiveDay
from pipelines.history.day import Day
from pipelines.settings import Settings


class ArchiveError(Exception):
    """A day that the archive does not give: which file, why, and what to do. `pipelines.sources.SourceError` is its like."""


class MissingError(ArchiveError):
    """The archive has no such file, or not yet."""


def fetch_day(settings: Settings, day: Day, symbols: Sequence[str], watch: Callable[[str], None] = lambda _: None) -> ArchiveDay:
    """Fetch the files of a day that are not there yet (asking whether those that are were issued anew), and return its tape.

    Parameters
    ----------
    settings : Settings
        `archives` says where a venue's archive is, if not where it always is; files are kept under `<data>/archive`.
    day : Day
    symbols : sequence of str
        Normalised, or the venue's own names.
    watch : callable
        Told what is being done, a line each.

    Raises
    ------
    MissingError
        If the archive has no file of one of the symbols.
    ArchiveError
        If a file cannot be fetched, or its checksum does not hold.
    SourceError
        If a file is damaged or holds something else; here, or from `pieces` of the tape.
    ValueError
        If the venue has no archive, or a symbol is unknown.
    """
    raise NotImplementedError
