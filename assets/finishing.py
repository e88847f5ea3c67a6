"""Finished days brought into their final form, in order, past those that fail. The command line does it by the same functions."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import polars as pl

from assets.archives import ArchiveError, fetch_day
from assets.klines import fetch_klines
from assets.rest import fetch_holes
from pipelines.engine import VERSION
from pipelines.history import kline_files
from pipelines.history.day import Day, DayTape
from pipelines.history.in_force import in_force
from pipelines.history.repair import holes, repair, settle
from pipelines.history.seal import Sealed, seal
from pipelines.history.stale import finished, is_finished, stale, unsealed
from pipelines.history.stored_day import described, stored_day
from pipelines.history.stored_files import LIVE, files_of, is_sealed, symbols_in, told
from pipelines.rules.book import load as load_rules
from pipelines.settings import Settings
from pipelines.store.lake import Lake
from pipelines.venues import venue as venue_named

Watch = Callable[[Day, str], None]
"""Told what is being done to a day."""
RECORDED = ("live", "tape")
"""`seals.source` of days that were recorded or loaded, and not taken from an archive by us."""
SHOWN = 300
"""Characters of an error that are told."""


Seals = dict[str, dict[str, Any]]
"""Rows of table `seals`, by symbol."""


class Refused(Exception):
    """A day that cannot be finished as asked; the message says why and what to do."""


class Ask(NamedTuple):
    """What is asked of a day.

    Attributes
    ----------
    symbols : tuple of str
        Normalised or native; none: those that were recorded that day, else those of the settings.
    archive : bool
        Take the day whole from the archive, even where it was recorded.
    repair : bool
        Add what the archive has and the lake lacks, and close the holes of the ledger, before the day is sealed.
    force : bool
        Do it though the day is complete (its archive is asked whether files were issued anew), or not over for the flow.
    """

    symbols: tuple[str, ...] = ()
    archive: bool = False
    repair: bool = False
    force: bool = False


class Outcome(NamedTuple):
    """What became of a day: `status` tells, `sealed` is what was done, `error` why it failed."""

    day: Day
    status: Literal["sealed", "complete", "failed"]
    sealed: tuple[Sealed, ...] = ()
    error: str = ""


class House(NamedTuple):
    """Where days are finished: the settings, and their lake."""

    settings: Settings
    lake: Lake


def house(settings: Settings, root: str | None = None) -> House:
    """Return the lake of the settings (or that at `root`), made if there is none yet."""
    lake = Lake(root or settings.lake_root)
    lake.create()
    return House(settings, lake)


def finish_all(at: House, days: Iterable[Day], ask: Ask, watch: Watch = lambda *_: None) -> Iterator[Outcome]:
    """Finish days in order, one after the other; what goes wrong with one stops none of the others."""
    for day in sorted(set(days)):
        try:
            found = finish(at, day, ask, watch)
        except Exception as error:  # noqa: BLE001  # whatever it is, the other days can do without this one
            yield Outcome(day, "failed", error=_told(error))
        else:
            yield Outcome(day, "sealed" if found else "complete", tuple(found))


def finish(at: House, day: Day, ask: Ask, watch: Watch = lambda *_: None) -> list[Sealed]:
    """Bring one day into its final form: of what was recorded from the lake, else from the archive; nothing if it is complete.

    Raises
    ------
    Refused
        If it is not over for the flow, or nothing says which symbols are meant.
    ArchiveError, SourceError, RestError, LakeError, ValueError
        As `fetch_day`, `fetch_holes` and `seal`.
    """
    began_us, sealed = time.time_ns() // 1000, seals_of(at.lake, day)
    recorded = _recorded(at.lake, day, sealed)
    wanted = _wanted(at, day, ask, recorded, sealed)
    if not (ask.force or ask.repair) and _is_complete(at, day, wanted, sealed):
        return []
    live = set() if ask.archive else wanted & recorded
    written = wanted & recorded if files_of(at.lake, "coverage", day) else live
    if written and not ask.force and not is_finished(at.lake, day):
        raise Refused("the flow has not passed 00:15 UTC of the next date; wait for it, or say `force`")
    if live and ask.repair:
        live -= _repair(at, day, live, watch)
    tapes: list[DayTape] = [stored_day(at.lake, day)] if live else []
    if wanted - live:
        tapes.append(fetch_day(at.settings, day, sorted(wanted - live), lambda told: watch(day, told)))
    if wanted - live or ask.repair:  # a recorded day is sealed without reaching outside
        for instrument, candles in fetch_klines(at.settings, day, sorted(wanted), lambda told: watch(day, told)):
            kline_files.store(at.lake, day, instrument, candles)
    done = [_seal(at, tape, watch) for tape in tapes]
    if wanted - live:
        settle(at.lake, day, tapes[-1].instruments, now_us=began_us, whole=True)
    return [one for one in done if not one.skipped]


def _repair(at: House, day: Day, symbols: set[str], watch: Watch) -> set[str]:
    """Fill the holes of a recorded day: from the archive, or from REST where there is none.

    Returns the symbols that are to be taken whole from the archive: a date is never merged where it does not share ids or
    the merging of fills with the stream.
    """
    rules = venue_named(day.venue).rules
    found: DayTape
    try:
        found = fetch_day(at.settings, day, sorted(symbols), lambda told: watch(day, told))
    except (ArchiveError, ValueError) as error:
        if not rules.contiguous:
            raise
        watch(day, f"{error}; asking REST")
        place = venue_named(day.venue)
        known = [described(at.lake, day.venue, symbol) or place.guess(symbol) for symbol in sorted(symbols)]
        found = fetch_holes(at.settings, day, known, partial(holes, at.lake, day), lambda told: watch(day, told))
    else:
        if not rules.contiguous or found.tape != rules.tape:
            return {symbol for symbol in symbols if holes(at.lake, day, symbol)}
    done = repair(at.lake, found, now_us=time.time_ns() // 1000)
    watch(day, f"{done.added:,} trades added, {done.closed} holes closed, {done.left} left")
    return set()


def _seal(at: House, tape: DayTape, watch: Watch) -> Sealed:
    return seal(
        at.lake,
        tape,
        at.settings.kernels,
        load_rules(at.settings.rules),
        sealed_at_us=time.time_ns() // 1000,
        watch=lambda step, trades: watch(tape.day, f"{step}, {trades:,} trades"),
    )


def due(lake: Lake, venues: Sequence[str] | None, *, force: bool = False) -> list[tuple[Day, str]]:
    """Return the days that are to be sealed, in order, each with the reason; with `force`, those that are not finished, too."""
    lacking = unsealed(lake, venues)
    found = dict.fromkeys(lacking if force else finished(lake, lacking), "not sealed yet")
    return sorted({**dict(stale(lake, venues)), **found}.items())


def waiting(lake: Lake, venues: Sequence[str] | None) -> list[Day]:
    """Return the days that are not sealed because the flow, or whoever brings them, has not come to their end."""
    lacking = unsealed(lake, venues)
    return sorted(set(lacking) - finished(lake, lacking))


def retry(outcomes: Iterable[Outcome], ask: Ask) -> list[str]:
    """Return the commands that try again just the days that failed, one a venue."""
    bad: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            bad.setdefault(outcome.day.venue, []).append(outcome.day.date.isoformat())
    symbols = f" --symbols {','.join(ask.symbols)}" if ask.symbols else ""
    flags = "".join(f" --{name}" for name in ("archive", "repair", "force") if getattr(ask, name))
    return [f"tapeflow backfill --venue {venue}{symbols} --dates {','.join(dates)}{flags}" for venue, dates in bad.items()]


def _wanted(at: House, day: Day, ask: Ask, recorded: set[str], sealed: Seals) -> set[str]:
    configured = at.settings.venues.get(day.venue)
    symbols = ask.symbols or recorded or sealed or (configured.symbols if configured else ())
    if not symbols:
        raise Refused(f"nothing was recorded, and the settings name no symbols of {day.venue}; say which (`symbols`)")
    return {normalised(at.lake, day.venue, symbol) for symbol in symbols}


def normalised(lake: Lake | None, venue: str, symbol: str) -> str:
    """Return our name of a symbol: as the venue has described it in the lake, if any, else by the form of its own name.

    Raises
    ------
    ValueError
        If it cannot be told.
    """
    typed = symbol.strip().upper()
    if lake is not None:
        here = pl.col("venue") == venue, (pl.col("symbol") == typed) | (pl.col("native").str.to_uppercase() == typed)
        known = lake.table("instruments").filter(*here).select(pl.col("symbol").first()).collect()
        if known.height and known.item():
            return str(known.item())
    return venue_named(venue).guess(symbol).symbol


def _recorded(lake: Lake, day: Day, sealed: Seals) -> set[str]:
    """Return the symbols of which the lake holds trades that were not taken from an archive.

    A file tells where its trades are from as well: one that was killed before its seal has no seal to tell it.
    """
    archived = {symbol for symbol, row in sealed.items() if row["source"] not in RECORDED}
    found = set()
    for file in files_of(lake, "trades", day):
        sources = {LIVE} if not is_sealed(file.path) else set(told(lake, "trades", file).get("source", LIVE).split("; "))
        if ours := sources & set(RECORDED):
            mine = symbols_in(lake, "trades", file) - archived
            found |= mine if sources == ours else mine & sealed.keys()  # of several sources, its seal says whose is which
    return found


def seals_of(lake: Lake, day: Day) -> Seals:
    """Return the newest seal of each symbol of a day."""
    seals = lake.table("seals", date=day.date).filter(pl.col("venue") == day.venue).collect()
    return {row["symbol"]: row for row in seals.iter_rows(named=True)}


def _is_complete(at: House, day: Day, wanted: set[str], sealed: Seals) -> bool:
    """Whether nothing is to be done: all is sealed by the settings of today and the engine of today, and still holds.

    Whole days that `tapeflow load` brought are what sealing would make of them.
    """
    if not wanted <= sealed.keys() or day in dict(stale(at.lake, [day.venue])):
        return False
    held = in_force(at.lake, day, at.settings.kernels, load_rules(at.settings.rules)).settings_hash
    ours = [sealed[symbol] for symbol in wanted if sealed[symbol]["rows_digest"]]
    return all((row["engine"], row["settings_hash"]) == (VERSION, held) for row in ours)


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:SHOWN]
