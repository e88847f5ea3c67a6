"""Candles of venues that give only their start."""

from __future__ import annotations

import pytest

from pipelines.venues.candles import Candle, table

SOUND = Candle(1_795_204_800, 1.0, 2.0, 0.5, 1.5, 10.0, 3, 15.0)


def test_the_width_is_told_by_the_starts() -> None:
    minutes = table([SOUND._replace(start=SOUND.start + 60), SOUND])
    assert [(end - ts).total_seconds() for ts, end in zip(*minutes.select(["ts", "end"]).to_pydict().values(), strict=True)] == [
        60
    ] * 2
    (day,) = table([SOUND._replace(start=SOUND.start // 86_400 * 86_400)]).to_pylist()
    assert (day["end"] - day["ts"]).days == 1


@pytest.mark.parametrize(
    "absurd", [{"fills": 2**63}, {"fills": -1}, {"start": 2**63}, {"high": float("inf")}, {"notional": float("nan")}]
)
def test_absurd_figures_are_told(absurd: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="klines were malformed"):
        table([SOUND, SOUND._replace(**absurd)])  # type: ignore[arg-type]
