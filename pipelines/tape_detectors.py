"""The detectors on trades and time bars, over all instruments."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.detection import BigTrades, Surges
from pipelines.detector_settings import Detectors
from pipelines.dislocation import Dislocations
from pipelines.market import Instrument
from pipelines.tape_detection import Cascades, Silences


class TapeDetectors:
    """What is found in the tape itself, before features are made of it; plain and picklable."""

    def __init__(self, of: Detectors) -> None:
        self.big_trades = BigTrades(of.big_trade)
        self.surges = Surges(of.volume_surge)
        self.silences = Silences(of.stale_feed)
        self.cascades = Cascades(of.cascade_proxy)
        self.dislocations = Dislocations(of.dislocation)

    def configure(self, of: Detectors, instruments: Sequence[Instrument]) -> None:
        """Begin anew those whose settings have changed."""
        if of.big_trade != self.big_trades.settings:
            self.big_trades = BigTrades(of.big_trade)
        if of.volume_surge != self.surges.settings:
            self.surges = Surges(of.volume_surge)
        if of.stale_feed != self.silences.settings:
            self.silences = Silences(of.stale_feed)
        if of.cascade_proxy != self.cascades.settings:
            forced = self.cascades.forced
            self.cascades = Cascades(of.cascade_proxy)
            self.cascades.forced = forced
        if of.dislocation != self.dislocations.settings:
            self.dislocations = Dislocations(of.dislocation)
        self.grow(instruments)

    def grow(self, instruments: Sequence[Instrument]) -> None:
        """Make room for all of `instruments`."""
        for detector in (self.big_trades, self.surges, self.silences, self.cascades):
            detector.grow(len(instruments))
        self.dislocations.grow(instruments)
