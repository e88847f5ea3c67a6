"""Files of an archive over HTTP, kept in a folder: whole, verified, and asked for again only if they were issued anew.

Beside each file lies `<name>.json`, which says where it is from, its SHA-256 and what the server called this issue of it.
"""

import email.utils
import fcntl
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import httpx

from pipelines.venues.venue import ArchiveFile

BUSY: Final = (408, 425, 429, 500, 502, 503, 504)
"""What the server may answer otherwise a little later."""
REDIRECTS: Final = 5
HEADERS: Final = {"User-Agent": "tapeflow/0.1", "Accept-Encoding": "identity"}
_MOST_CHECKSUM: Final = 10_000
T = TypeVar("T")
Card = dict[str, Any]
"""What is noted of a file."""
Inspect = Callable[[Path], Card]
_next_turn: dict[str, float] = {}
_turns = threading.Lock()


class ArchiveError(Exception):
    """A day that the archive does not give: which file, why, and what to do. `pipelines.sources.SourceError` is its like."""


class MissingError(ArchiveError):
    """The archive has no such file, or not yet."""


class Patience(NamedTuple):
    """How often a request is repeated, after how many seconds at first and at most; and how far apart requests to a host are."""

    attempts: int = 7
    first_s: float = 1.0
    most_s: float = 60.0
    apart_s: float = 0.2


PATIENCE: Final = Patience()


class _LaterError(Exception):
    """An answer that may be another one later; `seconds` is what the server asked for."""

    def __init__(self, why: str, seconds: float = 0.0) -> None:
        super().__init__(why)
        self.seconds = seconds


class Archive:
    """A venue's archive at a base URL, and the folder its files are kept in.

    Parameters
    ----------
    base : str
    folder : Path
    watch : callable
        Told what is being done, a line each.
    patience : Patience
    """

    def __init__(
        self,
        base: str,
        folder: Path,
        watch: Callable[[str], None] = lambda _: None,
        patience: Patience = PATIENCE,
    ) -> None:
        self.base = base.rstrip("/")
        self.folder = folder
        self._watch = watch
        self._patience = patience
        direct: dict[str, httpx.BaseTransport | None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
        self._client = httpx.Client(
            headers=HEADERS,
            timeout=httpx.Timeout(30.0, connect=10.0),
            follow_redirects=True,
            max_redirects=REDIRECTS,
            mounts=direct,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, file: ArchiveFile, inspect: Inspect) -> Path | None:
        """Return where a file is kept, after fetching it if it is new or was issued anew; None: the archive has none.

        Parameters
        ----------
        file : ArchiveFile
        inspect : callable
            Reads a file that came without a checksum: raises ValueError if it is damaged, else returns what is to be noted.

        Raises
        ------
        ArchiveError
            If it does not come, or not as its checksum says.
        """
        path = self.folder / file.path.lstrip("/")
        with _alone(path.parent):
            known = _card(path)
            try:
                return self._current(file, path, known, inspect)
            except _LaterError as error:
                if known is None:
                    raise ArchiveError(f"{self.base}{file.path}: {error}; try again later") from None
                self._watch(f"{path.name}: kept as it is, for the archive does not answer: {error}")
                return path

    def is_renewed(self, file: ArchiveFile, made: str = "") -> bool | None:
        """Whether a file that is kept was issued anew since it was fetched; None where none is kept.

        With `made`, the SHA-256 of the issue that was used: whether there is another than that, kept or not.

        Raises
        ------
        ArchiveError
            If the archive does not answer.
        """
        known = _card(self.folder / file.path.lstrip("/"))
        if known is None:
            return None
        try:
            expected = self._checksum(file)
            if made and known["sha256"] != made:
                return expected != made
            return expected != known["sha256"] if expected is not None else self._patiently(lambda: self._differs(file, known))
        except _LaterError as error:
            raise ArchiveError(f"{self.base}{file.path}: {error}; try again later") from None

    def _differs(self, file: ArchiveFile, known: Card) -> bool:
        """Whether a server that keeps no checksums calls what it has by another tag or time than what is kept."""
        with self._ask(file.path, _conditions(known)) as answer:
            told = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
            return answer.status_code == 200 and told != (known.get("etag", ""), known.get("last_modified", ""))

    def _current(self, file: ArchiveFile, path: Path, known: Card | None, inspect: Inspect) -> Path | None:
        fault = ""
        for again in (False, True):
            expected = self._checksum(file)
            if known is not None and expected == known["sha256"]:
                return path
            asked = _conditions(known) if expected is None and known is not None else {}
            answer = self._fetch(file, path, asked, fresh=again)
            if answer is None:
                return path if known is not None else None
            if answer.status == 304:
                return path
            if expected in (None, answer.digest):
                try:
                    self._keep(file, path, answer, inspect(_part(path)) if expected is None else {})
                except ValueError as error:
                    fault = str(error).replace(str(_part(path)), "it")
                else:
                    return path
            else:
                fault = f"its SHA-256 is {answer.digest[:12]}..., its checksum file says {str(expected)[:12]}..."
            self._watch(f"{path.name}: {fault}" + ("" if again else "; fetched once more"))
        raise ArchiveError(f"{self.base}{file.path}: {fault}, twice; the archive is at fault, try again later")

    def _keep(self, file: ArchiveFile, path: Path, answer: "_Fetched", told: Card) -> None:
        """Put a file that has come in its place, and note what is known of it."""
        card = path.with_name(path.name + ".json")
        card.unlink(missing_ok=True)  # between the two a kill leaves a file without a card, which is as good as none
        _part(path).replace(path)
        told |= {"url": self.base + file.path, "sha256": answer.digest, "bytes": path.stat().st_size}
        told |= {
            "etag": answer.etag,
            "last_modified": answer.modified,
            "fetched": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        draft = card.with_name(card.name + ".new")
        draft.write_text(json.dumps(told, indent=1) + "\n")
        draft.replace(card)

    def _checksum(self, file: ArchiveFile) -> str | None:
        """Return the SHA-256 that the archive says a file has; None if it says none."""
        if not file.checksum:
            return None
        body = self._patiently(lambda: self._small(file.checksum))
        text = body.decode("ascii", "replace").split() if body is not None else []
        if body is None:
            return None
        if not text or len(text[0]) != 64 or not all(c in "0123456789abcdef" for c in text[0].lower()):
            raise ArchiveError(f"{self.base}{file.checksum}: is no checksum; try again later")
        return text[0].lower()

    def _small(self, path: str) -> bytes | None:
        with self._ask(path, {}) as answer:
            return answer.read()[:_MOST_CHECKSUM] if answer.status_code == 200 else None

    def _fetch(self, file: ArchiveFile, path: Path, asked: dict[str, str], *, fresh: bool) -> "_Fetched | None":
        """Fetch a file to its `.part`, going on where a cut left off; None: there is none."""
        part = _part(path)
        if fresh:
            part.unlink(missing_ok=True)
        return self._patiently(lambda: self._once(file.path, part, asked, checked=bool(file.checksum)))

    def _once(self, path: str, part: Path, asked: dict[str, str], *, checked: bool) -> "_Fetched | None":
        tag = part.with_name(part.name + ".tag")
        begun = part.stat().st_size if part.exists() else 0
        issue = tag.read_text() if begun and tag.exists() else ""
        headers = dict(asked)
        if begun and (issue or checked):
            headers["Range"] = f"bytes={begun}-"
            headers |= {"If-Range": issue} if issue else {}
        with self._ask(path, headers) as answer:
            if answer.status_code == 404:
                return None
            if answer.status_code == 304:
                return _Fetched(304, "", "", "")
            if answer.status_code == 416:
                part.unlink(missing_ok=True)
                raise _LaterError("the archive cannot go on where the download was cut")
            goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
            etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
            tag.write_text(etag if etag and not etag.startswith("W/") else modified)
            if not begun or not goes_on:
                self._watch(f"{part.name.removesuffix('.part')}: {_size(answer)}")
            with part.open("ab" if goes_on else "wb") as out:
                for chunk in answer.iter_raw():  # as they come: what is held back is lost in a cut
                    out.write(chunk)
        tag.unlink(missing_ok=True)
        with part.open("rb") as content:
            return _Fetched(200, hashlib.file_digest(content, "sha256").hexdigest(), etag, modified)

    @contextmanager
    def _ask(self, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Ask for a path; what is neither 200, 206, 304, 404 nor 416 raises."""
        _wait_turn(httpx.URL(self.base).host, self._patience.apart_s)
        url = self.base + path
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                if answer.url.scheme != "https" and url.startswith("https:"):
                    raise ArchiveError(f"{url}: it redirects from https to {answer.url.scheme}, which is refused")
                code = answer.status_code
                if code in BUSY:
                    raise _LaterError(f"it answers {code} {answer.reason_phrase}", _retry_after(answer))
                if code in (401, 403, 451):
                    raise ArchiveError(
                        f"{url}: it answers {code}: this place or network is refused; set archives to a mirror or folder"
                    )
                if code not in (200, 206, 304, 404, 416):
                    raise ArchiveError(f"{url}: it answers {code} {answer.reason_phrase}")
                yield answer
        except httpx.TooManyRedirects:
            raise ArchiveError(f"{url}: it redirects more than {REDIRECTS} times") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _LaterError(str(error) or type(error).__name__) from None

    def _patiently(self, deed: Callable[[], T]) -> T:
        """Do it until it works, or patience ends."""
        for attempt in range(1, self._patience.attempts + 1):
            try:
                return deed()
            except _LaterError as error:
                if attempt == self._patience.attempts:
                    raise
                pause = min(self._patience.first_s * 2 ** (attempt - 1), self._patience.most_s) * random.uniform(0.5, 1.0)
                pause = max(pause, min(error.seconds, self._patience.most_s))
                self._watch(f"{error}; again in {pause:.1f} s")
                time.sleep(pause)
        raise AssertionError("patience has at least one attempt")


class _Fetched(NamedTuple):
    """An answer whose body is in the `.part`."""

    status: int
    digest: str
    etag: str
    modified: str


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _card(path: Path) -> Card | None:
    """Return what is known of a file that is there; None if it is not."""
    if not path.exists():
        return None
    try:
        card: Card = json.loads(path.with_name(path.name + ".json").read_bytes())
        if card["bytes"] == path.stat().st_size and isinstance(card["sha256"], str):
            return card
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with path.open("rb") as content:
        return {"sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def card_of(path: Path) -> Card:
    """Return what was noted of a file that was fetched; nothing of any other."""
    return _card(path) or {}


def _conditions(known: Card) -> dict[str, str]:
    """Return the headers with which a file that has not changed does not come again."""
    told = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("last_modified")}
    return {name: value for name, value in told.items() if value}


def _size(answer: httpx.Response) -> str:
    length = answer.headers.get("Content-Length", "")
    return f"{int(length) / 1e6:.1f} MB" if length.isdigit() else "size unknown"


def _retry_after(answer: httpx.Response) -> float:
    """Return the seconds after which the server wants to be asked again, 0 if it does not say."""
    told = answer.headers.get("Retry-After", "")
    if told.isdigit():
        return float(told)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return 0.0


def _wait_turn(host: str, apart_s: float) -> None:
    """Let requests to a host follow each other no faster than that, whoever asks in this process."""
    if host in ("127.0.0.1", "localhost", "::1"):
        return
    with _turns:
        turn = max(time.monotonic(), _next_turn.get(host, 0.0))
        _next_turn[host] = turn + apart_s
    time.sleep(max(0.0, turn - time.monotonic()))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from fetching into the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
