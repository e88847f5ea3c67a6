"""Questions answered by rule: known answers on a lake whose every value is known, and nothing written."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from pipelines.briefs import asked
from pipelines.briefs.asked import Unanswerable, answer, behind, gather, newest
from pipelines.briefs.check import verify
from pipelines.briefs.measure import SETTING, measured
from pipelines.briefs.reading import Reader
from pipelines.market import TABLES
from pipelines.settings import Venue
from pipelines.store.lake import Lake
from tests.pipelines.briefs.lakes import AT, SETTINGS, copy, cut, known
from tests.pipelines.store.samples import moment, put, rows

NIGHT = "why did VPIN rise on BTC last night?"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = known(tmp_path_factory.mktemp("asked") / "lake")
    times = [AT - dt.timedelta(minutes=k) for k in (10, 20, 30, 700)]
    told: dict[str, Any] = {
        "date": [t.date() for t in times],
        "ts": times,
        "end": times,
        "detector": ["vpin_high", "vpin_high", "big_trade", "big_trade"],
    }
    put(lake, TABLES["alerts"], rows(TABLES["alerts"], 4, **told, alert_id=["w", "x", "y", "z"], origin="live"))
    put(
        lake, TABLES["alerts"], rows(TABLES["alerts"], 1, **{k: v[:1] for k, v in told.items()}, alert_id=["w"], origin="history")
    )
    return lake


@pytest.fixture(scope="module")
def night(lake: Lake) -> asked.Asked:
    return gather(lake, NIGHT, SETTINGS, AT)


def test_what_was_asked_for_comes_first_with_ids(night: asked.Asked) -> None:
    lines = answer(night)
    assert lines[0].startswith("last night: 2024-07-19 20:00 UTC to 2024-07-20 06:00 UTC.")
    assert lines[2] == "BTC-USDT demo"
    # VPIN rises by 1 / 1000 a minute to 0.399 in the last of 300 buckets; before the window there is none.
    assert lines[3] == (
        "- VPIN 0.399 [F3] at the end, not available [F2] before;"
        " its highest was 0.399 [F4] at 2024-07-20 05:59:30 UTC [F5], in 300 [F8] buckets"
    )
    assert lines.index("Also in that time") == 5


def test_known_answers(night: asked.Asked) -> None:
    values = {fact.name: fact.value for fact in night.sheets[0].facts if fact.name.startswith("window_")}
    # Minute k closes at 100 + k / 100; the window holds minutes 1200 to 1799.
    assert values["window_minutes"] == 600
    assert (values["window_price_before"], values["window_price"]) == (111.99, 117.99)
    assert values["window_return"] == 117.99 / 111.99 - 1
    assert (values["window_low"], values["window_high"]) == (111.5, 118.49)
    assert values["window_traded"] == sum(1000.0 + k // 60 for k in range(1200, 1800))
    assert values["window_rvol_max"] == 1.799
    assert values["window_posture"] == "long"
    assert values["window_flagged"] == 1
    assert values["window_holes"] == 0
    assert "window_liquidations" not in values  # none in a week: perhaps there is no feed, so none is not told as zero
    # Three alerts in the window, one of them twice: live, and again from history.
    assert (values["window_alerts"], values["window_alerts_vpin_high"], values["window_alerts_big_trade"]) == (3, 2, 1)


def test_each_number_is_had_again_by_its_query(lake: Lake, night: asked.Asked) -> None:
    reader = Reader(lake, AT)
    checked = 0
    for fact in night.facts.values():
        if fact.measure != SETTING:
            assert measured(reader.rows(fact.query), fact.measure) == fact.value
            checked += 1
    assert checked > 40
    assert {fact.id for fact in behind(night)} <= set(night.facts)
    assert next(fact.name for fact in behind(night)) == "window_vpin"


def test_no_number_stands_in_the_answer_but_through_a_fact(night: asked.Asked) -> None:
    lines = [line for line in answer(night)[1:] if not line.startswith("At ")]  # which name the time asked about
    assert verify("\n".join(lines), night.facts) == []


def test_what_comes_later_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    at = AT - dt.timedelta(hours=2)
    whole = gather(lake, NIGHT, SETTINGS, at)
    assert answer(gather(cut(lake, tmp_path / "cut", at), NIGHT, SETTINGS, at)) == answer(whole)


def test_nothing_is_written(lake: Lake) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*")}
    gather(lake, NIGHT, SETTINGS, AT)
    assert {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*")} == before


def test_a_time_of_which_nothing_is_known_is_told_so(lake: Lake) -> None:
    lines = answer(gather(lake, "BTC on 2024-07-01", SETTINGS, AT))
    assert "- insufficient data: 0 [F1] closed minutes in that time" in lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("how is DOGE today", "not in this lake: DOGE: there are BTC"),
        ("BTX", "not in this lake: BTX: did you mean BTC?"),
        ("hello there", "ask about an instrument (BTC-USDT), a time, or one of vpin, price"),
        ("", "ask about an instrument"),
        ("a" * 501, "a question has at most 500 characters"),
    ],
)
def test_what_cannot_be_answered_says_what_can(lake: Lake, text: str, said: str) -> None:
    with pytest.raises(Unanswerable) as refused:
        gather(lake, text, SETTINGS, AT)
    assert str(refused.value).startswith(said)


def test_without_an_instrument_those_that_are_watched_are_told_of(lake: Lake) -> None:
    assert gather(lake, "what happened in the last hour", SETTINGS, AT).question.instruments == (("demo", "BTC-USDT"),)


def test_since_the_last_brief_is_since_the_newest_that_was_written_by_then(lake: Lake, tmp_path: Path) -> None:
    text = "what changed on BTC since the last brief?"
    assert answer(gather(lake, text, SETTINGS, AT))[0].startswith("no brief in this lake, the day before: ")
    mine = copy(lake, tmp_path)
    times = [AT - dt.timedelta(hours=k) for k in (3, 2)] + [AT + dt.timedelta(hours=1)]
    about: dict[str, Any] = {"ts": times, "end": times, "date": [t.date() for t in times], "brief": ["a", "b", "c"]}
    put(mine, TABLES["briefs"], rows(TABLES["briefs"], 3, **about))
    assert answer(gather(mine, text, SETTINGS, AT))[0].startswith(
        "since the last brief: 2024-07-20 04:00 UTC to 2024-07-20 06:00 UTC."
    )


def test_what_is_left_out_is_told(lake: Lake) -> None:
    assert answer(gather(lake, "ADA and BTC in the last hour", SETTINGS, AT))[1] == "Not in this lake: ADA: there are BTC"
    many = SETTINGS.model_copy(update={"venues": {"demo": Venue(symbols=("BTC-USDT", "E-USDT", "F-USDT", "G-USDT", "H-USDT"))}})
    lines = answer(gather(lake, "what happened in the last hour", many, AT))
    assert lines[1] == "Not told of: G-USDT demo, H-USDT demo; an answer holds 3 instruments, ask for others by name"
    assert lines[2] == ""


def test_a_question_is_asked_now_or_at_the_end_of_an_old_lake(lake: Lake, tmp_path: Path) -> None:
    assert newest(lake, AT + dt.timedelta(hours=3)) == AT + dt.timedelta(hours=3)
    assert newest(lake, AT + dt.timedelta(days=300)) == AT
    assert newest(lake, AT - dt.timedelta(hours=1)) == AT  # a clock that runs ahead
    empty = Lake(tmp_path / "empty")
    empty.create()
    assert newest(empty, moment(0)) == moment(0)


def test_text_of_a_question_does_not_reach_the_terminal_raw(lake: Lake) -> None:
    lines = answer(gather(lake, "BTC \x1b[31mlast\x07 night\n<!channel>", SETTINGS, AT))
    assert not any(c in "\x1b\x07" for line in lines for c in line)
