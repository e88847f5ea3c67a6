"""Made-up answers of a model: every one with a planted fault is refused, every correct one passes and renders."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from pipelines.briefs.check import check, verify
from pipelines.briefs.draft import Draft
from pipelines.briefs.labels import content
from pipelines.briefs.render import render
from pipelines.briefs.words import named, shown
from tests.pipelines.briefs.made_up import AT, by_id, markets
from tests.pipelines.briefs.planted import COUNT, KNOWN, PLANTED, Answer, correct, faulty, lines
from tests.pipelines.briefs.test_check import BELOW, CASES


def faults(answer: Answer, draft: Draft | None = None) -> list[str]:
    return check((draft or answer.draft).text, by_id(answer.markets), [market.sheet for market in answer.markets])


def test_every_planted_fault_is_refused() -> None:
    passed = [(answer.fault, answer.line) for answer in faulty() if not faults(answer)]
    assert passed == []


def test_every_correct_answer_passes() -> None:
    refused = [found for answer in correct() if (found := faults(answer))]
    assert refused == []


def test_it_is_the_planted_line_for_which_an_answer_is_refused() -> None:
    for answer in faulty():
        rest = Draft(head=[line for line in answer.draft.head if line != answer.line], thread=answer.draft.thread)
        assert answer.fault == "empty" or faults(answer, rest) == []


def test_a_third_of_the_faults_are_of_kinds_that_no_unit_test_shows() -> None:
    assert set(CASES) | BELOW == KNOWN
    kinds = Counter(answer.fault for answer in faulty())
    assert set(kinds) == set(PLANTED)
    assert sum(kinds.values()) == COUNT
    assert sum(count for kind, count in kinds.items() if kind not in KNOWN) >= COUNT / 3


@pytest.mark.soak
def test_other_seeds_give_the_same() -> None:
    seed = Random().randrange(1 << 30)
    passed = [(answer.fault, answer.line) for answer in faulty(seed, 2000) if not faults(answer)]
    assert passed == [], seed


def test_every_number_of_a_correct_answer_is_a_fact() -> None:
    for answer in correct(count=60):
        brief = render("hourly", [market.sheet for market in answer.markets], at=AT, draft=answer.draft)
        assert verify(f"{brief.head}\n{brief.thread}", by_id(answer.markets)) == []


@pytest.mark.parametrize("seed", range(4))
def test_another_fact_in_the_place_of_one_is_refused(seed: int) -> None:
    random, passed = Random(seed), []
    for _ in range(100):
        one, other = markets(random, 2)
        facts, line = by_id([one, other]), random.choice(lines(random, one))
        old = facts[random.choice(named(line))]
        new = random.choice([f for f in (*one.facts.values(), other.facts[old.name]) if shown(f) != shown(old)])
        text = f"{one.name}: {line.replace(f'{{{old.id}}}', f'{{{new.id}}}', 1)}."
        same = (new.symbol, content(new.label)) == (old.symbol, content(old.label))  # its percentile in place of a level
        if not same and not check(text, facts, [one.sheet, other.sheet]):
            passed.append(text)
    assert passed == []
