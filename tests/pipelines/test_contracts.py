"""Sizes in contracts against exact fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import contracts, tape
from pipelines.market import Instrument
from pipelines.tape import TRADE, VOID, Rows

LINEAR = Instrument("okx", "BTC-USDT-PERP", "BTC-USDT-SWAP", "BTC", "USDT", contract="0.01")
INVERSE = Instrument("binance-coinm", "BTC-USD-PERP", "BTCUSD_PERP", "BTC", "USD", contract="100", inverse=True)
SPOT = Instrument("okx", "BTC-USDT", "BTC-USDT", "BTC", "USDT")


def rows(*sizes: float, price: float = 50_000.0, instrument: int = 0) -> Rows:
    out = tape.empty(len(sizes))
    out["size"], out["price"], out["instrument"] = sizes, price, instrument
    return out


def test_linear_contracts_are_so_much_base() -> None:
    made = rows(3.0, 0.1, 123456.7)
    assert not contracts.in_base(made, [LINEAR]).any()
    assert made["size"].tolist() == [0.03, 0.001, 1234.567]
    assert made["contracts"].tolist() == [3.0, 0.1, 123456.7]


def test_inverse_contracts_are_so_much_quote() -> None:
    made = rows(7.0, price=29_487.3)
    assert not contracts.in_base(made, [INVERSE]).any()
    assert made["size"].tolist() == [0.02373903]  # 700 / 29487.3 = 0.023739033...


def test_half_a_step_goes_to_the_even_one() -> None:
    half = INVERSE._replace(contract="1")
    made = rows(1.0, 3.0, price=200_000_000.0)  # 0.5 and 1.5 steps
    assert contracts.in_base(made, [half]).tolist() == [True, False]
    assert made["size"][1] == 2e-8
    assert made["kind"].tolist() == [VOID, TRADE]
    assert made["counted"].tolist() == [False, True]


def test_what_has_too_many_digits_is_refused() -> None:
    made = rows(123456789012345.0, 123456789012345.0)
    made["instrument"] = [0, 1]
    odd = contracts.in_base(made, [LINEAR._replace(contract="1.1"), LINEAR._replace(contract="10")])
    assert odd.tolist() == [True, False]


def test_other_rows_are_left_alone() -> None:
    made = np.concatenate([rows(5.0), rows(5.0, instrument=1), rows(5.0), rows(5.0, instrument=-1)])
    made["kind"][2:] = VOID, tape.CLOCK
    before = made.copy()
    contracts.in_base(made, [SPOT, LINEAR])
    assert made["size"].tolist() == [5.0, 0.05, 5.0, 5.0]
    assert np.isnan(made["contracts"][[0, 2, 3]]).all()
    assert (made["kind"] == before["kind"]).all()


@pytest.mark.parametrize("text", ["0", "-1", "x", "nan", "1e400", "1234567890123456", "1e-30", "1e999999999", "inf", "sNaN"])
def test_a_contract_worth_nothing_sensible_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no value"):
        contracts.worth(LINEAR._replace(contract=text))


DECIMALS = st.builds(lambda m, e: Decimal(m).scaleb(-e), st.integers(1, 10**10), st.integers(0, 8))
VALUES = st.sampled_from(["0.001", "0.01", "0.1", "1", "10", "100", "0.0001", "0.025", "1000", "3"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(DECIMALS, DECIMALS), min_size=1, max_size=20), VALUES, st.booleans())
def test_sizes_are_exact(trades: list[tuple[Decimal, Decimal]], value: str, inverse: bool) -> None:
    instrument = LINEAR._replace(contract=value, inverse=inverse)
    made = rows(*(float(q) for q, _ in trades))
    made["price"] = [float(p) for _, p in trades]
    odd = contracts.in_base(made, [instrument])
    for row, refused, (q, p) in zip(made, odd, trades, strict=True):
        exact = Fraction(q) * Fraction(value)
        if inverse:
            exact = Fraction(round(exact / Fraction(p) * 10**8), 10**8)
        digits = len(f"{(Decimal(exact.numerator) / Decimal(exact.denominator)).normalize():f}".replace(".", "").strip("0"))
        assert refused == (exact == 0 or digits > 15)
        if not refused:
            assert row["size"] == float(exact)
        assert row["contracts"] == float(q)
        assert contracts.base(str(q), str(p), instrument) == float(exact)
        assert contracts.base(float(q), float(p), instrument) == float(exact)
