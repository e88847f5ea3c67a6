"""Words that a model may write in a brief, and why others are refused.

A word that is listed nowhere, and that no label or sentence of a sheet has for the fact it is said of, is refused.
"""

from __future__ import annotations

from typing import Final

_FUNCTION: Final = (
    "a an the this that these those its it their they there of in on at to from by with and or but while whereas as "
    "for over under above below during into out against than which where when if also whose between per is are was "
    "were be been has have had does do did being so then here other meanwhile additionally"
)
_VERBS: Final = (
    "stand stands stood show shows showed shown read reads come comes came go goes went gone lie lies lay sit sits "
    "sat trade trades traded print prints printed measure measures measured recorded observe observed report reports "
    "reported change changes changed seen rank ranks ranked compare compares compared differ differs differed move "
    "moves moved count counts counted note noted known "
    "standing sitting ranking reading showing measuring"
)
_TERMS: Final = (
    "price prices return returns spread spreads volume volumes vpin volatility imbalance flow level levels percentile "
    "percentiles history own window windows range ranges value values sample samples data state holes gaps "
    "liquidations liquidated rate posture score claim claims refuted unknown confidence evidence counter-evidence "
    "counter case cases venue venues market markets instrument instruments symbol versus vs brief briefs fact facts "
    "figure figures reading readings time number amount side term summary overall status update available age"
)
_TIME: Final = (
    "now currently current present latest last previous previously earlier before prior ago since until up down day "
    "days hour hours minute minutes week weeks month months yesterday today overnight daily hourly weekly newest"
)
_UP: Final = (
    "up rose rise rises risen rising gained gain gains gaining climbed climb climbs climbing increased increase "
    "increases increasing advanced advance advances grew grow grows grown growing widened widen widens widening "
    "higher more greater larger wider bigger faster stronger"
)
_DOWN: Final = (
    "down fell fall falls fallen falling dropped drop drops dropping declined decline declines declining decreased "
    "decrease decreases decreasing lost lose loses losing shrank shrink shrinks shrinking narrowed narrow narrows "
    "narrowing eased ease eases slipped slip slips lower less smaller narrower slower weaker"
)
_FLAT: Final = "unchanged flat same steady"
_COMPARATIVES: Final = "higher lower more less greater smaller larger wider narrower bigger faster slower stronger weaker"
_NEGATIONS: Final = (
    "no not none nothing never without neither nor cannot can't isn't aren't wasn't weren't don't doesn't didn't "
    "hasn't hardly barely scarcely lacks lack missing absent"
)
_PAST: Final = "was were stood had been earlier before previous previously prior ago from printed held sat lay showed yesterday"
_PRESENT: Final = "is are now currently current present latest stands shows newest today reads"
_WINDOW: Final = "over in within during for last past since of"
_UNITS: Final = (
    "percent percentage point points bps bp basis dollar dollars usd usdt euro euros cent cents coin coins thousand "
    "million billion minute minutes hour hours second seconds day days week weeks month months year years times x k m "
    "bn sigma sigmas"
)
_CAUSES: Final = (
    "because cause caused causes causing due owing driven drive drives driving drove triggered trigger triggers "
    "fuelled fueled sparked spurred prompted led leads thanks amid hence therefore thus consequently why reason "
    "reasons explains explained attributed result resulted results responding reaction reacted after following"
)
_INTENT: Final = (
    "informed insider insiders smart money whale whales manipulation manipulated traders investors bulls bears "
    "bullish bearish panic fear greed sentiment institutions institutional retail accumulation accumulating "
    "distribution"
)
_ADVICE: Final = (
    "buy buying sell selling hodl enter entry exit take profit profits stop stop-loss hedge hedging recommend "
    "recommended should must consider advise advised opportunity opportunities avoid wait target targets position "
    "positions leverage risk-on risk-off"
)
_FORECASTS: Final = (
    "will would shall may might could can likely unlikely expect expected expects expecting forecast forecasts "
    "predict predicted predicts prediction probable probably possibly chance chances soon tomorrow next upcoming "
    "future imminent potential poised outlook ahead going"
)

UP: Final = frozenset(_UP.split())
DOWN: Final = frozenset(_DOWN.split())
FLAT: Final = frozenset(_FLAT.split())
COMPARATIVES: Final = frozenset(_COMPARATIVES.split())
COMPARED: Final = {
    **dict.fromkeys(("above", "exceeds", "exceed", "exceeded", "exceeding", "beyond"), 1),
    **dict.fromkeys(("below", "under", "beneath"), -1),
}
SIGNS: Final = {"positive": 1, "negative": -1}
"""Words for the sign of a fact that has one."""
HIGH: Final = frozenset(("high", "elevated"))
LOW: Final = frozenset(("low", "depressed"))
LEVELS: Final = frozenset(("low", "medium", "high"))
NEGATIONS: Final = frozenset(_NEGATIONS.split())
PAST: Final = frozenset(_PAST.split())
PRESENT: Final = frozenset(_PRESENT.split())
WINDOW: Final = frozenset(_WINDOW.split())
SPANS: Final = {
    **dict.fromkeys(("minute", "minutes"), 60),
    **dict.fromkeys(("hour", "hours", "hourly"), 3600),
    **dict.fromkeys(("day", "days", "daily", "today", "yesterday", "overnight"), 86_400),
    **dict.fromkeys(("week", "weeks", "weekly"), 604_800),
    **dict.fromkeys(("month", "months"), 2_592_000),
}
UNITS: Final = frozenset(_UNITS.split())
WORDS: Final = (
    frozenset((*_FUNCTION.split(), *_VERBS.split(), *_TERMS.split(), *_TIME.split(), *COMPARED, *SPANS))
    | (UP | DOWN | FLAT)
    | (HIGH | LOW | LEVELS)
    | frozenset(SIGNS)
)
PLAIN: Final = (
    frozenset((*_FUNCTION.split(), *_VERBS.split(), *_TIME.split(), "change", *SIGNS)) | UP | DOWN | FLAT | HIGH | LOW | LEVELS
)
"""Words that name no measure, wherever they stand."""
STATES: Final = frozenset(("current", "fresh", "live", "complete", "whole", "stale", "degraded", "late", "sufficient"))
"""What data may be said to be."""
REFUSED: Final = {
    **dict.fromkeys(_CAUSES.split(), "names a cause"),
    **dict.fromkeys(_INTENT.split(), "speaks of someone's intent"),
    **dict.fromkeys(_ADVICE.split(), "advises"),
    **dict.fromkeys(_FORECASTS.split(), "foretells"),
}
"""Refused though a sheet may say them: a sheet's own sentence is let pass as a whole."""
