"""The card of a model: what it was worth, and how it is used."""

from __future__ import annotations

import pytest

from pipelines.research.card import card, verdict
from pipelines.research.scores import Estimate, Score
from tests.pipelines.learned_samples import MODEL


def score(precision: Estimate, base_rate: float | None = 0.1) -> Score:
    none = Estimate(None, why="no events")
    return Score(12.0, 40, 1, 20, 3, precision, base_rate, 50, 18, Estimate(0.36), none, Estimate(1.7))


@pytest.mark.parametrize(
    ("precision", "base_rate", "said"),
    [
        (
            Estimate(0.5, 0.3, 0.6),
            0.1,
            "precision 0.500 (0.300 to 0.600), 20 of 40; base rate 0.100, 12.0 days: better than random",
        ),
        (Estimate(0.5, 0.3, 0.6), 0.3, "not shown to be better than random alerts; leave it off"),
        (Estimate(0.5, why="alerts on 3 days, needs 7"), 0.1, "not measured (alerts on 3 days, needs 7)"),
        (Estimate(0.5), 0.1, "20 of 40 alerts right in 12.0 days; not measured (too few days)"),
        (Estimate(0.5, 0.3, 0.6), None, "not measured (too few days)"),
    ],
)
def test_the_verdict_is_good_only_where_the_low_end_beats_random_alerts(
    precision: Estimate, base_rate: float | None, said: str
) -> None:
    found = verdict(MODEL, score(precision, base_rate))
    assert found.startswith("after 2023-11-14: ")
    assert said in found


def test_a_card_says_what_of_which_days_and_how_to_use_it() -> None:
    text = card(MODEL, "data/models/learned-1.json", score(Estimate(0.5, 0.3, 0.6)))
    assert text.startswith(f"# Learned detector {MODEL.version}\n\nForetells move:1%/10m within 20m. Learned from 2023-11-01 to")
    assert "| 0.5 (0.3 to 0.6) | 0.100 | 0.36 | no events | 1.7 | 40 | 20 | 50 |" in text
    assert "| rvol_1m | +0.500 | 0.000 | 1.000 | 0.1 |" in text
    assert "kernels: {detectors: {learned: {model: data/models/learned-1.json}}}\n" in text
    assert "Nothing uses it by itself" in text


def test_many_instruments_are_counted_and_what_was_not_judged_says_why() -> None:
    many = MODEL.model_copy(update={"instruments": tuple(f"okx S{k}" for k in range(25))})
    text = card(many, "m.json", "no recorded days after 2023-11-14")
    assert "okx S19 and 5 more." in text
    assert "**Not judged**: no recorded days after 2023-11-14. Leave it off." in text
