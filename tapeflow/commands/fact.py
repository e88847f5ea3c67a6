"""The command that measures a fact of a brief again."""

from __future__ import annotations

import datetime as dt
import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, LakeOption, Refusal, app, open_lake

if TYPE_CHECKING:
    from pipelines.briefs.again import Again
    from pipelines.briefs.fact import Fact, Value
    from pipelines.briefs.sheet import Brief


@app.command()
def fact(
    name: Annotated[str, typer.Argument(metavar="FACT", help="Its id in the brief, like F12.")],
    brief: Annotated[str | None, typer.Option(metavar="ID", help="The brief, or how its id begins. Default: the newest.")] = None,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Run the query of a fact again: what it was then, what it is now, and why they differ.

    They differ where rows came late, a date was sealed or loaded again with other settings, or rows were taken away.

    Example: tapeflow fact F12
    """
    import msgspec

    from pipelines.briefs.again import again
    from pipelines.briefs.keep import load
    from pipelines.briefs.measure import SETTING

    opened = open_lake(lake, demo=demo)
    loaded = load(opened, brief)
    found = _found(name, loaded)
    now = again(opened, found, loaded.id, dt.datetime.now(dt.UTC))
    if json:
        then = {"value": found.value, "rows": found.n, "digest": found.rows_digest}
        today = {"value": now.value, "rows": now.n, "digest": now.rows_digest}
        told = {"brief": loaded.id, "at": loaded.at, "fact": msgspec.structs.asdict(found)}
        show.as_object(told | {"then": then, "now": today, "same": now.same, "reasons": now.reasons})
        return
    print(f"{found.id} {found.label}, {found.symbol} on {found.venue}; {loaded.kind} brief {loaded.id} of {_exact(loaded.at)}")
    if found.measure == SETTING:
        print(f"value  {_shown(found, found.value)}\nan agreed value: no rows stand behind it")
        return
    _tell(found, now)


def _found(name: str, brief: Brief) -> Fact:
    wanted = name.strip().upper()
    wanted = f"F{wanted}" if wanted.isdigit() else wanted
    known = {one.id: one for one in brief.facts}
    if wanted in known:
        return known[wanted]
    by_name = [one.id for one in brief.facts if name.lower() in (one.name.lower(), one.label.lower())]
    near = by_name or difflib.get_close_matches(wanted, known, 3, 0.6)
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "it has " + (f"F1 to F{len(known)}" if known else "no facts")
    raise Refusal(f"no fact {name!r} in brief {brief.id}; {hint}")


def _tell(found: Fact, now: Again) -> None:
    print(
        f"then   {_shown(found, found.value)}  {found.n:,} rows, digest {found.rows_digest}{', sealed' if found.sealed else ''}"
    )
    print(f"now    {_shown(found, now.value)}  {now.n:,} rows, digest {now.rows_digest or 'none'}")
    print("the same rows, bit for bit" if now.same else "\n".join(["differs:", *(f"  {reason}" for reason in now.reasons)]))
    print(f"measure {found.measure} of:\n{found.query}")


def _shown(found: Fact, value: Value) -> str:
    import msgspec

    from pipelines.briefs.words import shown

    text = shown(msgspec.structs.replace(found, value=value))
    return text if isinstance(value, str) or value is None else f"{text} ({_exact(value)})"


def _exact(value: Value) -> str:
    return str(show.plain(value))
