"""The socket's side of the protocol, without the socket: routes, control messages, which stream goes where."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

_PATH = re.compile(r"/(?:(market|public)/)?(ws|stream)(?:/([^?]*))?")
_PUBLIC = ("bookTicker", "depth", "rpiDepth")
_MOST_STREAMS = 1024
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class Session(NamedTuple):
    """What a connection asked for.

    Attributes
    ----------
    route : str
        `market`, `public`, or empty: the retired root, which acknowledges everything and sends only public streams.
    combined : bool
        Data comes wrapped with the name of its stream; the path decides it.
    streams : set of str
    """

    route: str
    combined: bool
    streams: set[str]

    def carries(self, stream: str) -> bool:
        """Say whether `stream` is sent: subscribed to, and on the route it belongs to.

        The undocumented `@trade` comes on every route.
        """
        if stream not in self.streams:
            return False
        channel = stream.partition("@")[2] or stream.lstrip("!")
        if channel == "trade":
            return True
        return (self.route == "market") != channel.startswith(_PUBLIC)


def session(target: str) -> Session | None:
    """Return the session that a request target opens, or None where the exchange has no such path."""
    url = urlsplit(target)
    match = _PATH.fullmatch(url.path)
    if match is None:
        return None
    route, kind, path = match.groups()
    names = (path or "").split("/") + parse_qs(url.query).get("streams", [""])[0].split("/")
    return Session(route or "", kind == "stream", {name for name in names if name})


class _Message(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: list[str] | None = None


def control(message: str | bytes, streams: set[str], *, refusing: bool = False) -> str:
    """Carry out a control message on `streams` and return the answer.

    A stream of an unknown name is acknowledged like any other, and stays silent; while `refusing` every stream is refused.
    """
    try:
        request = msgspec.json.decode(message, type=_Message)
    except msgspec.ValidationError as error:
        return _error(2, f"Invalid request: {error}")
    except msgspec.DecodeError as error:
        return _error(3, f"Invalid JSON: {error}")
    names = request.params or []
    match request.method:
        case "SUBSCRIBE":
            if refusing:
                return _error(2, "Invalid request: refused on request", request.id)
            if len(streams | set(names)) > _MOST_STREAMS:
                return _error(2, f"Invalid request: more than {_MOST_STREAMS} streams", request.id)
            streams.update(names)
        case "UNSUBSCRIBE":
            streams.difference_update(names)
        case "LIST_SUBSCRIPTIONS":
            return msgspec.json.encode({"result": sorted(streams), "id": request.id}).decode()
        case _:
            expected = ", ".join(f"`{name}`" for name in METHODS)
            return _error(2, f"Invalid request: unknown variant {request.method}, expected one of {expected}", request.id)
    return msgspec.json.encode({"result": None, "id": request.id}).decode()


def _error(code: int, msg: str, number: int | str | None = None) -> str:
    answer = {"code": code, "msg": msg}
    return msgspec.json.encode(answer if number is None else {**answer, "id": number}).decode()
