"""Decimals read off doubles: as their shortest texts have them, whether the fast way knows them or not."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels.wide import join
from pipelines.reference import limbs, most_places, places_of

DECIMALS = st.builds(lambda units, places: units / 10**places, st.integers(0, 10**17), st.integers(0, 12))
VALUES = st.lists(
    DECIMALS | st.floats(0, 1e9, allow_subnormal=False) | st.sampled_from([0.0, 1e15, 9007199254740993.0]), max_size=6
)


@settings(deadline=None)  # the first call may compile
@given(VALUES)
def test_places_are_those_of_the_texts(values: list[float]) -> None:
    assert most_places(np.array(values)) == max((places_of(Decimal(repr(x))) for x in values), default=0)


@settings(deadline=None)  # the first call may compile
@given(VALUES, st.integers(0, 18))
def test_limbs_are_the_texts_in_units(values: list[float], places: int) -> None:
    hi, lo = limbs(np.array(values), places)
    expected = [round(Decimal(repr(x)).scaleb(places)) for x in values]
    assert [join(a, b) for a, b in zip(hi.tolist(), lo.tolist(), strict=True)] == expected
