"""The template: the same facts give the same bytes, nothing is too long, nothing gets in that is not a fact or a quotation."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from pipelines.briefs.check import check, verify
from pipelines.briefs.collect import collect
from pipelines.briefs.draft import Draft
from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.grounds import sentences
from pipelines.briefs.render import LINES, render
from pipelines.briefs.sheet import FIRST, Brief, Sentence, Sheet
from pipelines.briefs.words import named, shown, shown_value
from tests.pipelines.briefs import lakes
from tests.pipelines.briefs.made_up import AT, INSTRUMENTS, Market, by_id, fact, market, markets


def rendered(made: list[Market], kind: str = "hourly", **other: Any) -> Brief:
    return render(kind, [one.sheet for one in made], at=AT, **other)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_brief_is_short_and_every_number_in_it_is_a_fact(count: int) -> None:
    made = markets(Random(count), count)
    brief = rendered(made)
    assert len(brief.head.splitlines()) <= LINES
    assert verify(f"{brief.head}\n{brief.thread}", by_id(made)) == []
    assert all(f"| {one} |" in brief.markdown for one in by_id(made))
    assert brief.changed
    assert (brief.venue, brief.symbol) == (("all", "all") if count > 1 else INSTRUMENTS_BY_NAME[made[0].name])


INSTRUMENTS_BY_NAME = {f"{symbol} {venue}": (venue, symbol) for venue, symbol in INSTRUMENTS}


def test_of_many_instruments_the_changed_come_first_and_the_rest_is_named() -> None:
    made = [market(Random(i), 1 + 40 * i, "okx", f"A{chr(65 + i)}-USDT") for i in range(26)]
    sheets = [msgspec.structs.replace(one.sheet, changes=()) if i != 25 else one.sheet for i, one in enumerate(made)]
    lines = render("hourly", sheets, at=AT).head.splitlines()
    assert len(lines) == LINES
    assert lines[0].endswith("Changed: AZ-USDT.")
    assert lines[1].startswith("AZ-USDT: changed: ")
    assert lines[-1].startswith("In the thread: ")
    assert lines[-1].endswith(" and others.")


def test_the_same_sheets_give_the_same_bytes_and_other_facts_another_id() -> None:
    one, again = rendered(markets(Random(1))), rendered(markets(Random(1)))
    assert msgspec.json.encode(one) == msgspec.json.encode(again)
    assert rendered(markets(Random(2))).id != one.id
    assert rendered(markets(Random(1)), "daily").id != one.id
    parts = (text.encode() for text in (one.head, one.thread))
    assert one.digest == hashlib.sha256(b"".join(b"%d\0%b" % (len(part), part) for part in parts)).hexdigest()[:16]


@pytest.mark.parametrize("seed", range(5))
def test_a_fact_changed_by_one_in_its_last_digit_changes_the_text(seed: int) -> None:
    made = markets(Random(seed), 2)
    before = rendered(made)
    for one in made:
        said = {name for text in sentences(one.sheet) for name in named(text)}
        for old in one.facts.values():
            new = _next(old)
            if new is None:
                continue
            sheet = msgspec.structs.replace(one.sheet, facts=tuple(new if f.id == old.id else f for f in one.sheet.facts))
            after = render("hourly", [sheet if m is one else m.sheet for m in made], at=AT)
            assert after.markdown != before.markdown
            assert (_body(after) != _body(before)) == (old.id in said), old.label
            alone = sum(shown(old) == shown(f) for f in by_id(made).values()) == 1
            if alone and old.id in said:
                assert verify(before.thread, by_id(made) | {new.id: new})


def _body(brief: Brief) -> str:
    """Return the thread without its last line, which names the brief."""
    return brief.thread.rpartition("\n")[0]


def _next(old: Fact) -> Fact | None:
    """Return a fact whose shown value is one more in the last digit; None if it has none."""
    value = shown_value(old)
    if value is None:
        return None
    step = Decimal(1).scaleb(-old.decimals)
    if old.unit in {Unit.SHARE, Unit.PERCENTILE}:
        step = step.scaleb(-2)
    if old.unit is Unit.NOTIONAL:
        step = Decimal(1).scaleb(value.as_tuple().exponent)  # type: ignore[arg-type]  # finite: no letter
    return msgspec.structs.replace(old, value=float(value + step))


def test_what_is_missing_is_not_available_and_never_nought() -> None:
    made = markets(Random(3), 1)
    gone = tuple(msgspec.structs.replace(one, value=None) for one in made[0].sheet.facts)
    brief = render("hourly", [msgspec.structs.replace(made[0].sheet, facts=gone)], at=AT)
    assert "price not available, return not available over not available" in brief.head
    assert verify(f"{brief.head}\n{brief.thread}", {one.id: one for one in gone}) == []


def test_too_little_data_is_said_and_nothing_else() -> None:
    made = markets(Random(4), 1, sufficient=False)
    brief = rendered(made)
    lines = brief.head.splitlines()
    assert lines[0].endswith(": data insufficient; changed since the last brief.")
    assert lines[1].startswith("insufficient data; last trade at ")
    assert len(lines) == 2
    assert "VPIN" not in brief.thread
    assert brief.falsifiers == ()


def test_where_nothing_changed_the_brief_says_so() -> None:
    sheets = [msgspec.structs.replace(one.sheet, changes=()) for one in markets(Random(5), 2)]
    brief = render("hourly", sheets, at=AT)
    assert not brief.changed
    assert brief.head.splitlines()[0].endswith("Nothing changed since the last brief.")


def test_the_first_brief_of_its_kind_does_not_say_that_something_changed() -> None:
    first = [msgspec.structs.replace(one.sheet, changes=(FIRST,)) for one in markets(Random(5), 2)]
    assert rendered_head(first).endswith(" The first brief of its kind.")
    assert "hanged" not in render("hourly", first, at=AT).head
    alone = render("hourly", first[:1], at=AT)
    assert alone.head.splitlines()[0].endswith("; the first brief of its kind.")
    assert (alone.changed, alone.head.count("first brief"), alone.thread.count(FIRST.text)) == (True, 1, 1)
    later = markets(Random(5), 2)[1].sheet
    name = f"{first[0].symbol}"
    said = rendered_head([first[0], later]).partition(" Changed: ")[2]
    assert said.partition(". In it for the first time: ")[2].startswith(name), said


def rendered_head(sheets: list[Sheet]) -> str:
    return render("hourly", sheets, at=AT).head.splitlines()[0]


def test_a_brief_of_one_instrument_reads_as_a_reply() -> None:
    made = [market(Random(6), 1, "okx", "BTC-USDT")]
    brief = rendered(made, "elevated", episode="e1")
    assert brief.head.splitlines()[0] == "BTC-USDT okx, 2026-03-04 14:00 UTC: data current; changed since the last brief."
    assert brief.head.count("BTC-USDT") == 1
    assert (brief.venue, brief.symbol, brief.episode) == ("okx", "BTC-USDT", "e1")


def test_where_there_is_room_all_levels_are_in_the_head() -> None:
    one = market(Random(12), 1, "okx", "BTC-USDT")
    levels = tuple(Sentence(f"{name} {one['vpin']} and {'so on ' * 12}") for name in ("first", "next", "last"))
    head = render("hourly", [msgspec.structs.replace(one.sheet, levels=levels)], at=AT).head
    assert [line.split()[0] for line in head.splitlines()[2:5]] == ["first", "next", "last"]
    assert len(head.splitlines()) <= LINES


def test_no_instruments_make_a_brief_too() -> None:
    brief = render("hourly", [], at=AT)
    assert brief.head == "Hourly brief, 2026-03-04 14:00 UTC. Data no instruments. Nothing changed since the last brief."


def test_a_draft_words_what_is_seen_and_the_rest_stays() -> None:
    made = [market(Random(7), 1, "okx", "BTC-USDT"), market(Random(8), 41, "okx", "ETH-USDT")]
    one, other = made
    draft = Draft(
        head=[f"BTC-USDT: VPIN {one['vpin']}.", "", f"ETH-USDT: VPIN {other['vpin']}."],
        thread=[
            f"VPIN of BTC-USDT is {one['vpin']}, that of ETH-USDT {other['vpin']}.",
            "ETH-USDT okx:",
            f"Spread {other['spread']}.",
        ],
    )
    brief = rendered(made, draft=draft)
    assert brief.head.splitlines()[1:] == [f"BTC-USDT: VPIN {_shown(one)}.", f"ETH-USDT: VPIN {_shown(other)}."]
    overall, mine, others = brief.thread.split("\n\n")[:3]
    assert overall.startswith("Overall\n- VPIN of BTC-USDT is ")
    assert "\nLevels\n" in mine
    assert "\nWhat is seen\n- Spread " in others
    for part in ("State of the data", "Confidence", "Counter-evidence", "Record of earlier claims", "Not known"):
        assert f"\n{part}\n" in others
    assert rendered(made).id == brief.id
    assert rendered(made).digest != brief.digest


def _shown(one: Market) -> str:
    return shown(one.facts["vpin"])


def test_lines_of_a_draft_beyond_the_twelfth_go_into_the_thread() -> None:
    one = market(Random(9), 1, "okx", "BTC-USDT")
    brief = rendered([one], draft=Draft(head=[f"BTC-USDT: VPIN {one['vpin']}."] * 14, thread=[]))
    assert len(brief.head.splitlines()) == LINES
    assert brief.thread.count("- BTC-USDT: VPIN ") == 3


def test_headlines_are_quoted_and_break_no_line_and_no_markup() -> None:
    title = "Fed\n<!channel> *buy* `now` [x](https://evil.example) www.evil.example\u202e {F1} @here"
    made = [market(Random(10), 1, "okx", "BTC-USDT")]
    brief = rendered(made, headlines=[title])
    flat = "Fed <!channel> *buy* `now` [x](https://evil.example) www.evil.example {F1} @here"
    assert f"\n- \u201c{flat}\u201d\n" in brief.thread or f"\n- \u201c{flat}\u201d" in brief.thread
    assert "<!channel>" not in brief.markdown
    assert "https://" not in brief.markdown
    assert " www.evil" not in brief.markdown
    assert verify(brief.thread, by_id(made), [flat]) == []


def test_words_from_outside_cannot_break_a_line() -> None:
    one = market(Random(11), 1, "okx", "BTC-USDT")
    evil = msgspec.structs.replace(one.facts["posture"], value="long\n<!here>\u2028|`x`")
    sheet = msgspec.structs.replace(
        one.sheet,
        facts=tuple(evil if f.id == evil.id else f for f in one.sheet.facts),
        levels=(Sentence(f"posture {{{evil.id}}}"),),
    )
    brief = render("hourly", [sheet], at=AT)
    assert "posture long <!here> |`x`" in brief.head
    assert "\\<\\!here" in brief.markdown or "\\<!here" in brief.markdown


def test_the_table_of_facts_survives_any_query() -> None:
    one = fact(1, 0.5, Unit.SCORE, query="SELECT 'a|b' || `c`\nFROM t", label="a|b")
    sheet = Sheet(venue="okx", symbol="BTC-USDT", at=AT, facts=(one,), sufficient=True, state=())
    row = render("hourly", [sheet], at=AT).markdown.splitlines()[-1]
    assert row.replace(r"\|", "").count("|") == 13
    assert "`SELECT 'a\\|b' \\|\\| 'c' FROM t`" in row


def test_what_is_collected_from_a_lake_renders_and_passes_the_checker(tmp_path: Path) -> None:
    sheets = collect(lakes.known(tmp_path), [lakes.DEMO], lakes.AT, lakes.SETTINGS, "hourly")
    facts = {one.id: one for sheet in sheets for one in sheet.facts}
    brief = render("hourly", sheets, at=lakes.AT)
    assert verify(f"{brief.head}\n{brief.thread}", facts) == []
    for sheet in sheets:
        for text in sentences(sheet):
            assert check(f"{sheet.symbol} {sheet.venue}\n{text}", facts, sheets) == []
