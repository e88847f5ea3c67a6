"""The venue's own candles of a day from its archive, to hold ours against; a day is finished without them, too."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pyarrow as pa

from assets.archives import base_of
from assets.download import PATIENCE, Archive, ArchiveError, Card, Patience
from pipelines.history.archives import NoFileError, choose, in_folder
from pipelines.history.day import Day
from pipelines.history.kline_files import read_file
from pipelines.market import Instrument
from pipelines.settings import Settings
from pipelines.sources import SourceError
from pipelines.venues import venue as venue_named
from pipelines.venues.venue import ArchiveFile, KlineArchive


def fetch_klines(
    settings: Settings,
    day: Day,
    symbols: Sequence[str],
    watch: Callable[[str], None] = lambda _: None,
    patience: Patience = PATIENCE,
) -> Iterator[tuple[Instrument, pa.Table]]:
    """Yield the 1-minute candles of those symbols of which the archive has any; what goes wrong is told, and raises nothing.

    Parameters
    ----------
    settings, day, symbols, watch, patience
        As `archives.fetch_day`.
    """
    place = venue_named(day.venue)
    instruments = [place.guess(symbol) for symbol in symbols]
    known = [(it, found) for it in instruments if (found := place.archive_klines(it.native, day.date)) is not None]
    if not known:
        return
    with ExitStack() as opened:
        archive: Archive | Path
        try:
            base = base_of(settings, day.venue)
        except ValueError as error:
            watch(f"no klines: {error}")
            return
        if base.startswith(("http://", "https://")):
            archive = opened.enter_context(closing(Archive(base, settings.data / "archive" / day.venue, watch, patience)))
        else:
            archive = Path(base)
        for instrument, found in known:
            try:
                for path in choose(found.files, _obtain(archive, found)):
                    yield instrument, read_file(path, found.parse)
            except NoFileError:
                watch(f"the archive has no klines of {instrument.symbol} (yet)")
            except (ArchiveError, SourceError) as error:
                watch(f"no klines of {instrument.symbol}: {error}")


def _obtain(archive: Archive | Path, found: KlineArchive) -> Callable[[ArchiveFile], Path | None]:
    """Return what says where a file is, after fetching it."""

    def inspect(path: Path) -> Card:
        return {"candles": read_file(path, found.parse).num_rows}

    def obtain(file: ArchiveFile) -> Path | None:
        return in_folder(archive, file) if isinstance(archive, Path) else archive.get(file, inspect)

    return obtain
