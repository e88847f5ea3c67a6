"""Where to connect: the venue itself, or a stand-in that speaks its protocol."""

from __future__ import annotations

import re


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
