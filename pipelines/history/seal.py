"""Sealing: a finished day becomes final rows, in one commit a table, and every difference from live rows is told.

What was computed is written and compared before the first commit, and the comparison kept beside the lake until the last:
killed anywhere and run again, sealing ends in the same lake. A table that holds the files of this very seal is done.
Two that seal a day at once take turns: who finds that the other has committed to a table meanwhile begins anew.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import ledger
from pipelines import rows as to_rows
from pipelines.account_tables import INPUTS, INSTRUMENTS
from pipelines.engine import VERSION
from pipelines.history import archive_notes, checks, comparison, earlier
from pipelines.history.archive_day import ArchiveDay
from pipelines.history.day import Day, DayTape
from pipelines.history.in_force import InForce, in_force
from pipelines.history.rebuild import DERIVED, Rebuilt, rebuild
from pipelines.history.sheets import Sheets
from pipelines.history.stale import UNFINISHED
from pipelines.history.stored_day import StoredDay, stored_day
from pipelines.history.stored_files import LIVE, SEAL, files_of, read, symbols_in, writer_of
from pipelines.history.unfinished import Unwritten, is_settled, is_unfinished
from pipelines.market import TABLES
from pipelines.rules.book import Rules, canonical
from pipelines.settings import Kernels, digest
from pipelines.store import LakeError
from pipelines.store.commits import turn
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged

FILES = "files"
"""In `seals.details`: what `_made_of` returns."""
TRIES = 20
"""How often a seal begins anew because others rewrote the same rows."""

Watch = Callable[[str, int], None]
"""Called with the step (`compute`, `compare`, `commit`) and the trades done so far."""


class Totals(NamedTuple):
    """What a sealed day holds of one symbol: counted trades, base volume, quote notional, and the digest of its rows."""

    trades: int
    volume: float
    notional: float
    digest: str


class Written(NamedTuple):
    """What was committed to a table."""

    rows: int
    bytes: int


class Sealed(NamedTuple):
    """What sealing a day did.

    Attributes
    ----------
    day : Day
    skipped : bool
        It was sealed before from the same tape, settings and earlier dates: nothing was done, `tables` is empty.
    tables : dict of table to Written
    symbols : dict of symbol to Totals
    differences : dict of symbol to dict
        As in `seals.details`: under `tables`, by table `equal`, and by reason `changed`, `only_live`, `only_sealed`; `checks`.
    seconds : dict of step to seconds
    """

    day: Day
    skipped: bool
    tables: dict[str, Written]
    symbols: dict[str, Totals]
    differences: dict[str, dict[str, Any]]
    seconds: dict[str, float]


class Plan(NamedTuple):
    """What is to be sealed, and all that its rows depend on.

    Attributes
    ----------
    seals : dict of symbol to row
        The newest seals of the day.
    read : dict of symbol to str
        Digests of what earlier dates hold.
    whole : dict of symbol to bool
        Whether the tape has the date from its beginning.
    name : str
        Of this seal: the same name means the same rows.
    settled : bool
        The lake holds nothing else of these symbols than a seal of this tape wrote, alerts apart.
    unfinished : bool
        The flow may still write rows of the day: those are left to it.
    """

    tape: DayTape
    held: InForce
    seals: dict[str, dict[str, Any]]
    read: dict[str, str]
    whole: dict[str, bool]
    name: str
    settled: bool
    unfinished: bool

    @property
    def symbols(self) -> list[str]:
        """The symbols that are sealed."""
        return [i.symbol for i in self.tape.instruments]

    @property
    def done(self) -> bool:
        """Whether the newest seals are of these very rows."""
        if not self.settled:
            return False
        held = self.held.settings_hash
        for symbol in self.symbols:
            row = self.seals.get(symbol, {})
            known = (row.get("tape_digest"), row.get("earlier_digest"), row.get("settings_hash"), row.get("engine"))
            if known != (self.tape.digest, self.read[symbol], held, VERSION):
                return False
            if UNFINISHED in _details(row) and not self.unfinished:
                return False
        return True


def plan(lake: Lake, tape: DayTape, kernels: Kernels, rules: Rules = (), now_us: int | None = None) -> Plan:
    """Return what the rows of a day depend on, as the lake has it now."""
    day, symbols = tape.day, [i.symbol for i in tape.instruments]
    seals = earlier.newest_seals(lake, day.venue)
    held = in_force(lake, day, kernels, rules)
    read_of = earlier.read_by(day, symbols, seals, earlier.writers(lake, day.venue))
    of_day = seals.get(day.date, {})
    whole = {s: not isinstance(tape, StoredDay) or earlier.has_begun(lake, day, s, of_day.get(s)) for s in symbols}
    parts = [tape.digest, held.settings_hash, str(VERSION), *(f"{s} {read_of[s]} {whole[s]}" for s in symbols)]
    unfinished = is_unfinished(lake, tape, now_us)
    name = digest("\0".join([*parts, UNFINISHED] if unfinished else parts).encode())
    return Plan(tape, held, of_day, read_of, whole, name, is_settled(lake, tape, of_day.keys()), unfinished)


def seal(
    lake: Lake,
    tape: DayTape,
    kernels: Kernels,
    rules: Rules = (),
    *,
    sealed_at_us: int,
    watch: Watch = lambda *_: None,
) -> Sealed:
    """Replace the rows of a day by those made of `tape`; of other symbols, and live alerts, none is touched.

    Killed anywhere and run again it ends in the same lake; run again after success it does nothing.

    Parameters
    ----------
    kernels, rules
        Of a date that was recorded live, those that table `inputs` says were in force are taken instead.
    sealed_at_us
        Now, us since 1970: `as_of` of the seal.

    Raises
    ------
    LakeError
        If others rewrite the same rows in a loop.
    """
    lake.create()
    for attempt in range(TRIES):
        if isinstance(tape, StoredDay) and (attempt or tape.files != tuple(f.path for f in files_of(lake, "trades", tape.day))):
            tape = stored_day(lake, tape.day)
        turns = {table: lake.version(table, _turn(tape.day)) for table in ("trades", *DERIVED, "seals")}
        planned = plan(lake, tape, kernels, rules, sealed_at_us)
        if planned.done and not checks.may_compare(lake, tape, {s: _details(planned.seals[s]) for s in planned.symbols}):
            comparison.forget(lake, tape.day, planned.name)
            return Sealed(tape.day, True, {}, {}, {s: _details(planned.seals[s]) for s in planned.symbols}, {})
        try:
            return _Sealing(lake, planned, turns, sealed_at_us, watch).run()
        except (LakeError, FileNotFoundError):  # someone else was first: read it anew
            if attempt == TRIES - 1:
                raise
    raise AssertionError


class _Sealing:
    """One attempt; `turns` are the last commits that a seal of this day had made to each table before it was planned."""

    def __init__(self, lake: Lake, planned: Plan, turns: dict[str, int | None], now_us: int, watch: Watch) -> None:
        self.lake, self.plan, self.turns, self.now_us, self.watch = lake, planned, turns, now_us, watch
        self.day, self.tape = planned.tape.day, planned.tape
        self.writers = {"trades": SEAL + self.tape.digest, **dict.fromkeys(DERIVED, SEAL + planned.name)}
        self.seconds: dict[str, float] = {}
        self.unwritten: Unwritten | None = None

    def run(self) -> Sealed:
        """Compute, compare, commit."""
        began = time.monotonic()
        old = {table: files_of(self.lake, table, self.day) for table in self.writers}
        old["trades"] = self._read(old["trades"])
        held = {table: self._ours(table, files) for table, files in old.items()}
        to_do = [table for table in self.writers if not self._is_done(table, held[table])]
        unique = f"{uuid4().int % 10**14:014d}"
        names = {table: f"{self.writers[table]}-{unique}" for table in self.writers if table != "trades" or table in to_do}
        metadata = {
            "source": self.tape.source,
            "settings_hash": self.plan.held.settings_hash,
            "engine_version": str(VERSION),
            "seal": self.plan.name,
            "job": self.plan.held.job,
        }
        if self.plan.unfinished:
            self.unwritten = Unwritten(self.lake, self.tape, held, self.plan.symbols)
        sheets = Sheets(self.lake, self.day, names, metadata, self.unwritten)
        try:
            quoted = comparison.quoted(read(self.lake, "features", held["features"], self.plan.symbols))
            whole = [self.plan.whole[s] for s in self.plan.symbols]
            made = rebuild(self.lake, self.tape, self.plan.held, whole, quoted, sheets, lambda n: self.watch("compute", n))
            sheets.add("alerts", self._untold(made.alerts, held["alerts"]))
            staged = sheets.finish()
            self.seconds["compute"] = time.monotonic() - began
            rows = comparison.digests(self.lake, staged, self.tape, made.totals)
            told = self._compare(held, staged, made)
            self.seconds["compare"] = time.monotonic() - began - sum(self.seconds.values())
            self._commit(to_do, held, staged, unique)
            sheets.keep(to_do)
            self._describe()
            told = self._checked(told, staged, made)
            symbols = {s: Totals(*made.totals.get(s, (0, 0.0, 0.0)), rows[s]) for s in self.plan.symbols}
            self._seal(symbols, told)
        finally:
            sheets.discard()
        written = {t: Written(sum(f.rows for f in staged.get(t, [])), sum(f.size for f in staged.get(t, []))) for t in to_do}
        self.seconds["commit"] = time.monotonic() - began - sum(self.seconds.values())
        return Sealed(self.day, False, written, symbols, told, self.seconds)

    def _read(self, files: list[Staged]) -> list[Staged]:
        """Return the files of trades that the tape is made of: what has come since it was read stays where it is."""
        if not isinstance(self.tape, StoredDay):
            return files
        known = [f for f in files if f.path in self.tape.files]
        if len(known) < len(self.tape.files):
            raise LakeError(f"table trades: files of {self.day} were merged since they were read; try again")
        return known

    def _ours(self, table: str, files: list[Staged]) -> list[Staged]:
        """Return the files that hold rows of the symbols that are sealed."""
        wanted = set(self.plan.symbols)
        return [f for f in files if wanted & symbols_in(self.lake, table, f)]

    def _is_done(self, table: str, files: list[Staged]) -> bool:
        """Whether a table has the rows of this very seal, because it was killed after they were committed."""
        if table == "trades":
            return bool(files) and all(writer_of(f.path) == self.writers[table] for f in files)
        begun = [f for f in files if writer_of(f.path) == self.writers[table]]
        return bool(begun) and (table == "alerts" or len(begun) == len(files))

    def _untold(self, alerts: pa.Table, held: list[Staged]) -> pa.Table:
        """Return the alerts that the stream has not told."""
        known = read(self.lake, "alerts", held, self.plan.symbols)
        live = known.filter(pc.equal(known["origin"], "live"))["alert_id"].combine_chunks()
        return alerts.filter(pc.invert(pc.is_in(alerts["alert_id"], live)))

    def _compare(
        self, held: dict[str, list[Staged]], staged: dict[str, list[Staged]], made: Rebuilt
    ) -> dict[str, dict[str, Any]]:
        """Return what differs, by symbol; as an earlier attempt found it, where it was killed after a commit."""
        kept = comparison.kept(self.lake, self.day, self.plan.name)
        if kept is None:
            kept = comparison.details(self.lake, self._sides(held, staged, made), lambda n: self.watch("compare", n))
            comparison.keep(self.lake, self.day, self.plan.name, kept)
        return kept

    def _sides(self, held: dict[str, list[Staged]], staged: dict[str, list[Staged]], made: Rebuilt) -> comparison.Sides:
        """Return what is compared with what."""
        before = {s: _details(row) for s, row in self.plan.seals.items()}
        return comparison.Sides(self.tape, self.plan.held, self.plan.whole, held, staged, made, before, self.unwritten)

    def _commit(self, to_do: list[str], held: dict[str, list[Staged]], staged: dict[str, list[Staged]], unique: str) -> None:
        """Replace, table by table, what the lake holds of these symbols."""
        for table in to_do:
            remove, keep = [], []
            for k, file in enumerate(held[table]):
                rest = self._rest(table, file)
                if rest is None:
                    continue
                remove.append(file.path)
                if rest.num_rows:
                    keep += self.lake.stage(table, rest, f"{writer_of(file.path)}-{unique}{k:04d}", {"seal": self.plan.name})
            add = [*staged.get(table, []), *keep]
            self.watch("commit", 0)
            if remove or add:
                self._replace(table, remove, add, _turn(self.day), self.turns[table])

    def _replace(self, table: str, remove: list[str], add: list[Staged], name: str, last: int | None) -> None:
        """Commit, unless another seal has done so since its `last` commit: what is to be added would be there twice."""
        if not self.lake.replace(table, remove, add, app=name, version=0 if last is None else last + 1):
            raise LakeError(f"table {table}: {self.day} is being sealed by another process; wait for it")

    def _rest(self, table: str, file: Staged) -> pa.Table | None:
        """Return the rows of a file that stay, None if all do."""
        if table != "alerts" and symbols_in(self.lake, table, file) <= set(self.plan.symbols):
            return TABLES[table].lake_schema.empty_table()
        rows = read(self.lake, table, [file])
        ours = pc.is_in(rows["symbol"], pa.array(self.plan.symbols, pa.string()))
        if table == "alerts":
            ours = pc.and_(ours, pc.equal(rows["origin"], "history"))
        rest = rows.filter(pc.invert(ours))
        return None if rest.num_rows == rows.num_rows else rest

    def _checked(
        self, told: dict[str, dict[str, Any]], staged: dict[str, list[Staged]], made: Rebuilt
    ) -> dict[str, dict[str, Any]]:
        """Return the comparison together with the checks of the day, for which the ledger is written."""
        left = self.unwritten.left if self.unwritten else None
        found = checks.of_day(self.lake, self.tape, self.plan.held, self.plan.whole, staged, made.tallies, left)
        more = {s: {UNFINISHED: self.unwritten.counts(s)} if self.unwritten else {} for s in found}
        return {s: {**told.get(s, {}), **more[s], **self._made_of(s), "checks": of} for s, of in found.items()}

    def _source(self, symbol: str) -> str:
        return self.tape.sources[symbol] if isinstance(self.tape, StoredDay) else self.tape.source

    def _made_of(self, symbol: str) -> dict[str, dict[str, str]]:
        """Return the SHA-256 of the archive's files that the rows of a symbol are made of, by name."""
        if isinstance(self.tape, ArchiveDay):
            place = self.plan.symbols.index(symbol)
            names = [file.path.name for file in self.tape.files[place]]
            return {FILES: dict(zip(names, self.tape.checksums[place], strict=True))}
        before = self.plan.seals.get(symbol, {}) if self._source(symbol) != LIVE else {}
        return {FILES: known} if (known := _details(before).get(FILES)) else {}

    def _describe(self) -> None:
        """Write what the lake does not know yet: instruments, settings, and what the account keeps of an archive."""
        if isinstance(self.tape, ArchiveDay):
            archive_notes.note(self.lake, self.tape, now_us=self.now_us)
        name = f"{SEAL}{self.day.venue}"
        for table, lacking in (("instruments", self._undescribed), ("inputs", self._unnoted)):
            last = self.lake.version(table, name)
            rows = lacking()
            if rows.num_rows:
                self._replace(table, [], self._staged(table, rows), name, last)

    def _staged(self, table: str, rows: pa.Table) -> list[Staged]:
        name = f"{SEAL}{self.plan.name}-{uuid4().int % 10**18:018d}"
        return self.lake.stage(table, rows, name, {"seal": self.plan.name})

    def _undescribed(self) -> pa.Table:
        known = set(self.lake.table("instruments").select("venue", "symbol").collect().rows())
        fresh = [i for i in self.tape.instruments if (i.venue, i.symbol) not in known]
        nothing = INSTRUMENTS.lake_schema.empty_table()
        return pa.concat_tables([nothing, *(ledger.instrument(i, self.day.us * 1000) for i in fresh)])

    def _unnoted(self) -> pa.Table:
        """Return the settings and rules of a date that no flow recorded, of the venue alone, so that no other date is touched."""
        if self.plan.held.recorded:
            return INPUTS.lake_schema.empty_table()
        change = self.plan.held.changes[0]
        kinds = {"settings": change.kernels.canonical(), "rules": canonical(change.rules)}
        noted = (
            self.lake.table("inputs").filter(pl.col("venue") == self.day.venue).select("kind", "hash").unique().collect().rows()
        )
        fresh = {kind: value for kind, value in kinds.items() if (kind, digest(value)) not in set(noted)}
        rows = [ledger.inputs(self.day.venue, kind, value, self.day.us * 1000) for kind, value in fresh.items()]
        return pa.concat_tables([INPUTS.lake_schema.empty_table(), *rows])

    def _seal(self, symbols: dict[str, Totals], told: dict[str, dict[str, Any]]) -> None:
        """Write the seals: the last commit."""
        rows = [self._row(symbol, totals, told.get(symbol, {})) for symbol, totals in symbols.items()]
        table = to_rows.table("seals", {c: [row[c] for row in rows] for c in rows[0]})
        self._replace("seals", [], self._staged("seals", table), _turn(self.day), self.turns["seals"])
        comparison.forget(self.lake, self.day, self.plan.name)

    def _row(self, symbol: str, totals: Totals, told: dict[str, Any]) -> dict[str, Any]:
        before = self.plan.seals.get(symbol)
        begin = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=self.day.us)
        end = begin + dt.timedelta(days=1)
        as_of = max(end, begin + dt.timedelta(microseconds=self.now_us - self.day.us))
        if before is not None:
            as_of = max(as_of, before["as_of"] + dt.timedelta(microseconds=1))
        return {
            "date": self.day.date,
            "venue": self.day.venue,
            "symbol": symbol,
            "ts": begin,
            "end": end,
            "source": self._source(symbol),
            "trades": totals.trades,
            "volume": totals.volume,
            "notional": totals.notional,
            "as_of": as_of,
            "kind": "sealed",
            "whole": self.plan.whole[symbol],
            "tape_digest": self.tape.digest,
            "rows_digest": totals.digest,
            "earlier_digest": self.plan.read[symbol],
            "settings_hash": self.plan.held.settings_hash,
            "engine": VERSION,
            "details": msgspec.json.encode(told).decode(),
        }


def _turn(day: Day) -> str:
    return turn(day.venue, day.date.isoformat())


def _details(row: dict[str, Any]) -> dict[str, Any]:
    """Return the details of a seal."""
    found: dict[str, Any] = msgspec.json.decode(row["details"]) if row.get("details") else {}
    return found
