"""An archive on this machine: the venues' own layouts over real HTTP, and what goes wrong with them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Shelf:
    """What the archive holds, and how it misbehaves.

    Attributes
    ----------
    files : dict
        Content by path.
    busy : dict
        How often a path answers 503 before it answers.
    cut : dict
        After how many bytes the connection is lost, once for each entry of a path's list.
    ranges, tags : bool
        The server can go on where a download was cut; it says which issue of a file it sends.
    status : dict
        Status by path, in place of any answer.
    moved : dict
        Where a path redirects to.
    asked : list of (path, Range or conditions)
        In order.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    busy: dict[str, int] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    tags: bool = True
    status: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def put(self, path: str, content: bytes) -> str:
        """Add a file; return its path."""
        self.files[path] = content
        return path

    def checked(self, path: str, content: bytes) -> str:
        """Add a file, and beside it its checksum as Binance writes it; return its path."""
        digest = hashlib.sha256(content).hexdigest()
        self.files[f"{path}.CHECKSUM"] = f"{digest}  {path.rpartition('/')[2]}\n".encode()
        return self.put(path, content)

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(asked == path for asked, _ in self.asked)


def handler(shelf: Shelf) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = {name: self.headers.get(name, "") for name in ("Range", "If-None-Match")}
            shelf.asked.append((self.path, " ".join(value for value in wanted.values() if value)))
            content = shelf.files.get(self.path)
            if code := shelf.status.get(self.path):
                self.plain(code)
            elif place := shelf.moved.get(self.path):
                self.plain(302, {"Location": place})
            elif shelf.busy.get(self.path, 0) > 0:
                shelf.busy[self.path] -= 1
                self.plain(503, {"Retry-After": "0"})
            elif content is None:
                self.plain(404)
            else:
                self.file(content, wanted)

        def plain(self, code: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def file(self, content: bytes, wanted: dict[str, str]) -> None:
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            if shelf.tags and wanted["If-None-Match"] == tag:
                self.plain(304, {"ETag": tag})
                return
            begin = int(wanted["Range"][6:-1]) if wanted["Range"] and shelf.ranges else 0
            if self.headers.get("If-Range", tag) != tag:
                begin = 0
            if begin >= len(content) and begin:
                self.plain(416)
                return
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            if shelf.tags:
                self.send_header("ETag", tag)
            self.end_headers()
            cuts = shelf.cut.get(self.path)
            if cuts:
                self.wfile.write(content[begin : begin + cuts.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(content[begin:])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            pass

    return Handler


@contextmanager
def serve(shelf: Shelf) -> Iterator[str]:
    """Serve until the block ends; yield the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(shelf))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
