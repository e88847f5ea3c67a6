"""A day of a venue from its archive: its files fetched (or found in a folder), and read as one tape."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from assets.download import PATIENCE, Archive, ArchiveError, Card, MissingError, Patience, card_of
from pipelines.history.archive_day import MARGIN_US, ArchiveDay, archive_day, span
from pipelines.history.archives import NoFileError, choose, dropped, in_folder
from pipelines.history.csv_file import recognise
from pipelines.history.day import Day
from pipelines.market import DAY_US, Instrument
from pipelines.settings import Settings
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Tape
from pipelines.venues.venue import ArchiveFile

__all__ = ["ArchiveError", "MissingError", "base_of", "fetch_day", "has_archive", "renewed"]
SpanOf = Callable[[Path], Sequence[int] | None]
"""Returns the first and the last time of a file (us since 1970)."""
WEB = ("http://", "https://")


def fetch_day(
    settings: Settings,
    day: Day,
    symbols: Sequence[str],
    watch: Callable[[str], None] = lambda _: None,
    patience: Patience = PATIENCE,
) -> ArchiveDay:
    """Fetch the files of a day that are not there yet (asking whether those that are were issued anew), and return its tape.

    The tape is of the kind that is recorded live, where the archive has it, else of the other.

    Parameters
    ----------
    settings : Settings
        `archives` says where a venue's archive is, if not where it always is; files are kept under `<data>/archive`.
    day : Day
    symbols : sequence of str
        Normalised, or the venue's own names.
    watch : callable
        Told what is being done, a line each.
    patience : Patience

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
    place = venue_named(day.venue)
    instruments = [place.guess(symbol) for symbol in symbols]
    base = base_of(settings, day.venue)
    if not base.startswith(WEB):
        return _from_folder(Path(base), day, instruments)
    tape = _tape(day)
    if tape is None:
        raise ValueError(f"{day.venue} has no archive of trades in the layout that is known; set archives to a folder")
    folder = settings.data / "archive" / day.venue
    with closing(Archive(base, folder, watch, patience)) as archive:
        files = [_fetched(archive, place.archive_files(i.native, day.date, tape), day, i) for i in instruments]
    return archive_day(files, day, instruments, tape)


def _fetched(archive: Archive, files: Sequence[ArchiveFile], day: Day, instrument: Instrument) -> list[Path]:
    def inspect(path: Path) -> Card:
        return {"span": span(path, day.venue, instrument.native)}

    try:
        return _chosen(files, lambda file: archive.get(file, inspect), lambda path: card_of(path).get("span"), day)
    except NoFileError as error:
        url = archive.base + error.files[0].path
        raise MissingError(f"the archive has no file of {instrument.symbol} (yet): {url} answers 404") from None


def renewed(
    settings: Settings, day: Day, made: Mapping[str, Mapping[str, str]], patience: Patience = PATIENCE
) -> list[str] | None:
    """Return the names of the kept files of a day that the archive has issued anew; none comes again by this. None: none is kept.

    Parameters
    ----------
    made : dict of symbol to dict
        SHA-256 of the files that the rows are made of, by name, where they are known.

    Raises
    ------
    ArchiveError
        If the archive does not answer.
    ValueError
        If the venue has no archive, or a symbol is unknown.
    """
    place, base, tape = venue_named(day.venue), base_of(settings, day.venue), _tape(day)
    if not base.startswith(WEB) or tape is None:
        return None
    kept: dict[str, bool] = {}
    with closing(Archive(base, settings.data / "archive" / day.venue, patience=patience)) as archive:
        for symbol, sums in made.items():
            for file in place.archive_files(place.guess(symbol).native, day.date, tape):
                name = file.path.rpartition("/")[2]
                found = archive.is_renewed(file, sums.get(name, ""))
                kept |= {name: found} if found is not None else {}
    return [name for name, found in kept.items() if found] if kept else None


def has_archive(settings: Settings, day: Day) -> bool:
    """Whether there is a place where a day may be: the venue's archive or a mirror, or a folder."""
    try:
        base = base_of(settings, day.venue)
    except ValueError:
        return False
    return not base.startswith(WEB) or _tape(day) is not None


def base_of(settings: Settings, venue: str) -> str:
    """Return the URL or folder of a venue's archive."""
    stand_in = settings.endpoints.get(venue, "") if venue == "demo" else ""  # the demo exchange serves its own
    base = settings.archives.get(venue) or stand_in or venue_named(venue).rules.archive
    if not base:
        raise ValueError(f"{venue} publishes no archive of trades; set archives.{venue} to a folder that holds files of them")
    return base


def _tape(day: Day) -> Tape | None:
    """Return the kind of tape that a venue's archive has, None where it has none."""
    return next((tape for tape in _tapes(day.venue) if venue_named(day.venue).archive_files("", day.date, tape)), None)


def _tapes(venue: str) -> list[Tape]:
    """Return the kinds of tape, that which is recorded live first."""
    return ["agg", "fill"] if venue_named(venue).rules.tape == "agg" else ["fill", "agg"]


def _from_folder(folder: Path, day: Day, instruments: Sequence[Instrument]) -> ArchiveDay:
    """Return a day from a folder: files in the archive's layout, else whatever was dropped into it."""
    if not folder.is_dir():
        raise ArchiveError(f"archives.{day.venue}: {folder} is no folder; make it, or give a URL")
    for tape in _tapes(day.venue):
        try:
            files = [_laid_out(folder, day, instrument, tape) for instrument in instruments]
        except NoFileError:
            continue
        return archive_day(files, day, instruments, tape)
    files = [dropped(folder, instrument, day.date) for instrument in instruments]
    if missing := [instrument.native for instrument, some in zip(instruments, files, strict=True) if not some]:
        raise MissingError(f"{folder}: holds no file of {' or '.join(missing)} on {day.date}; its name is to hold both")
    tapes = {
        recognise(path, day.venue, instrument.native).layout.tape
        for instrument, some in zip(instruments, files, strict=True)
        for path in some
    }
    return archive_day(files, day, instruments, "fill" if tapes == {"fill"} else "agg")


def _laid_out(folder: Path, day: Day, instrument: Instrument, tape: Tape) -> list[Path]:
    known = venue_named(day.venue).archive_files(instrument.native, day.date, tape)
    if not known:
        raise NoFileError([])

    return _chosen(known, lambda file: in_folder(folder, file), lambda path: span(path, day.venue, instrument.native), day)


def _chosen(files: Sequence[ArchiveFile], obtain: Callable[[ArchiveFile], Path | None], span_of: SpanOf, day: Day) -> list[Path]:
    """Return the files to read of those that can hold a date; see `choose`.

    Raises
    ------
    NoFileError
        As `choose`.
    MissingError
        If the date's file reaches a day beside the date, so that the date does not lie in it whole, and the other is not there.
    """
    there: dict[ArchiveFile, Path] = {}

    def noted(file: ArchiveFile) -> Path | None:
        if (path := obtain(file)) is not None:
            there[file] = path
        return path if path is None or file.part != "edge" or _touches(span_of(path), day) else None

    found = choose(files, noted)
    edges = [file for file in files if file.part == "edge"]
    own = next((there[file] for file in files if file.part == "day" and file in there), None)
    if edges and own and (held := span_of(own)):
        reaches = held[1] >= day.us + DAY_US + MARGIN_US, held[0] < day.us - MARGIN_US
        for file, needed in zip(edges, reaches, strict=True):  # the day before, the day after
            if needed and file not in there:
                raise MissingError(f"{own.name} is of no UTC day, and the rest of the date is not there (yet): {file.path}")
    return found


def _touches(found: Sequence[int] | None, day: Day) -> bool:
    """Whether a file from one time to another holds some of a date."""
    return found is not None and found[0] < day.us + DAY_US and found[1] >= day.us
