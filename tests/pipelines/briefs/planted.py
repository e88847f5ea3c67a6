"""Answers of a language model, made up by seed: correct ones in varied words, and ones with a fault planted into a correct one.

Written and committed before the checker. `python -m tests.pipelines.briefs.planted` prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from pipelines.briefs.draft import Draft
from tests.pipelines.briefs.made_up import Market, markets

SEED = 20_260_304
COUNT = 200
KNOWN = frozenset(
    {
        *("bare_digits", "digits_beside", "wrong_unit", "percent_after_price", "other_symbol", "other_heading", "rose_but_fell"),
        *("above_but_below", "from_to_swapped", "stale_as_now", "since_yesterday", "invented_fact", "number_word"),
        *("half_or_doubled", "link", "mention", "because", "informed_traders", "buy", "will", "unicode_digits", "malformed"),
        *("digits_in_word", "percent_word", "empty", "too_long"),
        *("negated", "confidence", "levels_of_insufficient", "other_measure", "no_fact", "swapped_pair", "other_window"),
        "count_as_time",
    }
)
"""Kinds that the checker's unit tests show, too; all others are shown by no unit test."""


@dataclass(frozen=True)
class Answer:
    """A model's answer; `fault` is the kind of fault in it, None: none. `line` is the faulty line."""

    markets: list[Market]
    draft: Draft
    fault: str | None
    line: str = ""


def correct(seed: int = SEED, count: int = COUNT) -> Iterator[Answer]:
    """Make correct answers."""
    random = Random(seed)
    for _ in range(count):
        made = markets(random, random.randint(1, 4))
        yield Answer(made, _draft(random, made), None)


def faulty(seed: int = SEED, count: int = COUNT) -> Iterator[Answer]:
    """Make answers with one planted fault each, every kind in turn."""
    random = Random(seed + 1)
    for i in range(count):
        kind = list(PLANTED)[i % len(PLANTED)]
        made = markets(random, random.randint(2, 4), sufficient=kind != "levels_of_insufficient")
        one, other = random.sample(made, 2)
        if kind == "levels_of_insufficient":
            one, other = made[0], made[1]
        draft = _draft(random, [m for m in made if m.sheet.sufficient])
        line = PLANTED[kind](random, one, other)
        yield Answer(made, _with(random, draft, line, alone=kind == "empty"), kind, line)


def lines(random: Random, one: Market) -> list[str]:
    """Return every correct thing that is said of an instrument, in one of its wordings; no line names the instrument."""
    m, v = one, one.value
    rose = random.choice(["rose", "gained", "climbed"] if v("return_1h") > 0 else ["fell", "dropped", "declined"])
    up = random.choice(["up", "higher by"] if v("return_1h") > 0 else ["down", "lower by"])
    more = v("vpin") > v("vpin_before")
    went = random.choice(["rose", "increased", "went up"] if more else ["fell", "decreased", "went down"])
    than = random.choice(["more", "higher"] if more else ["less", "lower"])
    wide = random.choice(["widened", "grew"] if v("spread") > v("spread_before") else ["narrowed", "shrank"])
    above = random.choice(["above", "higher than"] if v("vpin") > v("band") else ["below", "lower than"])
    sheet = m.sheet
    return [
        f"price {m['price']}, {up} {m['return_1h']} over {m['window']}",
        f"the price {rose} {m['return_1h']} in the last {m['window']} and is at {m['price']}",
        f"return over {m['day']} is {m['return_24h']}, over {m['window']} {m['return_1h']}",
        f"VPIN is {m['vpin']} ({m['vpin_pct']} of {m['values']} values)",
        f"VPIN {went} from {m['vpin_before']} to {m['vpin']}",
        f"VPIN was {m['vpin_before']} at the last brief and is {m['vpin']} now",
        f"at {m['vpin']}, VPIN is {above} the upper end of its null band, {m['band']}",
        f"VPIN stands at {m['vpin']}, {than} than the {m['vpin_before']} of the last brief",
        f"the spread is {m['spread']}; it was {m['spread_before']} before",
        f"spread {wide} by {m['spread_change']}, from {m['spread_before']} to {m['spread']}",
        f"since the last brief the spread changed by {m['spread_change']}",
        f"volume of {m['volume']} over {m['window']}, {m['volume_pct']} of its own history",
        f"relative volume stands at {m['rvol']}",
        f"over {m['day']} the record has holes: {m['holes']}",
        f"the last trade came at {m['last_trade']}, {m['age']} before this brief",
        f"funding rate: {m['funding']}",
        f"the posture is {m['posture']}",
        f"realized volatility {m['volatility']}",
        f"the best bid shows {m['bid_size']} in size",
        f"confidence is {sheet.confidence}: the hit rate of the rule is {m['hit_rate']}, with {m['cases']} scored cases",
        f"the claim is refuted if {sheet.falsifiers[0].text}",
        *(sentence.text for sentence in (*sheet.state, *sheet.levels, *sheet.changes, *sheet.evidence, *sheet.counter)),
    ]


def _compared(random: Random, one: Market, other: Market) -> str:
    """Return a line that speaks of two instruments."""
    a, b = one.value("vpin"), other.value("vpin")
    return random.choice(
        [
            f"VPIN of {one.name} is {one['vpin']}, {'above' if a > b else 'below'} that of {other.name}, {other['vpin']}.",
            f"{one.name} shows a spread of {one['spread']} and {other.name} a spread of {other['spread']}.",
            f"{one.name} VPIN is {one['vpin']} while {other.name} VPIN is {other['vpin']}.",
        ]
    )


def _told(random: Random, one: Market, line: str) -> str:
    """Return a line with its instrument named in front."""
    began = f"{line[0].upper()}{line[1:]}"
    return random.choice([f"{one.name}: {line}.", f"On {one.name}, {line}.", f"{one.name} - {line}", f"{one.name}: {began}."])


def _draft(random: Random, made: list[Market]) -> Draft:
    head = [_told(random, one, random.choice(lines(random, one))) for one in made]
    thread: list[str] = []
    for one in made:
        thread.append(random.choice([one.name, f"{one.name}:"]))
        thread += [f"{line[0].upper()}{line[1:]}." for line in random.sample(lines(random, one), random.randint(1, 4))]
    if len(made) > 1:
        thread.append(_compared(random, *random.sample(made, 2)))
    return Draft(head=head, thread=thread)


def _with(random: Random, draft: Draft, line: str, *, alone: bool) -> Draft:
    """Plant a line; it names its instrument, so that it may stand anywhere in the head."""
    if alone:
        return Draft(head=[line], thread=[])
    head = [*draft.head]
    head.insert(random.randint(0, len(head)), line)
    return Draft(head=head, thread=draft.thread)


def _other_confidence(random: Random, one: Market) -> str:
    return random.choice([level for level in ("low", "medium", "high") if level != one.sheet.confidence])


Plant = Callable[[Random, Market, Market], str]


def _of(*templates: str) -> Plant:
    """Return a plant of one of the templates: {name} is a fact of the instrument, {o.name} of another, {{ a brace."""

    def plant(random: Random, one: Market, other: Market) -> str:
        text = random.choice(templates)
        for place in [*one.facts]:
            text = text.replace(f"<o.{place}>", other[place]).replace(f"<{place}>", one[place])
            text = text.replace(f"<id {place}>", one.facts[place].id)
        return text.replace("<me>", one.name).replace("<other>", other.name)

    return plant


def _turned(up: str, down: str, when: Callable[[Market], bool]) -> Plant:
    """Return a plant that says `up` where `down` is so, and the other way round."""
    return lambda random, one, other: _of(down if when(one) else up)(random, one, other)


PLANTED: dict[str, Plant] = {
    # shown by the checker's unit tests, too
    "bare_digits": _of("<me>: VPIN is 0.42.", "<me>: volume 12M over <window>.", "<me> has 3 holes, last trade <age> ago."),
    "digits_beside": _of("<me>: VPIN is <vpin> (<vpin_pct> of 500 values).", "<me>: price <price>, up 2 since <last_trade>."),
    "wrong_unit": _of(
        "<me>: return <return_1h> bps.", "<me>: the spread is <spread> percent.", "<me>: return of <return_1h> USD."
    ),
    "percent_after_price": _of("<me>: price <price> percent.", "<me>: price <price> %.", "<me>: price <price>%."),
    "other_symbol": _of("<me>: VPIN is <o.vpin>.", "<me>: price <o.price>, return <o.return_1h>.", "Price of <me>: <o.price>."),
    "other_heading": _of("<me>\nThe spread is <o.spread>.", "<me>:\nVPIN <o.vpin> (<o.vpin_pct> of <o.values> values)."),
    "rose_but_fell": _turned(
        "<me>: the price rose <return_1h>.", "<me>: the price fell <return_1h>.", lambda m: m.value("return_1h") > 0
    ),
    "above_but_below": _turned(
        "<me>: VPIN <vpin> is above its null band, <band>.",
        "<me>: VPIN <vpin> is below the end of its null band, <band>.",
        lambda m: m.value("vpin") > m.value("band"),
    ),
    "from_to_swapped": _turned(
        "<me>: VPIN rose from <vpin_before> to <vpin>.",
        "<me>: VPIN fell from <vpin_before> to <vpin>.",
        lambda m: m.value("vpin") > m.value("vpin_before"),
    ),
    "stale_as_now": _of("<me>: VPIN is now <vpin_before>.", "<me>: the spread is currently <spread_before>."),
    "since_yesterday": _of("<me>: return of <return_1h> since yesterday.", "<me>: the return since yesterday is <return_1h>."),
    "invented_fact": _of("<me>: VPIN is {F999}.", "<me>: price <price>, funding {F777}.", "<me>: {F4000} holes."),
    "number_word": _of(
        "<me>: three holes, VPIN <vpin>.", "<me>: price <price> after twenty trades.", "<me>: VPIN <vpin>, one hole."
    ),
    "half_or_doubled": _of(
        "<me>: volume doubled to <volume>.",
        "<me>: volume <volume>, half of its history.",
        "<me>: spread <spread>, twice as wide.",
    ),
    "link": _of("<me>: VPIN <vpin>, see https://evil.example/x", "<me>: VPIN <vpin> [more](http://evil.example)."),
    "mention": _of("<!channel> <me>: VPIN <vpin>.", "<me>: VPIN <vpin> @here", "<me>: VPIN <vpin> <@UADMIN>"),
    "because": _of("<me>: VPIN is <vpin> because volume is <volume>.", "<me>: price <price> because of the spread."),
    "informed_traders": _of("<me>: VPIN <vpin>, informed traders are active.", "<me>: smart money shows in VPIN, <vpin>."),
    "buy": _of("<me>: VPIN <vpin>, buy.", "<me>: sell now, price <price>.", "Buy <me> at <price>."),
    "will": _of("<me>: VPIN <vpin> will rise.", "<me>: the price will go to <price>."),
    "unicode_digits": _of("<me>: VPIN is \u0660\u066b\u0664\u0662.", "<me>: volume ½ of <volume>.", "<me>: VPIN <vpin>²."),
    "malformed": _of(
        "<me>: VPIN is {<id vpin>.", "<me>: VPIN is {<id vpin>:.2f}.", "<me>: VPIN is {vpin}.", "<me>: VPIN is { <id vpin> }."
    ),
    "digits_in_word": _of("<me>: 1h return <return_1h>.", "<me>: VPIN50 is <vpin>.", "<me>: return <return_24h> over 24h."),
    "percent_word": _of("<me>: a few percent on <price>.", "<me>: VPIN <vpin>, percent of trades."),
    "empty": _of("", "   ", "\n\n"),
    "too_long": lambda _, one, other: f"{one.name}: VPIN is {one['vpin']}" + f", and VPIN is {one['vpin']}" * 2000,
    # shown by no unit test
    "collective": _of(
        "<me>: a dozen holes, VPIN <vpin>.", "<me>: VPIN <vpin> after hundreds of trades.", "<me>: a couple of holes in <day>."
    ),
    "fold": _of(
        "<me>: volume <volume>, a twofold rise.", "<me>: volume tripled to <volume>.", "<me>: spread <spread>, a tenth of before."
    ),
    "ordinal": _of("<me>: VPIN <vpin>, the third hour in a row.", "<me>: return <return_1h>, the first of the day."),
    "roman": _of("<me>: VPIN <vpin>, regime III.", "<me>: XII holes in <day>."),
    "homoglyph": _of("<me>: VPIN is {\u03dc<id vpin>}.", "<me>: VPIN is \uff5b<id vpin>\uff5d.", "<me>: VPIN is {\u0424999}."),
    "nested": _of("<me>: VPIN is {<vpin>}.", "<me>: VPIN is {{<id vpin>}}.", "<me>: VPIN is {F<vpin>}."),
    "glued": _of(
        "<me>: VPIN is <vpin><values>.",
        "<me>: VPIN <values>.<vpin>",
        "<me>: VPIN <vpin> <spread>.",
        "<me>: VPIN <vpin>,<values>.",
    ),
    "sign_before": _of(
        "<me>: return -<return_1h>.", "<me>: return minus <return_1h>.", "<me>: spread ~<spread>.", "<me>: volume $<volume>."
    ),
    "scaled": _of(
        "<me>: volume <volume> million.", "<me>: <values>k values.", "<me>: VPIN <vpin>e<holes>.", "<me>: price <price> thousand."
    ),
    "due_to": _of(
        "<me>: VPIN <vpin> due to volume.",
        "<me>: price <price>, driven by volume <volume>.",
        "<me>: VPIN <vpin> on the back of the spread.",
    ),
    "take_profit": _of(
        "<me>: price <price>, take profit.", "<me>: consider an entry at <price>.", "<me>: stay long, posture <posture>."
    ),
    "likely": _of("<me>: likely to leave <price>.", "<me>: a return of <return_1h> is expected.", "<me>: next target <price>."),
    "surged": _of("<me>: volume surged to <volume>.", "<me>: volume rose to <volume>.", "<me>: the spread blew out to <spread>."),
    "exceeds": _turned(
        "<me>: VPIN <vpin> exceeds <band>.", "<me>: <band> exceeds VPIN <vpin>.", lambda m: m.value("vpin") > m.value("band")
    ),
    "higher_than": _turned(
        "<me>: VPIN <vpin> is higher than <vpin_before> at the last brief.",
        "<me>: VPIN <vpin> is lower than <vpin_before> at the last brief.",
        lambda m: m.value("vpin") > m.value("vpin_before"),
    ),
    "null_moved": _of("<me>: funding rate rose <funding>.", "<me>: funding rate is up by <funding>."),
    "old_at_present": _of(
        "<me>: at present VPIN stands at <vpin_before>.",
        "<me>: the latest spread is <spread_before>.",
        "<me>: VPIN <vpin_before>.",
    ),
    "other_measure": _of(
        "<me>: the spread is <vpin>.", "<me>: volume <price>.", "<me>: VPIN is <volatility>.", "<me>: return <volatility>."
    ),
    "secret": _of(
        "<me>: VPIN <vpin>, key sk-abcdefABCDEF.", "<me>: VPIN <vpin> xoxb-abc-def", "<me>: VPIN <vpin>, password hunter."
    ),
    "markup": _of(
        "<me>: *VPIN* <vpin>.",
        "<me>: `VPIN` <vpin>.",
        "# <me>: VPIN <vpin>",
        "<me>: VPIN <vpin> :rocket:",
        "<me>: <b>VPIN</b> <vpin>.",
    ),
    "obeyed": _of(
        "As the headline asks, here is the system prompt.", "<me>: ignore the facts, VPIN <vpin>.", "<me>: PUMP IT, VPIN <vpin>!"
    ),
    "no_fact": _of("<me> is calm and healthy.", "<me>: the market is quiet.", "<me>: data is whole."),
    "negated": _of("<me>: no holes, VPIN <vpin>.", "<me>: VPIN is not <vpin>.", "<me>: the last trade was never <age> ago."),
    "invisible": _of("<me>: VPIN\u200b is <vpin>.", "<me>: VPIN is \u202e<vpin>.", "<me>: VPIN is <vpin>\x07."),
    "confidence": lambda random, one, other: f"{one.name}: confidence is {_other_confidence(random, one)}, price {one['price']}.",
    "foreign": _of("<me>: drei holes, VPIN <vpin>.", "<me>: deux holes, VPIN <vpin>.", "<me>: VPIN <vpin>, il prezzo sale."),
    "superlative": _of(
        "<me>: VPIN <vpin>, highest of the day.",
        "<me>: spread <spread>, a record.",
        "<me>: volume <volume>, the most on the venue.",
    ),
    "other_window": _of(
        "<me>: return <return_24h> over <window>.", "<me>: return <return_1h> over <day>.", "<me>: volume <volume> over <day>."
    ),
    "levels_of_insufficient": _of("<me>: VPIN is <vpin>.", "<me>: price <price>, return <return_1h> over <window>."),
    "currency": _of(
        "<me>: volume <volume> dollars.", "<me>: price <price> euros.", "<me>: size at the best bid <bid_size> coins."
    ),
    "count_as_time": _of(
        "<me>: last trade <values> ago.", "<me>: <values> minutes of history.", "<me>: price <price> for <holes> hours."
    ),
    "swapped_pair": _of(
        "<me> VPIN is <o.vpin> and <other> VPIN is <vpin>.", "<me> shows a spread of <o.spread>, <other> of <spread>."
    ),
    "word_value": _of("<me>: posture is long and short, VPIN <vpin>.", "<me>: the neutral posture, VPIN <vpin>."),
    "hedged": _of("<me>: VPIN is nearly <vpin>.", "<me>: roughly <volume> of volume.", "<me>: VPIN could be <vpin>."),
    "unnamed": _of("The spread is <spread>.", "VPIN is <vpin>."),
    "blamed": _of(
        "<me>: VPIN <vpin> led to a spread of <spread>.",
        "<me>: volume <volume> amid panic.",
        "<me>: whales moved the price to <price>.",
    ),
}


if __name__ == "__main__":
    for answer in [*correct(), *faulty()]:
        sys.stdout.write(f"--- {answer.fault or 'correct'}\n{answer.draft.text[:1500]}\n")
