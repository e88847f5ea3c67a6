"""A message for Slack, before anything of Slack is known: what is put into the outbox."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent once, and known by its `id` wherever it goes.

    Attributes
    ----------
    id : str
        A hash of what it is about; putting the same id again changes nothing.
    head : str
        The message; plain text, in which nothing is a mention, link or markup when sent.
    thread : tuple of str
        Replies under it, each its own post with the id `<id>.1`, `<id>.2`, ...
    episode : str or None
        Messages of an episode go under the first of it.
    severity : int
        1 to 3; 0: none (a scheduled brief). Chooses the channel.
    chart : bytes
        PNG to upload into the thread where a bot token allows it; empty: none.
    chart_alt : str
        What the chart shows, in words.
    made_us : int
        When the row or brief that it tells of was there, in us since 1970; lateness is counted from here.
    """

    id: str
    head: str
    thread: tuple[str, ...] = ()
    episode: str | None = None
    severity: int = 0
    chart: bytes = b""
    chart_alt: str = ""
    made_us: int = 0
