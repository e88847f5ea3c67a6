"""VPIN of one setting over all instruments: buckets, window, percentile, and the alert on a high percentile."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts
from pipelines import rows as to_rows
from pipelines.bulk import BulkBuckets
from pipelines.detector_settings import VpinHigh
from pipelines.kernel_names import vpin_terms
from pipelines.kernels import alarm, vpin
from pipelines.kernels.decimals import WIDEST
from pipelines.market import Instrument
from pipelines.reference import Adv, places_of, rounded
from pipelines.settings import Kernels
from pipelines.tape import Rows

Buckets = npt.NDArray[np.void]
"""An array of `vpin.BUCKET`."""


class Bucketing:
    """The state of one VPIN setting; arrays over instruments."""

    def __init__(self, setting: str, kernels: Kernels) -> None:
        self.setting = setting
        self.kind, self.number, self.n = vpin_terms(setting)
        self.window, self.least, self.high = kernels.percentile_window, kernels.percentile_min, kernels.detectors.vpin_high
        self.open = np.zeros(0, vpin.BUCKET)
        self.targets = np.zeros(0, np.int64)
        self.volumes: list[Decimal | None] = []
        self.ring = np.zeros((0, self.n), vpin.BUCKET)
        self.ring_count = np.zeros(0, np.int64)
        self.past = np.zeros((0, self.window))
        self.past_count = np.zeros(0, np.int64)
        self.held = np.zeros(0, alarm.HELD)
        self.bulk = BulkBuckets(self.n)

    def fits(self, kernels: Kernels) -> bool:
        """Whether the state can go on under other settings."""
        return (self.window, self.least) == (kernels.percentile_window, kernels.percentile_min)

    def settle(self, high: VpinHigh) -> None:
        """Take new settings of the alert; its level is worked out anew from what earlier dates left."""
        if high != self.high:
            self.high = high
            self.held["level"] = 0.0

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        for name in ("open", "targets", "ring", "ring_count", "past", "past_count", "held"):
            state = getattr(self, name)
            setattr(self, name, np.concatenate([state, np.zeros((n - len(state), *state.shape[1:]), state.dtype)]))
        self.volumes += [None] * (n - len(self.volumes))
        self.bulk.grow(n)

    def plant(self, i: int, window: list[tuple[float, float, float, bool]], places: int) -> None:
        """Begin instrument `i` with the last complete buckets of earlier dates, oldest first.

        `window` holds V and buy volume (base), squares and spans_gap; `places` are those of the instrument's lots.
        """
        for k, (volume, buy, squares, gap) in enumerate(window[-self.n :]):
            bucket = self.ring[i, k : k + 1]
            bucket["volume"] = bucket["target"] = int(Decimal(repr(volume)).scaleb(places))
            bucket["buy"] = int(Decimal(repr(buy)).scaleb(places))
            bucket["squares"], bucket["gap"] = squares, gap
        self.ring_count[i] = min(len(window), self.n)

    def fix(self, i: int, adv: Adv | None) -> int:
        """Fix V of instrument `i` for a new date; return the decimal places it needs."""
        if self.kind == "v":
            volume: Decimal | None = Decimal(self.number)
        else:
            volume = rounded(adv.volume / float(self.number)) if adv else None
        self.volumes[i] = volume
        self.open[i] = np.zeros((), vpin.BUCKET)
        self.bulk.begin_date(i)
        return places_of(volume) if volume is not None else 0

    def rescale(self, i: int, factor: int, places: int) -> None:
        """Bring lots of instrument `i` to a step finer by `factor`, with `places` decimals.

        Where V or the window no longer fits in 62 bits, there are no buckets, or the window begins anew.
        """
        volume = self.volumes[i]
        target = int(volume.scaleb(places)) if volume is not None else 0
        self.targets[i] = target if target < WIDEST else 0
        if int(self.ring["volume"][i].max(initial=0)) * factor >= WIDEST:
            self.ring_count[i] = 0
        if factor > 1:
            self.bulk.rescale(i, factor)
            for state in (self.open[i : i + 1], self.ring[i]):
                for name in ("target", "volume", "buy"):
                    state[name] *= factor

    def feed(self, rows: Rows, scales: npt.NDArray[np.float64]) -> Buckets:
        """Fill buckets; return those that closed. `scales`: lots in a unit of base, by instrument."""
        closed = np.empty(vpin.count_buckets(rows, self.open, self.targets), vpin.BUCKET)
        vpin.buckets(rows, self.open, self.targets, scales, closed)
        return closed

    def close_short(self, i: int, end: int) -> Buckets:
        """Close the open bucket of instrument `i` at the end of its date (us); return it, if there is one."""
        if self.open["volume"][i] == 0:
            return self.open[:0]
        closed = self.open[i : i + 1].copy()
        closed["partial"], closed["end"] = True, end
        return closed

    def rows(
        self, closed: Buckets, instruments: list[Instrument], places: npt.NDArray[np.int64]
    ) -> tuple[pa.Table, list[alerts.Alert]]:
        """Return closed buckets as rows of table `vpin`, and the alerts on high percentiles."""
        by_bulk = self.bulk.read(closed, self.targets, places)
        read = np.empty((closed.size, 5))
        vpin.windows(closed, self.ring, self.ring_count, self.past, self.past_count, self.least, 10.0**places, read)
        at = closed["instrument"]
        tens = 10.0 ** places[at]
        table = to_rows.table(
            "vpin",
            {
                "date": to_rows.date(closed["end"] - closed["partial"]),
                "venue": to_rows.words([x.venue for x in instruments], at),
                "symbol": to_rows.words([x.symbol for x in instruments], at),
                "setting": to_rows.constant(self.setting, closed.size),
                "bucket": pa.array(closed["bucket"]),
                "ts": to_rows.time(closed["ts"]),
                "end": to_rows.time(closed["end"]),
                "bucket_volume": pa.array(closed["target"] / tens),
                "buy_volume": pa.array(closed["buy"] / tens),
                "imbalance": pa.array(np.abs(2 * closed["buy"] - closed["volume"]) / tens),
                "vpin_flag": to_rows.or_null(read[:, 0]),
                "vpin_bvc": to_rows.or_null(by_bulk),
                "pct": to_rows.or_null(read[:, 1]),
                "null_low": to_rows.or_null(read[:, 2]),
                "null_high": to_rows.or_null(read[:, 3]),
                "partial": pa.array(closed["partial"]),
                "gap": pa.array(read[:, 4] > 0),
                "spans_gap": pa.array(closed["gap"]),
                "squares": pa.array(closed["squares"]),
            },
        )
        return table, self._crossings(closed, read, instruments)

    def _crossings(self, closed: Buckets, read: npt.NDArray[np.float64], instruments: list[Instrument]) -> list[alerts.Alert]:
        """Return an alert for each bucket whose percentile reaches the level, having been below the re-arm level."""
        settings = (self.setting + self.high.model_dump_json()).encode()
        found = []
        for k in np.flatnonzero(~np.isnan(read[:, 1])):
            i, pct = int(closed["instrument"][k]), float(read[k, 1])
            if self._alerts(i, int(closed["end"][k]), pct):
                bucket, instrument = closed[k], instruments[i]
                value, low, high = float(read[k, 0]), float(read[k, 2]), float(read[k, 3])
                found.append(
                    alerts.Alert(
                        alerts.alert_id("vpin_high", settings, instrument, str(int(bucket["last_id"]))),
                        instrument,
                        int(bucket["end"]),
                        int(bucket["end"]),
                        "vpin_high",
                        1 + (pct >= 0.99) + (pct >= 1.0),
                        pct,
                        float(self.held["level"][i]),
                        f"{instrument.symbol} VPIN {value:.3f} ({self.setting}) at percentile {100 * pct:.1f} of its past",
                        alerts.details(
                            setting=self.setting, bucket=int(bucket["bucket"]), vpin=value, pct=pct, null_low=low, null_high=high
                        ),
                    )
                )
        return found

    def plant_levels(self, i: int, ends: npt.NDArray[np.int64], pct: npt.NDArray[np.float64]) -> None:
        """Let the alarm of instrument `i` follow percentiles of earlier dates, each with the end of its bucket (us)."""
        for end, share in zip(ends.tolist(), pct.tolist(), strict=True):
            self._alerts(i, end, share)

    def _alerts(self, i: int, ts: int, pct: float) -> bool:
        """Whether a percentile alerts."""
        high = self.high
        return bool(alarm.judge(self.held[i], ts, pct, True, alerts.wanted(high, high.pct, min(high.rearm / high.pct, 1.0))))
