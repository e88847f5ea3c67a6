"""The command that mutes a symbol."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, Refusal, app, settings

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store.names import Known

OFF = "off"


@app.command()
def mute(
    symbol: Annotated[
        str | None, typer.Argument(metavar="SYMBOL", help="Like BTC-USDT; without it, what is muted is shown.")
    ] = None,
    span: Annotated[str, typer.Argument(metavar="SPAN", help="Like 30m, 4h or 2d; `off` ends it.")] = "4h",
    venue: Annotated[
        str | None, typer.Option(metavar="VENUE", help="There alone, like binance-spot. Default: wherever it is traded.")
    ] = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Send no alerts of a symbol for a while; they are stored and counted all the same. Scheduled briefs go on.

    Example: tapeflow mute BTC-USDT 4h
    """
    from pipelines.briefs.outbox import Outbox, place
    from pipelines.briefs.telling import MUTES

    chosen = settings(demo=demo)
    outbox, now = Outbox(place(chosen)), time.time_ns() // 1000
    mutes: dict[str, int] = {name: until for name, until in (outbox.get(MUTES) or {}).items() if until > now}
    if symbol is not None:
        name = _named(chosen, symbol, venue)
        if span != OFF:
            mutes[name] = now + _span_us(span)
        elif mutes.pop(name, None) is None:
            raise Refusal(f"{name} is not muted{_near(name, mutes)}")
        outbox.commit([], {MUTES: mutes})
    rows: list[tuple[Any, ...]] = [
        (name, dt.datetime.fromtimestamp(until // 1_000_000, dt.UTC)) for name, until in sorted(mutes.items())
    ]
    if json:
        show.as_json(("symbol", "until"), rows)
    elif rows:
        show.as_table(("muted", "until, UTC"), rows)
    else:
        print("nothing is muted")


def _near(name: str, mutes: Mapping[str, int]) -> str:
    """Say how else a symbol is muted: wherever it is traded, or at some venues."""
    symbol = name.rpartition("/")[2]
    venues = [one.partition("/")[0] for one in sorted(mutes) if one.endswith(f"/{symbol}")]
    if symbol in mutes:
        return f" by itself but wherever it is traded: tapeflow mute {symbol} {OFF}"
    return f" everywhere but at {' and '.join(venues)}: tapeflow mute {symbol} {OFF} --venue {venues[0]}" if venues else ""


def _span_us(text: str) -> int:
    from pipelines.research.rules import RuleError, span_us

    try:
        return span_us(text)
    except RuleError as error:
        raise Refusal(f"{error}, or {OFF} to end it", status=2) from None


def _named(chosen: Settings, symbol: str, venue: str | None) -> str:
    """Return the name under which a symbol is muted: with its venue, where that was said."""
    from pipelines.store import LakeError, names

    known = _known(chosen)
    before, slash, rest = symbol.partition("/")  # as it is shown where it is muted at one venue
    if venue is None and slash and before in {k.venue for k in known}:
        venue, symbol = before, rest
    if venue is not None:
        found = names.resolve(symbol, venue, known)
        return f"{found.venue}/{found.symbol}"
    named = set()
    for one in sorted({k.venue for k in known}):
        try:
            named.add(names.resolve(symbol, one, known).symbol)
        except LakeError:
            continue
    if not named:
        names.resolve(symbol, None, known)  # says what it may have meant
    if len(named) > 1:
        raise Refusal(f"{symbol!r} may be {' or '.join(sorted(named))}: write it so")
    return named.pop()


def _known(chosen: Settings) -> set[Known]:
    """Return the instruments of the settings and of the lake."""
    from pipelines.store import LakeError
    from pipelines.store.lake import Lake
    from pipelines.store.names import Known

    known = {Known(venue, symbol) for venue, wanted in chosen.venues.items() for symbol in wanted.symbols}
    try:
        described = Lake(chosen.lake_root).table("instruments").select("venue", "symbol", "native").unique().collect()
    except LakeError:
        return known
    return known | {Known(*row) for row in described.iter_rows()}
