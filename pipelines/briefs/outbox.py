"""The outbox: what is to be sent to Slack, kept in SQLite until it is known to be there.

A part (the message, each reply, the chart) is `pending`; `sending` from just before it is sent until the outcome is
known; then `sent`, `given up`, or `no channel` where neither token nor webhook is set. What is found in `sending` may be
at Slack or not: whoever sends it again asks first. Several processes may use an outbox at once.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipelines.briefs import blocks
from pipelines.briefs.database import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipelines.briefs.message import Message
    from pipelines.settings import Settings

State = Literal["pending", "sending", "sent", "given up", "no channel"]
Kind = Literal["head", "reply", "chart"]

KEPT_US = 30 * 86_400_000_000
"""Messages are forgotten after this; their ids could then be put again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, episode TEXT, severity INTEGER NOT NULL,
    made_us INTEGER NOT NULL, put_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS episodes ON messages (episode) WHERE episode IS NOT NULL;
CREATE TABLE IF NOT EXISTS parts (
    message TEXT NOT NULL REFERENCES messages (id), number INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    image BLOB, state TEXT NOT NULL DEFAULT 'pending', tries INTEGER NOT NULL DEFAULT 0, first_us INTEGER, tried_us INTEGER,
    due_us INTEGER NOT NULL DEFAULT 0, repeat INTEGER NOT NULL DEFAULT 0, channel TEXT, thread TEXT, ts TEXT, why TEXT,
    done_us INTEGER, PRIMARY KEY (message, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open ON parts (state) WHERE state IN ('pending', 'sending');
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_OPEN = "('pending', 'sending')"
_UNSENT = f"""
SELECT p.message, p.number, p.kind, p.text, p.state, p.tries, p.first_us, p.tried_us, p.repeat, p.channel, p.thread,
       m.episode, m.severity, m.made_us, m.put_us
FROM parts p JOIN messages m ON m.id = p.message
WHERE p.state IN {_OPEN}
"""
_READY = f"""
{_UNSENT} AND p.due_us <= ?
  AND NOT EXISTS (SELECT 1 FROM parts e WHERE e.message = p.message AND e.number < p.number AND e.state IN {_OPEN})
  AND NOT EXISTS (SELECT 1 FROM messages o JOIN parts h ON h.message = o.id AND h.number = 0
                  WHERE o.episode = m.episode AND o.seq < m.seq AND h.state IN {_OPEN})
ORDER BY p.due_us, m.seq, p.number
"""


class Part(NamedTuple):
    """A part that is to be sent, with what is known of its message; times in us since 1970.

    `number` is 0 for the message itself; `channel` and `thread` are where it was tried; `repeat` says that an earlier
    try may have come through and that nobody could be asked.
    """

    message: str
    number: int
    kind: Kind
    text: str
    state: State
    tries: int
    first_us: int | None
    tried_us: int | None
    repeat: bool
    channel: str | None
    thread: str | None
    episode: str | None
    severity: int
    made_us: int
    put_us: int

    @property
    def id(self) -> str:
        """What it is known by at Slack."""
        return f"{self.message}.{self.number}" if self.number else self.message


class Thread(NamedTuple):
    """A thread at Slack: the channel's id, and the `ts` of the message that it hangs on."""

    channel: str
    ts: str


class Counts(NamedTuple):
    """How it stands; `oldest_us` is when the oldest part that waits was put."""

    pending: int
    oldest_us: int | None
    sent: int
    given_up: int
    no_channel: int


class Outbox:
    """Messages, their parts, and what the sender remembers; use an instance from one thread only.

    Parameters
    ----------
    path
        The file; it and its folder are made where they are not there.
    clock
        Gives the time, us since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._clock = clock
        self._db = opened(path, _SCHEMA)
        self._db.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(self, message: Message) -> bool:
        """Add a message; return False, and change nothing, if its id is there already."""
        return self.commit([message], {}) == 1

    def commit(self, messages: Iterable[Message], state: Mapping[str, Any]) -> int:
        """Add messages and remember `state` (JSON by key), both or neither; return how many were new."""
        with self._transaction():
            new = sum(self._put(message) for message in messages)
            for key, value in state.items():
                self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, json.dumps(value)))
        return new

    def get(self, key: str) -> Any:
        """Return what is remembered under `key`, or None."""
        row = self._db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def thread_of(self, episode: str, channel: str | None = None) -> Thread | None:
        """Return the thread of an episode (in `channel`, if given): that of the first of its messages that was sent."""
        row = self._db.execute(
            "SELECT h.channel, coalesce(h.thread, h.ts) FROM messages m JOIN parts h ON h.message = m.id AND h.number = 0"
            " WHERE m.episode = ? AND h.state = 'sent' AND h.ts IS NOT NULL AND h.channel = coalesce(?, h.channel)"
            " ORDER BY m.seq LIMIT 1",
            (episode, channel),
        ).fetchone()
        return Thread(*row) if row else None

    def head(self, message: str) -> Thread | None:
        """Return the thread in which a message's replies belong; None if it was not sent, or by webhook."""
        row = self._db.execute(
            "SELECT channel, coalesce(thread, ts) FROM parts WHERE message = ? AND number = 0 AND ts IS NOT NULL", (message,)
        ).fetchone()
        return Thread(*row) if row else None

    def lose(self, thread: Thread) -> None:
        """Note that a thread is gone: somebody deleted the message that it hung on. What follows begins another."""
        self._db.execute(
            "UPDATE parts SET ts = NULL, thread = NULL WHERE number = 0 AND channel = ? AND (ts = ? OR thread = ?)",
            (thread.channel, thread.ts, thread.ts),
        )

    def ready(self) -> list[Part]:
        """Return what may be sent now, in order.

        A reply waits for what comes before it, a message of an episode for the episode's messages before it.
        """
        return self._parts(_READY, self._clock())

    def image(self, part: Part) -> bytes:
        """Return the PNG of a chart."""
        row = self._db.execute("SELECT image FROM parts WHERE message = ? AND number = ?", (part.message, part.number)).fetchone()
        return bytes(row[0] or b"")

    def replies(self, message: str) -> list[Part]:
        """Return the replies of a message that are still to be sent, whatever they wait for."""
        return self._parts(f"{_UNSENT} AND p.message = ? AND p.kind = 'reply' ORDER BY p.number", message)

    def pending(self) -> int:
        """Return how many parts are still to be sent."""
        count: int = self._db.execute(f"SELECT count(*) FROM parts WHERE state IN {_OPEN}").fetchone()[0]
        return count

    def sending(self, part: Part, channel: str, thread: str | None, *, repeat: bool = False) -> None:
        """Note, before a part is sent, that from now on it may be at Slack."""
        now = self._clock()
        self._db.execute(
            "UPDATE parts SET state = 'sending', tries = tries + 1, first_us = coalesce(first_us, ?), tried_us = ?, channel = ?,"
            " thread = ?, repeat = max(repeat, ?) WHERE message = ? AND number = ?",
            (now, now, channel, thread, repeat, part.message, part.number),
        )

    def sent(self, part: Part, channel: str, ts: str | None) -> None:
        """Note that a part is at Slack, by which `ts` where that is known."""
        self._db.execute(
            "UPDATE parts SET state = 'sent', channel = ?, ts = ?, why = NULL, image = NULL, done_us = ?"
            " WHERE message = ? AND number = ?",
            (channel, ts, self._clock(), part.message, part.number),
        )

    def later(self, part: Part, due_us: int, why: str, *, unknown: bool) -> None:
        """Note that a part is to be tried again from `due_us` on; `unknown`: it may be at Slack all the same."""
        state = "sending" if unknown else "pending"
        self._db.execute(
            "UPDATE parts SET state = ?, due_us = ?, why = ? WHERE message = ? AND number = ?",
            (state, due_us, why, part.message, part.number),
        )

    def end(self, part: Part, state: Literal["given up", "no channel"], why: str) -> None:
        """Note that a part, and with a message all that belongs to it, will not be sent."""
        self._db.execute(
            "UPDATE parts SET state = ?, why = ?, image = NULL, done_us = ? WHERE message = ?"
            f" AND (number = ? OR ? = 0) AND state IN {_OPEN}",
            (state, why, self._clock(), part.message, part.number, part.number),
        )

    def counts(self, since_us: int) -> Counts:
        """Return how it stands: messages that wait, and messages sent, given up and without a channel since then."""
        waiting, oldest = self._db.execute(
            f"SELECT count(*), min(m.put_us) FROM parts p JOIN messages m ON m.id = p.message WHERE p.state IN {_OPEN}"
        ).fetchone()
        done = dict(
            self._db.execute(
                "SELECT state, count(DISTINCT message) FROM parts WHERE done_us >= ? AND kind <> 'chart' GROUP BY state",
                (since_us,),
            ).fetchall()
        )
        return Counts(waiting, oldest, done.get("sent", 0), done.get("given up", 0), done.get("no channel", 0))

    def waiting(self) -> list[tuple[str, int]]:
        """Return why parts are still to be sent, and how many; most first."""
        return self._db.execute(
            f"SELECT coalesce(why, 'not tried yet'), count(*) FROM parts WHERE state IN {_OPEN} GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()

    def heads_without_channel(self, after: int) -> list[tuple[int, str]]:
        """Return number and text of the messages put behind number `after` that had no channel, for the terminal."""
        return self._db.execute(
            "SELECT m.seq, p.text FROM messages m JOIN parts p ON p.message = m.id AND p.number = 0"
            " WHERE m.seq > ? AND p.state = 'no channel' ORDER BY m.seq",
            (after,),
        ).fetchall()

    def forget(self) -> None:
        """Delete messages that are done and older than 30 days."""
        old = (
            "SELECT id FROM messages m WHERE put_us < ? AND NOT EXISTS"
            f" (SELECT 1 FROM parts p WHERE p.message = m.id AND p.state IN {_OPEN})"
        )
        before = (self._clock() - KEPT_US,)
        with self._transaction():
            self._db.execute(f"DELETE FROM parts WHERE message IN ({old})", before)
            self._db.execute("DELETE FROM messages WHERE NOT EXISTS (SELECT 1 FROM parts p WHERE p.message = messages.id)")

    def _parts(self, query: str, *values: object) -> list[Part]:
        return [Part(*row)._replace(repeat=bool(row[8])) for row in self._db.execute(query, values)]

    def _put(self, message: Message) -> bool:
        added = self._db.execute(
            "INSERT OR IGNORE INTO messages (id, episode, severity, made_us, put_us) VALUES (?, ?, ?, ?, ?)",
            (message.id, message.episode, message.severity, message.made_us, self._clock()),
        ).rowcount
        if not added:
            return False
        replies = [piece for text in message.thread if text.strip() for piece in blocks.posts(text)]
        parts: list[tuple[Kind, str, bytes | None]] = [("head", message.head, None), *(("reply", text, None) for text in replies)]
        if message.chart:
            parts.append(("chart", message.chart_alt, message.chart))
        self._db.executemany(
            "INSERT INTO parts (message, number, kind, text, image) VALUES (?, ?, ?, ?, ?)",
            [(message.id, number, *part) for number, part in enumerate(parts)],
        )
        return True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def place(settings: Settings) -> Path:
    """Return where the outbox is."""
    return settings.data / "slack" / "outbox.db"
