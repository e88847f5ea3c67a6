"""The table of faults: each is done to real processes on real sockets, and `tapeflow status` tells the truth meanwhile and after.

A row names the fault, how it is brought about, what status says while it lasts (each statement at least once), how it is ended
where it does not end by itself, and what status says once it is over; all is well again after each. Whatever the fault, nothing
is lost, nothing is doubled, and a bar that is not as the uncut tape has it is marked.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from dataflows.demo.faults import GARBAGE
from tests.faults.does import Do, after, begin_anew, exchange, fill, kill, send
from tests.faults.house import House, wait_for
from tests.faults.says import (
    WELL,
    Says,
    Status,
    books,
    connected_all_along,
    fault,
    gap,
    ledger,
    more,
    note,
    process,
    quiet,
    reconnected,
    sheds,
)
from tests.faults.truth import (
    assert_nothing_lost_nothing_doubled,
    bars_that_differ,
    missing,
    stop_and_check,
    wait_until_caught_up,
)

NOT_CONNECTED = fault("feed demo is not connected")
OURS = ("record", "run")
SOCKETS = 2
"""What is recorded of the exchange comes on so many."""
FEEDS = ("trades", "quotes", "book", "liquidations", "funding")


class Row(NamedTuple):
    """A fault.

    Attributes
    ----------
    fault : str
    done : callable
        Brings it about.
    during : tuple of Says
    after : tuple of Says
    ended : callable, optional
        Ends it, where it does not end by itself.
    missed : bool
        The sockets miss trades: the ledger then holds more gaps that were repaired. Whether they are told by the reconnect or
        by the ids behind it is a matter of which is seen first.
    lasts : bool
        It lasts long enough for the command itself to be run meanwhile.
    turned_away : float
        For how many seconds each socket knocks once, and REST is not asked again and again: until the exchange lets them in.
    house : str
        Whose processes it is done to; the rows of a house are done one after the other.
    brief : bool
        It may be over before status is looked at: it is done again then.
    soak : bool
        It lasts too long for every day.
    """

    fault: str
    done: Do
    during: tuple[Says, ...] = ()
    after: tuple[Says, ...] = ()
    ended: Do | None = None
    missed: bool = False
    lasts: bool = False
    turned_away: float = 0.0
    house: str = "all feeds"
    brief: bool = False
    soak: bool = False


TABLE = [
    Row(
        "cut of 10 s",
        exchange("cut:600"),
        (NOT_CONNECTED, gap("reconnect"), books(3)),
        (reconnected(),),
        after(10, exchange("cut:0.001")),
        True,
        True,
    ),
    Row("stall", exchange("stall:20"), (quiet(2.0),), (reconnected(),), None, missed=True),
    Row("duplicates", exchange("duplicates:50"), (WELL,), (more("duplicates", 50),)),
    Row(
        "duplicates after a reconnect",
        exchange("resent:2000", "cut:0.5"),  # on a busy machine half a second lasts for several, and what was missed then is none
        (),
        (reconnected(), more("duplicates", 100)),
    ),
    Row("reordering", exchange("reorder:50"), (WELL,)),
    Row("missing ids, fetched at once", exchange("missing:5"), (), (), None, missed=True),
    Row(
        "missing ids while REST wants to be left alone",
        exchange("limit:8", "missing:5"),
        (gap("missing_ids"), fault("refused: demo: REST: HTTP 429")),
        (),
        None,
        True,
        True,
    ),
    Row("late", exchange("late:8"), (), (more("duplicates", 1),), None, missed=True),
    Row("garbage", exchange("garbage"), (), (more("quarantined", len(GARBAGE) - 2),)),
    Row(
        "429 with Retry-After",
        exchange("limit:12", "cut:0.1"),
        (NOT_CONNECTED, fault("refused: HTTP 429: too many requests; waiting"), gap("reconnect")),
        (reconnected(),),
        None,
        True,
        True,
        turned_away=12.0,
    ),
    Row(
        "418 with Retry-After",
        exchange("ban:12", "cut:0.1"),
        (NOT_CONNECTED, fault("refused: HTTP 418: too many requests; waiting"), gap("reconnect")),
        (reconnected(),),
        None,
        True,
        True,
        turned_away=12.0,
    ),
    Row(
        "recorder and flow suspended for 30 s",
        send(signal.SIGSTOP, *OURS),
        (process("recorder", "suspended"), process("flow", "suspended")),
        (),
        after(30, send(signal.SIGCONT, *OURS)),
        False,
        True,
    ),
    Row(
        "all suspended for 10 minutes",
        send(signal.SIGSTOP, "demo-exchange", *OURS),
        (process("recorder", "suspended"), process("flow", "suspended")),
        (),
        after(600, send(signal.SIGCONT, "demo-exchange", *OURS)),
        False,
        True,
        soak=True,
    ),
    Row(
        "403",
        exchange("forbid:3600", "cut:0.1"),
        (NOT_CONNECTED, fault("refused: HTTP 403: the venue does not serve this place"), gap("reconnect")),
        (),
        begin_anew("record"),
        True,
        True,
        turned_away=3600.0,
    ),
    Row("clock 5 s ahead", exchange("skew:5500"), (note("clock is 5."),)),
    Row(
        "cut of 60 s of an exchange ten times as fast",
        exchange("cut:600"),
        (NOT_CONNECTED, gap("reconnect")),
        (reconnected(),),
        after(6, exchange("cut:0.001")),
        True,
        True,
        house="fast",
    ),
    Row(
        "subscribe refused",
        exchange("refuse:9", "cut:0.1"),
        (fault("feed demo: refused: Invalid request: refused on request (code 2)"), gap("reconnect")),
        (reconnected(),),
        None,
        True,
        True,
        house="fast",
    ),
    Row(
        "disk under 5 %",
        fill(0.04),
        (sheds("quotes", "book"), more("trades", 1000)),
        (connected_all_along(),),
        fill(0.5),
        lasts=True,
        house="small disk",
    ),
    Row("disk under 2 %", fill(0.01), (sheds("quotes", "book", "trades"),), (), fill(0.5), True, True, house="small disk"),
    Row("disk full", fill(0.0), (sheds("quotes", "book", "trades"),), (), fill(0.5), True, True, house="small disk"),
    *(
        Row(
            f"{name} killed",
            kill(name),
            (fault(f"{name} is "), *((NOT_CONNECTED,) if name in ("exchange", "recorder") else ())),
            (process(name, "running", restarts=1),),
            house="supervised",
            brief=True,
        )
        for name in ("exchange", "recorder", "flow", "dagster-daemon", "dagster-webserver")
    ),
]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a volume of 128 MB."""
    folder.mkdir(parents=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=128m", "tapeflow", str(folder)]
    try:
        subprocess.run(mounted, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a volume of its own can be mounted by root alone")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def begun(kind: str, folder: Path) -> Iterator[House]:
    """Begin a house, and wait until all is well."""
    fast = {"TAPEFLOW_DEMO__SPEED": "10"} if kind == "fast" else {}
    made = House(folder, 20.0 if fast else 100.0, FEEDS if kind in ("all feeds", "small disk") else (), **fast)
    with small_disk(made.data / "journal") if kind == "small disk" else nullcontext():
        try:
            made.begin(supervised=kind == "supervised")
            wait_until(made, [WELL], made.told())
            yield made
        finally:
            made.close()


class Street:
    """The one house that stands at a time: to begin one takes seconds."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder
        self._kind = ""
        self._open = ExitStack()
        self._house: House | None = None

    def house(self, kind: str) -> House:
        """Return a house; where another stands it is torn down."""
        if self._house is None or kind != self._kind:
            self.close()
            self._house, self._kind = self._open.enter_context(begun(kind, self._folder("house"))), kind
        return self._house

    def close(self) -> None:
        """Tear down what stands."""
        self._house = None
        self._open.close()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    made = Street(tmp_path_factory.mktemp)
    yield made
    made.close()


def wait_until(house: House, said: list[Says], before: Status, seconds: float = 300.0) -> None:
    """Wait until status has said each of these, at one time or another."""
    left, now = list(said), before

    def all_said() -> bool:
        nonlocal now
        now = house.told()
        left[:] = [says for says in left if not says.holds(before, now)]
        return not left

    try:
        wait_for(all_said, "status says", seconds)
    except AssertionError:
        raise AssertionError(f"never said: {[says.text for says in left]}; last said: {now}") from None


def repaired(held: dict[tuple[str, str, str], int]) -> int:
    """Return how many gaps in trades a ledger holds as repaired."""
    return sum(count for (feed, status, _), count in held.items() if (feed, status) == ("trades", "repaired"))


HOUSES = list(dict.fromkeys(row.house for row in TABLE))
STEPS = [
    step
    for kind in HOUSES
    for step in (
        *(
            pytest.param(kind, row, id=f"{kind}: {row.fault}", marks=pytest.mark.soak if row.soak else ())
            for row in TABLE
            if row.house == kind
        ),
        pytest.param(kind, None, id=f"{kind}: in the end"),
    )
]
"""Each row in its house; in the end, None: all that the house has been through is held against an uninterrupted flow."""


@pytest.mark.parametrize(("kind", "row"), STEPS)
def test_status_tells_the_truth_and_nothing_is_lost(kind: str, row: Row | None, street: Street, tmp_path: Path) -> None:
    house = street.house(kind)
    if row is None:
        stop_and_check(house, tmp_path / "whole")
        bars_that_differ(house, tmp_path / "truth")
        return
    try:
        _row(house, row)
    except BaseException:
        street.close()  # what a fault left undone must not fail the rows behind it
        raise


def bring_about(house: House, row: Row, before: Status) -> dict[str, int]:
    """Do it and wait until status has said so; return what the exchange had been asked when it was done."""
    for seconds in (5.0, 10.0, 20.0) if row.brief else ():
        row.done(house)
        with suppress(AssertionError):
            wait_until(house, list(row.during), before, seconds)
            return {}
    row.done(house)
    asked = house.asked() if row.turned_away else {}  # now: each minute the recorder asks for open interest
    wait_until(house, list(row.during), before)
    return asked


def _row(house: House, row: Row) -> None:
    before, held, begun = house.told(), ledger(house), time.monotonic()
    asked = bring_about(house, row, before)
    if row.lasts:
        faults = house.command()["faults"]
        assert faults or not house.told()["faults"], row.fault  # where the command took longer than the fault there are none
    knocks = {name: count - asked[name] for name, count in house.asked().items()} if row.turned_away else {}
    if time.monotonic() - begun < row.turned_away:  # else they were let in before they were counted
        assert knocks["handshakes"] <= SOCKETS, knocks
        assert knocks["rest"] <= SOCKETS, knocks
    if row.ended is not None:
        row.ended(house)
    wait_until(house, list(row.after), before)
    wait_until_caught_up(house)
    wait_until(house, [WELL], before)
    wait_for(lambda: missing(house) == 0, "the lake has every trade up to its newest")
    assert_nothing_lost_nothing_doubled(house)
    if row.missed:
        wait_for(lambda: repaired(ledger(house)) > repaired(held), "the ledger holds the gap as repaired")  # after the next epoch
    wait_for(lambda: house.command()["faults"] == [], "the command finds no fault")  # a busy machine may lag for a moment
