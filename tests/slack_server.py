"""Slack on this machine: its protocol, limits and refusals over real HTTP. It does not deduplicate, as Slack does not.

As a program (`python -m tests.slack_server --port 9000`) it takes the token `xoxb-made-up` and the webhook
`/services/made-up`, shows a channel at `/page` and its posts as JSON at `/messages`, and does wrong as `POST /faults` asks.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests import slack_page
from tests.slack_blocks import Post, refusal

TOKEN = "xoxb-made-up"
HOOK = "/services/made-up"
SCOPES = ("chat:write", "channels:history", "channels:read", "files:write")
NEEDED = {
    "chat.postMessage": "chat:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
    "conversations.list": "channels:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
}
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass
class Fault:
    """What the server does wrong, `times` times.

    `kind` is `500`, `429` (with Retry-After of `seconds`), `reset` (the line is cut unheard), `hang` (no answer for
    `seconds`, the request is lost), `lost answer` (the request is carried out, the line is cut without an answer), `late`
    (carried out, answered after `seconds`), `html` (a page that is not Slack's).
    """

    kind: str
    method: str = "chat.postMessage"
    times: int = 1
    seconds: float = 0.0


@dataclass
class Workspace:
    """Channels by id, what was posted there in order, files, and how the server behaves."""

    channels: dict[str, str] = field(default_factory=lambda: {"C0DESK0001": "desk", "C0SEVERE01": "severe"})
    posts: list[Post] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    scopes: set[str] = field(default_factory=lambda: set(SCOPES))
    strangers: set[str] = field(default_factory=set)
    """Channels whose history the bot may not read: it is not in them."""
    spacing_s: float = 1.0
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Methods, in the order in which they were called."""
    limited: int = 0
    """Requests answered with 429."""
    early: int = 0
    """Requests that came though Retry-After had not passed."""
    page: int = 3
    """Posts on a page of history at most: paging is to be met."""
    lock: threading.RLock = field(default_factory=threading.RLock)
    last: dict[str, float] = field(default_factory=dict)
    closed_until: float = 0.0
    count: int = 0

    def ts(self) -> str:
        self.count += 1
        return f"{int(time.time())}.{self.count:06d}"

    def fault(self, method: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method in (method, "*") and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def channel(self, name: str) -> str | None:
        return name if name in self.channels else next((k for k, v in self.channels.items() if v == name.lstrip("#")), None)

    def add(self, channel: str, post: Post) -> Post:
        kept = {**post, "channel": channel, "ts": self.ts(), "at": time.time()}
        self.posts.append(kept)
        return kept

    def named(self, name: str) -> list[Post]:
        """Return the posts that carry an id, or a file of that name."""
        return [
            post
            for post in self.posts
            if ((post.get("metadata") or {}).get("event_payload") or {}).get("id") == name
            or any(file["name"] == name for file in post.get("files", ()))
        ]

    def heads(self) -> list[Post]:
        return [post for post in self.posts if not post.get("thread_ts")]

    def thread(self, ts: str) -> list[Post]:
        return [post for post in self.posts if post.get("thread_ts") == ts]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlackServer

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        space = self.server.space
        if asked.path == "/page":
            channel = space.channel(parse_qs(asked.query).get("channel", ["desk"])[0]) or ""
            self._send(200, slack_page.page(space, channel).encode(), "text/html; charset=utf-8")
        elif asked.path == "/messages":
            self._json(200, space.posts)
        else:
            self._send(404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, space = urlsplit(self.path).path, self.server.space
        if path == "/faults":
            space.faults.append(Fault(**json.loads(body)))
            self._json(200, {"ok": True})
            return
        method = path.rpartition("/")[2] if path.startswith("/api/") else "upload" if path.startswith("/upload/") else "webhook"
        with space.lock:
            space.asked.append(method)
            early = time.monotonic() < space.closed_until
            space.early += early
        fault = space.fault(method)
        if fault is None and not early:
            self._carry_out(method, path, body)
            return
        self._misbehave(fault or Fault("429", seconds=max(0.0, space.closed_until - time.monotonic())), method, path, body)

    def _misbehave(self, fault: Fault, method: str, path: str, body: bytes) -> None:
        space = self.server.space
        if fault.kind == "500":
            self._send(500, b"<html>oh no</html>")
        elif fault.kind == "html":
            self._send(200, b"<html>log in</html>")
        elif fault.kind == "429":
            with space.lock:
                space.limited += 1
                space.closed_until = max(space.closed_until, time.monotonic() + fault.seconds)
            self._send(429, b"", headers={"Retry-After": f"{fault.seconds:.3f}"})
        elif fault.kind == "late":
            time.sleep(fault.seconds)
            self._carry_out(method, path, body)
        else:
            if fault.kind == "lost answer":
                self._answer(method, path, body)
            if fault.kind == "hang":
                self.server.ending.wait(fault.seconds)
            self.close_connection = True

    def _carry_out(self, method: str, path: str, body: bytes) -> None:
        status, answer, headers = self._answer(method, path, body)
        if isinstance(answer, bytes):
            self._send(status, answer, "text/plain", headers)
        else:
            self._json(status, answer, headers)

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        space = self.server.space
        with space.lock:
            if method == "webhook":
                return self._hook(path, body)
            if method == "upload":
                file = space.files.get(path.rpartition("/")[2])
                if file is None or len(body) != file["length"]:
                    return 400, b"bad upload", {}
                file["content"] = body
                return 200, b"OK", {}
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return 200, {"ok": False, "error": "invalid_auth"}, {}
            scopes = {"x-oauth-scopes": ",".join(sorted(space.scopes))}
            needed = NEEDED.get(method)
            if needed and needed not in space.scopes:
                return (
                    200,
                    {"ok": False, "error": "missing_scope", "needed": needed, "provided": scopes["x-oauth-scopes"]},
                    scopes,
                )
            found = getattr(self, "_" + re.sub(r"\W", "_", method), None)
            if found is None:
                return 200, {"ok": False, "error": "unknown_method"}, scopes
            status, answer, headers = found(_arguments(self.headers.get("Content-Type", ""), body))
            return status, answer, headers | scopes

    def _hook(self, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        space = self.server.space
        if path != HOOK:
            return 404, b"no_service", {}
        post = json.loads(body)
        if error := refusal(post):
            return 400, error.encode(), {}
        space.add(next(iter(space.channels)), post)
        return 200, b"ok", {}

    def _auth_test(self, _: Post) -> tuple[int, Any, dict[str, str]]:
        return 200, {"ok": True, "team": "Made-up", "user": "tapeflow", "bot_id": "B0MADEUP1"}, {}

    def _chat_postMessage(self, post: Post) -> tuple[int, Any, dict[str, str]]:  # noqa: N802 - Slack's name
        space = self.server.space
        channel = space.channel(str(post.get("channel", "")))
        if channel is None:
            return _error("channel_not_found")
        if time.monotonic() - space.last.get(channel, -9e9) < space.spacing_s:
            space.limited += 1
            return 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "1"}
        error = refusal(post)
        if not error and post.get("thread_ts") and not self._root(channel, post["thread_ts"]):
            error = "thread_not_found"
        if error:
            return _error(error)
        space.last[channel] = time.monotonic()
        kept = space.add(channel, {name: value for name, value in post.items() if name != "channel"})
        return 200, {"ok": True, "channel": channel, "ts": kept["ts"], "message": kept}, {}

    def _conversations_list(self, asked: Post) -> tuple[int, Any, dict[str, str]]:
        return self._paged("channels", [{"id": k, "name": v} for k, v in self.server.space.channels.items()], asked)

    def _conversations_history(self, asked: Post) -> tuple[int, Any, dict[str, str]]:
        space, channel = self.server.space, asked.get("channel")
        if channel not in space.channels:  # an id; names are not taken here
            return _error("channel_not_found")
        if channel in space.strangers:
            return _error("not_in_channel")
        heads = [post for post in space.heads() if post["channel"] == channel]
        return self._paged("messages", [_told(p, asked) for p in reversed(heads) if _is_since(p, asked)], asked)

    def _conversations_replies(self, asked: Post) -> tuple[int, Any, dict[str, str]]:
        root = self._root(str(asked.get("channel")), str(asked.get("ts")))
        if root is None:
            return _error("thread_not_found")
        found = [root, *(post for post in self.server.space.thread(root["ts"]) if _is_since(post, asked))]
        return self._paged("messages", [_told(post, asked) for post in found], asked)

    def _files_getUploadURLExternal(self, asked: Post) -> tuple[int, Any, dict[str, str]]:  # noqa: N802
        name = f"F{self.server.space.ts().replace('.', '')}"
        self.server.space.files[name] = {"name": asked["filename"], "length": int(asked["length"]), "alt": asked.get("alt_txt")}
        return 200, {"ok": True, "file_id": name, "upload_url": f"{self.server.url}/upload/{name}"}, {}

    def _files_completeUploadExternal(self, asked: Post) -> tuple[int, Any, dict[str, str]]:  # noqa: N802
        space, given = self.server.space, asked["files"]
        files = json.loads(given) if isinstance(given, str) else given
        channel, thread = asked.get("channel_id"), asked.get("thread_ts")
        if channel not in space.channels:
            return _error("channel_not_found")
        if thread and not self._root(channel, thread):
            return _error("thread_not_found")
        kept = []
        for one in files:
            file = space.files.get(one["id"])
            if file is None or not file.get("content", b"").startswith(PNG):
                return _error("file_not_found")
            kept.append({"id": one["id"], "name": file["name"], "title": one.get("title"), "mimetype": "image/png"})
        space.add(channel, {"text": "", "files": kept, **({"thread_ts": thread} if thread else {})})
        return 200, {"ok": True, "files": kept}, {}

    def _root(self, channel: str, ts: str) -> Post | None:
        return next((p for p in self.server.space.heads() if p["channel"] == channel and p["ts"] == ts), None)

    def _paged(self, name: str, rows: list[Post], asked: Post) -> tuple[int, Any, dict[str, str]]:
        begin = int(asked.get("cursor") or 0)
        end = begin + min(int(asked.get("limit") or 100), self.server.space.page)
        more = str(end) if end < len(rows) else ""
        return 200, {"ok": True, name: rows[begin:end], "has_more": bool(more), "response_metadata": {"next_cursor": more}}, {}

    def _json(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(answer, default=str).encode(), "application/json; charset=utf-8", headers)

    def _send(self, status: int, body: bytes, kind: str = "text/html", headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):  # whoever asked was killed
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class SlackServer(ThreadingHTTPServer):
    """A workspace behind HTTP; `ending` is set when it closes."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.space = Workspace()
        self.ending = threading.Event()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def api(self) -> str:
        return f"{self.url}/api/"

    def handle_error(self, *args: object) -> None:
        """Say nothing of clients that were killed."""


def _arguments(kind: str, body: bytes) -> Post:
    if kind.startswith("application/json"):
        told: Post = json.loads(body or b"{}")
        return told
    found: Post = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return {k: json.loads(v) if k in ("blocks", "metadata") else {"0": False, "1": True}.get(v, v) for k, v in found.items()}


def _told(post: Post, asked: Post) -> Post:
    """Return a post as the history has it: without being asked for, metadata is left out."""
    if asked.get("include_all_metadata") in (True, "true", "1"):
        return post
    return {name: value for name, value in post.items() if name != "metadata"}


def _is_since(post: Post, asked: Post) -> bool:
    return float(post["ts"]) > float(asked.get("oldest") or 0)


def _error(error: str) -> tuple[int, Any, dict[str, str]]:
    return 200, {"ok": False, "error": error}, {}


@contextmanager
def running(port: int = 0) -> Iterator[SlackServer]:
    """Serve until the block ends."""
    server = SlackServer(port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    with running(parser.parse_args().port) as started:
        sys.stdout.write(f"Slack at {started.api}, channel at {started.url}/page\n")
        sys.stdout.flush()
        threading.Event().wait()
