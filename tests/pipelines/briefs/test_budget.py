"""The ledger of the language model: what is booked, what is settled, and what is not begun."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.brief_settings import Model
from pipelines.briefs.budget import Day, Spent, Tokens, worst_case

LIMITS = Model(
    protocol="openai", name="m", output_tokens=100, tokens_a_day=2000, dollars_a_day=1.0, dollars_in=3.0, dollars_out=15.0
)
T = 1_800_000_000.0  # 2027-01-15T08:00Z


class Clock:
    def __init__(self) -> None:
        self.now = T

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spent(tmp_path: Path, clock: Clock) -> Spent:
    return Spent(tmp_path / "briefs" / "model.db", LIMITS, clock)


def test_the_worst_case_is_booked_and_what_it_took_settled(spent: Spent) -> None:
    call = spent.book("brief", worst_case(400, 2, 100))
    assert isinstance(call, int)
    # 201 tokens in twice, 100 out twice, and the first answer goes back in with the second request.
    assert spent.today().tokens == 402 + 100 + 200
    assert spent.today().dollars == pytest.approx((502 * 3 + 200 * 15) / 1e6)
    spent.settle(call, Tokens(150, 60))
    assert spent.today().tokens == 210
    assert spent.today().dollars == pytest.approx((150 * 3 + 60 * 15) / 1e6)


def test_where_nobody_knows_what_it_took_the_worst_case_stands(spent: Spent) -> None:
    call = spent.book("brief", worst_case(400, 2, 100))
    assert isinstance(call, int)
    spent.settle(call, None, "no answer within 20 s")
    assert spent.today().tokens == 702
    with sqlite3.connect(spent.path) as db:
        assert db.execute("SELECT settled, why FROM calls").fetchall() == [(1, "no answer within 20 s")]


def test_a_call_that_may_go_over_the_tokens_of_the_day_is_not_begun(spent: Spent) -> None:
    assert isinstance(spent.book("brief", worst_case(400, 2, 100)), int)
    assert isinstance(spent.book("brief", worst_case(400, 2, 100)), int)
    said = spent.book("brief", worst_case(400, 2, 100))
    assert said == "the day's tokens do not suffice: 1,404 of 2,000 are used, and this may take 702"
    assert spent.today().calls == 2


def test_a_call_that_may_go_over_the_money_of_the_day_is_not_begun(tmp_path: Path) -> None:
    spent = Spent(tmp_path / "model.db", LIMITS.model_copy(update={"dollars_a_day": 0.001}))
    assert (
        spent.book("brief", worst_case(400, 2, 100))
        == "the day's money does not suffice: 0.0000 of 0.0010 dollars is used, and this may take 0.0045"
    )
    assert isinstance(
        Spent(tmp_path / "model.db", LIMITS.model_copy(update={"dollars_a_day": 0.0046})).book("brief", worst_case(400, 2, 100)),
        int,
    )


def test_a_new_day_begins_anew(spent: Spent, clock: Clock) -> None:
    assert isinstance(spent.book("brief", worst_case(1000, 2, 100)), int)
    assert isinstance(spent.book("brief", worst_case(1000, 2, 100)), str)
    clock.now += 86_400
    assert isinstance(spent.book("brief", worst_case(1000, 2, 100)), int)


def test_between_two_briefs_lies_the_least_time_and_a_question_does_not_count(spent: Spent, clock: Clock) -> None:
    assert isinstance(spent.book("brief", worst_case(10, 1, 100), every_s=300), int)
    clock.now += 299
    assert (
        spent.book("brief", worst_case(10, 1, 100), every_s=300)
        == "the model was asked 299 s ago, and is asked every 300 s at most"
    )
    assert isinstance(spent.book("asked", worst_case(10, 1, 100)), int)
    clock.now += 1
    assert isinstance(spent.book("brief", worst_case(10, 1, 100), every_s=300), int)


def test_nothing_is_made_where_nothing_was_asked(spent: Spent) -> None:
    assert spent.today() == Day(0, 0.0, 0)
    assert not spent.path.exists()


def test_who_opens_the_ledger_while_another_makes_it_waits(spent: Spent, monkeypatch: pytest.MonkeyPatch) -> None:
    spent.path.parent.mkdir()
    with closing(sqlite3.connect(spent.path, isolation_level=None)) as other:
        other.execute("CREATE TABLE calls_of_another (call)")
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("time.sleep", lambda _: other.rollback())
        assert isinstance(spent.book("brief", worst_case(400, 2, 100)), int)


def test_at_the_same_time_they_cannot_go_over_the_limit(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "model.db"
    with ThreadPoolExecutor(8) as pool:
        booked = list(pool.map(lambda _: Spent(path, LIMITS, clock).book("asked", worst_case(400, 2, 100)), range(16)))
    assert sum(isinstance(one, int) for one in booked) == 2
    assert Spent(path, LIMITS, clock).today().tokens == 2 * 702
