"""Where to connect: the venue itself, or a stand-in that speaks its protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from pipelines.feeds import Feed
from pipelines.venues.venue import Route, Stream


def socket(venue: str, own: str, base: str | None, path: str = "") -> str:
    """Return the URL of a venue's socket: `own`, or `path` at the stand-in whose URL is `base`.

    Raises
    ------
    ValueError
        If `base` is no such URL.
    """
    if base is None:
        return own
    if not re.fullmatch(r"https?://[^/]+/?", base):
        raise ValueError(f"{venue}: endpoint was {base!r}; use a URL like http://127.0.0.1:8765")
    return base.rstrip("/").replace("http", "ws", 1) + path


def routes(
    url: str,
    carried: Mapping[str, Sequence[Feed]],
    feeds: Collection[Feed],
    natives: Sequence[str],
    most: int,
    messages: Callable[[Sequence[Feed], Sequence[str]], list[bytes]],
) -> list[Route]:
    """Return the connections to `url`, with at most so many instruments each.

    Parameters
    ----------
    url : str
    carried : mapping of str to sequence of Feed
        Names of routes, and the feeds that share one.
    feeds : collection of Feed
        Those that are asked for.
    natives : sequence of str
    most : int
    messages : callable
        Given feeds and instruments, the frames that subscribe to them.
    """
    found = []
    for name, shared in carried.items():
        wanted = [feed for feed in shared if feed in feeds]
        for k in range(0, len(natives) if wanted else 0, most):
            some = natives[k : k + most]
            streams = [Stream(feed, native) for feed in wanted for native in some]
            found.append(Route(f"{name}-{k // most + 1}" if k else name, url, messages(wanted, some), streams))
    return found


def batches(natives: Sequence[str], most: int) -> list[Sequence[str]]:
    """Return instruments in groups of at most so many."""
    return [natives[k : k + most] for k in range(0, len(natives), most)]
