"""The agents: what each reads, how often it runs, and what finds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from pipelines.briefs.agents import direction, flow, liquidity, outside, venues
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, Reads

if TYPE_CHECKING:
    from pipelines.settings import Settings

Find = Callable[[Frames, "Settings", dt.datetime], list[Finding]]
WINDOW_S: Final = 30
"""How often `macro` runs while a window is open."""


class Agent(NamedTuple):
    """A watcher on a schedule.

    Attributes
    ----------
    name : str
    every_s : int
        Seconds from one run to the next.
    reads : tuple of Reads
        What it is given, one per table.
    find : callable
        A pure function of rows complete by a time, the settings and this time: what it finds on the UTC date that ends, or is
        under way, then. The same rows give the same findings, whenever it runs. Its docstring is the agent's definition.
    """

    name: str
    every_s: int
    reads: tuple[Reads, ...]
    find: Find

    @property
    def about(self) -> str:
        """Its definition in words."""
        return "\n".join(line.strip() for line in (self.find.__doc__ or "").strip().splitlines())

    def interval_s(self, settings: Settings, at: dt.datetime) -> int:
        """Return how often it runs now."""
        if self.name == "macro" and outside.is_within(settings.briefs.calendar, at):
            return WINDOW_S
        return self.every_s


AGENTS: Final = {
    agent.name: agent
    for agent in (
        Agent("rvol", 60, (flow.RVOL,), flow.rvol),
        Agent("trend", 60, (direction.POSTURE,), direction.trend),
        Agent("reversal", 60, (direction.CLOSES,), direction.reversal),
        Agent("liquidity", 120, (liquidity.COSTS,), liquidity.liquidity),
        Agent("liquidations", 60, (liquidity.FORCED,), liquidity.liquidations),
        Agent("vpin_regime", 60, (flow.VPIN,), flow.vpin_regime),
        Agent("macro", 600, (outside.CLOSES,), outside.macro),
        Agent("news_burst", 300, (outside.NEWS, outside.TRADED), outside.news_burst),
        Agent("cross_venue", 120, (venues.CLOSES,), venues.cross_venue),
    )
}
"""By name. The analyst, which writes the briefs, is none of these: Dagster runs it (`assets.briefs`)."""
