"""`tapeflow journal`: look into the journal of raw frames."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from pipelines.records import Kind
from pipelines.settings import SettingsError, load
from pipelines.store import LakeError
from tapeflow import show

if TYPE_CHECKING:
    from pipelines.store.journal_report import Check

app = typer.Typer(help="Look into the journal of raw frames.\n\nExample: tapeflow journal list", no_args_is_help=True)

Folder = Annotated[Path | None, typer.Argument(help="Folder of a journal; default: that of the settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_segments(folder: Folder = None, as_json: Json = False) -> None:
    """List the segments, oldest first: how large, since when, and whether the flow has read them.

    Example: tapeflow journal list
    """
    from pipelines.store.journal_report import listing

    rows = listing(_existing(folder))
    if as_json:
        _print_json([row._asdict() for row in rows])
        return
    columns = ("segment", "bytes", "first record (UTC)", "state")
    show.as_table(columns, [(row.segment, row.bytes, _time(row.first), row.state) for row in rows])


@app.command("verify")
def verify_segments(folder: Folder = None, as_json: Json = False) -> None:
    """Read every record and check it; exit status 1 where a closed segment holds bytes that are no record.

    Example: tapeflow journal verify --json
    """
    from pipelines.store.journal import segments
    from pipelines.store.journal_report import verify

    paths = segments(_existing(folder))
    checks = [verify(path) for path in track(paths, "checking", console=Console(stderr=True), transient=True)]
    if as_json:
        _print_json([check._asdict() | {"damage": [d._asdict() for d in check.damage]} for check in checks])
    else:
        _print_checks(checks)
    if any(check.damage for check in checks[:-1]):  # the newest may be in the middle of a write
        raise typer.Exit(1)


@app.command("print")
def print_records(
    folder: Folder = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="First receive time, like 2024-07-19 or 2024-07-19T06:30Z; UTC.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Receive time to stop before.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind, like frame or gap_open; may be repeated.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    as_json: Json = False,
) -> None:
    """Print records, one a line, in the order received.

    Example: tapeflow journal print --start 2026-01-01T12:00 --kind gap_open --kind gap_close
    """
    kinds = _kinds(kind) if kind else tuple(Kind)
    from pipelines.store.journal_report import entries
    from pipelines.store.names import bounds

    try:
        since, until = bounds(start, end)
    except LakeError as error:
        raise _refusal(str(error)) from None
    found = entries(_existing(folder), _ns(since, 0), _ns(until, 1 << 62), kinds)
    try:
        for i, entry in enumerate(found):
            if limit is not None and i >= limit:
                break
            print(json.dumps(entry) if as_json else _line(entry))
    except BrokenPipeError:
        sys.stderr.close()  # the reader, like `head`, has seen enough


def _existing(folder: Path | None) -> Path:
    try:
        folder = folder or load().journal_dir
    except SettingsError as error:
        raise _refusal(*error.faults) from None
    from pipelines.store.journal import segments

    if not folder.is_dir() or not segments(folder):
        raise _refusal(f"no journal at {folder}; start the recorder with `tapeflow up`, or name the folder of another")
    return folder


def _kinds(names: list[str]) -> list[Kind]:
    known = {k.name.lower(): k for k in Kind}
    unknown = [name for name in names if name.lower() not in known]
    if unknown:
        raise _refusal(*(f"unknown kind {name!r}; use {', '.join(known)}" for name in unknown))
    return [known[name.lower()] for name in names]


def _refusal(*faults: str) -> typer.Exit:
    for fault in faults:
        typer.echo(f"tapeflow: {fault}", err=True)
    return typer.Exit(2)


def _ns(time: dt.datetime | None, default: int) -> int:
    return default if time is None else int(time.replace(microsecond=0).timestamp()) * 10**9 + time.microsecond * 1000


def _time(time: dt.datetime | None) -> str:
    return time.isoformat(" ", "milliseconds").removesuffix("+00:00") if time else "-"


def _line(entry: dict[str, Any]) -> str:
    rest = {k: v for k, v in entry.items() if k in ("payload", "head", "body", "reason", "bytes")}
    text = json.dumps(rest.get("payload", rest)) if rest else ""
    return f"{entry.get('received', '-'):32} {entry.get('connection', '-'):>3} {entry['kind']:11} {text}".rstrip()


def _print_checks(checks: list[Check]) -> None:
    rows = []
    for check in checks:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in check.kinds.items())
        damage = "; ".join(f"{d.reason} at {d.offset:,}, {d.length:,} bytes" for d in check.damage) or "none"
        ends = _time(check.first), _time(check.last)
        rows.append((check.segment, check.bytes, check.records, *ends, kinds, damage))
    show.as_table(("segment", "bytes", "records", "first (UTC)", "last (UTC)", "kinds", "damage"), rows)


def _print_json(value: Any) -> None:
    print(json.dumps(value, default=lambda time: time.isoformat()))
