"""The dataflow: a source, the engine as one stateful step, the lake sink."""

from __future__ import annotations

from collections.abc import Callable

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators import StatefulBatchLogic

from dataflows.lake_sink import Arrival, LakeSink
from dataflows.sources import Item, JournalSource, TapeSource
from pipelines.engine import Engine, Output
from pipelines.records import Batch


class _Step(StatefulBatchLogic[Item, Arrival, bytes]):
    """The engine of one shard, driven by Bytewax."""

    def __init__(self, engine: Engine, watch: Callable[[Engine], None]) -> None:
        self.engine = engine
        self.watch = watch
        self.ended = False

    def on_batch(self, values: list[Item]) -> tuple[list[Arrival], bool]:
        """Feed each item; every one gives an arrival, rows or none, so that the sink is awake in each epoch."""
        arrivals = [Arrival(self._feed(item), item.segment, item.offset, item.flush) for item in values]
        self.watch(self.engine)
        return arrivals, StatefulBatchLogic.RETAIN

    def _feed(self, item: Item) -> Output:
        if isinstance(item.piece, Batch):
            return self.engine.feed(item.piece)
        if item.piece is not None:
            return self.engine.feed_piece(item.piece, item.segment)
        if item.flush and self.engine.bounded:
            return self.engine.finish()
        return Output([], self.engine.journal_ns)

    def snapshot(self) -> bytes:
        """Return the engine's state."""
        return self.engine.snapshot()


def build(
    name: str,
    shard: str,
    source: JournalSource | TapeSource,
    begin: Callable[[], Engine],
    sink: LakeSink,
    watch: Callable[[Engine], None] = lambda _: None,
) -> Dataflow:
    """Return the dataflow `name`; `begin` makes the engine where there is no state to go on from."""
    flow = Dataflow(name)
    items = op.input("source", flow, source)
    keyed = op.key_on("shard", items, lambda _: shard)
    arrivals = op.stateful_batch("engine", keyed, lambda state: _Step(Engine.restore(state) if state else begin(), watch))
    op.output("lake", arrivals, sink)
    return flow
