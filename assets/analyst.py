"""The analyst: writes a brief from facts, keeps it in the lake, and puts it into the outbox if somebody is to read it."""

import datetime as dt
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import polars as pl
import structlog

from assets import home, language, slack
from pipelines.briefs import chart, collect, falsifiers, keep, outbox, render
from pipelines.briefs.agents import running
from pipelines.briefs.budget import Spent
from pipelines.briefs.draft import Draft
from pipelines.briefs.episodes import hashed
from pipelines.briefs.message import Message
from pipelines.briefs.sheet import Brief, Sheet
from pipelines.settings import Settings
from pipelines.store.lake import Lake

NAME = "analyst"
HEADLINES = {"daily": dt.timedelta(days=1)}
"""How far back the headlines of a brief reach; of others an hour."""
MOST_HEADLINES = 8

log = structlog.get_logger(__name__)


class Written(NamedTuple):
    """A brief, whether it went into the outbox, and why it did or did not; how many earlier claims were judged with it."""

    brief: Brief
    sent: bool
    reason: str
    judged: int
    insufficient: int


def write(
    settings: Settings, kind: str, at: dt.datetime, instruments: Sequence[tuple[str, str]] = (), episode: str | None = None
) -> Written:
    """Write the brief of a kind at a time, from rows complete by then.

    Parameters
    ----------
    settings
    kind : str
        hourly, daily or elevated.
    at : datetime
    instruments
        Venue and symbol of each; none: those that are watched.
    episode : str, optional
        The episode whose thread it belongs in.

    Raises
    ------
    LakeError
        If there is no lake.
    """
    began = time.monotonic()
    before = running.standing(settings.data, NAME)
    try:
        found = _write(settings, kind, at, instruments, episode)
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][: running.WHY]
        failed = msgspec.structs.replace(before, at=time.time(), error=why, failed=before.failed + 1, found=0)
        running.note(settings.data, failed)
        raise
    took, now = round(time.monotonic() - began, 3), time.time()
    running.note(settings.data, running.Standing(name=NAME, at=now, took_s=took, found=1, found_at=now))
    return found


def _write(
    settings: Settings, kind: str, at: dt.datetime, instruments: Sequence[tuple[str, str]], episode: str | None
) -> Written:
    lake = Lake(settings.lake_root)
    lake.require()
    judged = falsifiers.score(lake, at)
    brief, sheets = compose(lake, settings, kind, at, instruments, episode)
    keep.keep(lake, brief)
    wanted, reason = _is_wanted(settings, brief)
    if wanted:
        reason = _put(settings, brief, reason, picture(lake, brief))
    return Written(brief, wanted, reason, judged, sum(not sheet.sufficient for sheet in sheets))


def compose(
    lake: Lake,
    settings: Settings,
    kind: str,
    at: dt.datetime,
    instruments: Sequence[tuple[str, str]] = (),
    episode: str | None = None,
) -> tuple[Brief, list[Sheet]]:
    """Return a brief that nobody has kept or sent, and the sheets it was made of."""
    sheets = collect.collect(lake, _concerned(lake, settings, at, instruments), at, settings, kind)
    titles = headlines(lake, kind, at)
    draft, why = _worded(sheets, settings, titles, kind)
    brief = render.render(kind, sheets, at=at, episode=episode, headlines=titles, draft=draft, option=home.option())
    if draft is not None:
        return msgspec.structs.replace(brief, writer=settings.briefs.model.name), sheets
    return msgspec.structs.replace(brief, why=why), sheets


def _concerned(
    lake: Lake, settings: Settings, at: dt.datetime, instruments: Sequence[tuple[str, str]]
) -> Sequence[tuple[str, str]]:
    """Return whom a brief is about: what is watched, and of a whole venue (symbol `all`) what is watched there."""
    whole = {venue for venue, symbol in instruments if symbol == "all"}
    if instruments and not whole:
        return instruments
    watched = collect.watched(lake, settings, at)
    return [one for one in watched if one[0] in whole] or watched


def headlines(lake: Lake, kind: str, at: dt.datetime) -> list[str]:
    """Return the newest titles of the time that a brief of this kind covers."""
    since = at - HEADLINES.get(kind, dt.timedelta(hours=1))
    news = lake.table("news", start=since).filter(pl.col("end") <= at).sort("ts", "venue", "news_id", descending=True)
    return news.select("title").head(MOST_HEADLINES).collect()["title"].to_list()


def _worded(sheets: list[Sheet], settings: Settings, titles: list[str], kind: str) -> tuple[Draft | None, str | None]:
    """Return what a model made of the facts; else why the template writes, where a model was asked."""
    model = settings.briefs.model
    if model.protocol is None or not any(sheet.sufficient for sheet in sheets):
        return None, None
    answer = language.word(sheets, settings, Spent(settings.data / "briefs" / "model.db", model), titles, kind)
    return (answer, None) if isinstance(answer, Draft) else (None, answer.why)


def _is_wanted(settings: Settings, brief: Brief) -> tuple[bool, str]:
    """Return whether a brief is sent, and why or why not."""
    if brief.episode is not None:
        return True, "reply in the thread of its episode"
    if settings.briefs.slack.mode == "verbose":
        return True, "mode is verbose"
    if brief.changed:
        return True, "something changed"
    return False, "nothing changed since the last brief of its kind"


def picture(lake: Lake, brief: Brief) -> bytes:
    """Return a chart of the instrument of an episode, which only a bot can send; none for a watchlist."""
    if brief.episode is None or not slack.from_environment().token:
        return b""
    try:
        return chart.chart(lake, brief.venue, brief.symbol, brief.at)
    except Exception as error:  # noqa: BLE001 - a brief without a picture is better than none
        log.warning("no chart", why=f"{type(error).__name__}: {error}".splitlines()[0])
        return b""


def _put(settings: Settings, brief: Brief, reason: str, drawn: bytes) -> str:
    """Put a brief into the outbox, once; return what becomes of it."""
    box = outbox.Outbox(outbox.place(settings))
    try:
        new = box.put(
            Message(
                id=hashed("brief", brief.kind, brief.episode or brief.at.isoformat(), brief.venue, brief.symbol),
                head=brief.head,
                thread=(brief.thread,) if brief.thread else (),
                episode=brief.episode,
                severity=_severity(box, brief),
                chart=drawn,
                chart_alt=chart.described(brief.symbol) if drawn else "",
                made_us=time.time_ns() // 1000,
            )
        )
    finally:
        box.close()
    named = slack.from_environment()
    is_on = named.is_on or (named.token and settings.briefs.slack.channels)  # a severity's channel is one for all
    way = "in the outbox" if is_on else f"no Slack: {slack.OFF}; it is in the lake and in the sender's log"
    return f"{reason}; {way}" if new else f"{reason}; it was in the outbox before"


def _severity(box: outbox.Outbox, brief: Brief) -> int:
    """Return the severity of the episode, whose channel its thread is in."""
    episodes = (box.get("telling") or {}).get("episodes", {})
    return next((one["severity"] for one in episodes.values() if one["id"] == brief.episode), 0)
