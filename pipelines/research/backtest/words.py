"""What a report says in words, the same whatever the figures are."""

from __future__ import annotations

from pipelines.research import bootstrap
from pipelines.research.backtest import falls, protocol
from pipelines.research.backtest.judge import SHOWN

GENERATED = """\
# Backtest on generated days: no market's

**Every trade here was made up by a program ({made_up}). No figure below says anything of any market, of any exchange,
or of anything that happened on these dates; they show that the backtest works, and how long it takes.** To find a fall
that was planted proves nothing but the program.
"""

REAL = """\
# Backtest of VPIN as an alarm of falls: {venues}, {first} to {last}

VPIN here is the absolute order imbalance in volume time, from the venue's own aggressor flags. It is no probability.
"""

ASKED = """\
Asked about: {span}. Control: {control}; calm are its dates on which no event begins or ends, from the date on which
every measure has a past.
"""

EVENTS = f"""\
## Events

By a rule on prices alone, fixed in code before VPIN is computed, and found before it: a return of five minutes that is
a jump down (Lee and Mykland, {falls.FALSE_JUMP:.0%} for a false one in a day), and a close at least {falls.FALL:.0%}
below that at its begin within {falls.WITHIN_US // 60_000_000} minutes; of a UTC date the first.
"""

INCREMENT = f"""\
## What VPIN adds

ln of the next hour's realised variance, each whole hour, explained by that of the last hour and day, volume, number of
trades and share of imbalance of the last hour and the time of day (r2 of that), and by VPIN's trailing percentile.
Slope: what the percentile adds to ln variance from its lowest to its highest; interval: 95 %, by block bootstrap over
days. Start 0 begins each date as table `vpin` does; the range is over it and {protocol.STARTS} random starts. `apart
from 0` counts starts whose interval leaves out 0: one in 20 would by chance alone.
"""

ALARMS = f"""\
## Alarms

Every measure sounds from the percentile that gave at most {protocol.ALARMS_A_DAY:g} alarm a day on the
{protocol.LEVEL_DATES} dates before, once an hour while it stays there: the same price for all. An alarm in the
{protocol.HORIZON_US // protocol.HOUR_US} hours before an event's end, and not after its begin, led it; others are false.
All but the first column is of the dates asked about. Of VPIN: start 0, then the range over all starts. `led alone`:
events that VPIN led and no benchmark did.
"""

DETECTORS = """\
## Detectors

Their alerts, by the same rule, horizon and cooldown; each has its own price in false alarms.
"""

ILLUSTRATION = f"""\
The first event of each instrument, with VPIN of {SHOWN.v} buckets a day and windows of {SHOWN.n}: chosen beforehand,
not for what it shows. One event is an illustration and no evidence, whatever the lines do before it.
"""

BEWARE_GENERATED = "- Anything of a market. The days are made up; of what happened on these dates nothing was read.\n"

BEWARE = f"""\
- That VPIN foretells falls, or does not. There are {{events}} events in {{days}} dates, of instruments that fall together:
  they count as one or two, not as so many. Nothing has an interval that rests on fewer than {bootstrap.LEAST_DAYS} days.
- A best setting. {{cells}} cells were computed an instrument and all are above; the best of so many looks good by luck.
- A cause. VPIN moves with volume and volatility by its very definition (Andersen, Bondarenko, JFM 17, 2014): what it
  adds to them is in the first tables; what it does alone is no evidence.
- The VPIN of the papers. There trades are classified in bulk; from true flags it is another object, which may behave
  the other way.
- That anybody knew anything. One-sided flow has many reasons.
- A profit. Costs, size and the time to act are not in it, and an alarm has no direction.
- Other weeks. The control is the time before: calm is what it was then, not what is usual.
- Independent starts or cells. They are of the same trades; their agreement is no more evidence than one of them.
"""

FIXED = f"""\
Run `{{run}}`; protocol `{protocol.digest()}`: the hash of the rule of events, the grid, the starts, windows, levels,
horizon and seeds, all fixed in code. It took {{seconds:,.0f}} s.

- Buckets a day {{v}}; windows {{n}}; V is the mean of up to 30 dates before.
- Each date's first bucket, as a share of V (seed {protocol.STARTS_SEED}): {{firsts}}. What is cut short enters no window.
- Percentiles are of the {protocol.PAST_VALUES:,} values of VPIN before, at least {protocol.LEAST_VALUES}; of benchmarks, of the
  {protocol.PAST_STEPS:,} steps of 5 minutes before, at least {protocol.LEAST_STEPS:,}. None looks ahead.
"""
