"""Names of instruments, looked up where the venue has described them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pipelines.market import Instrument


def normalise(text: str, instruments: Sequence[Instrument]) -> Instrument:
    """Return the instrument called `text`, by our symbol or the venue's own name, in upper or lower case.

    Raises
    ------
    ValueError
        If there is none; the message names those that look like it.
    """
    wanted = text.strip().upper()
    names = {name.upper(): i for i in instruments for name in (i.native, i.symbol)}
    if wanted in names:
        return names[wanted]
    near = dict.fromkeys(names[n].symbol for n in difflib.get_close_matches(wanted, names, n=5, cutoff=0.6))
    hint = f"did you mean {' or '.join(list(near)[:3])}?" if near else f"the venue has {len(instruments)} others"
    raise ValueError(f"unknown symbol {text!r}: {hint}")
