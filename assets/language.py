"""The language model that may word a brief: given facts, it writes placeholders; whatever goes wrong, the template writes."""

import asyncio
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import structlog

from assets.model_clients import Unfit, client
from pipelines.brief_settings import Model
from pipelines.briefs import check, prompt
from pipelines.briefs.budget import Spent, Tokens, worst_case
from pipelines.briefs.draft import Draft
from pipelines.briefs.fact import Fact
from pipelines.briefs.sheet import Sheet
from pipelines.briefs.words import plain
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pydantic_ai.models import Model as Client

log = structlog.get_logger(__name__)

ANSWERS: Final = 2
"""The first, and one more after it was told what was wrong with it."""
LONGEST: Final = 20_000
"""Characters of an answer that are looked at."""
GRACE_S: Final = 2.0
"""For the model's client to stop by itself once its time is over; then it is left to itself."""

Answer = TypeVar("Answer")


class Refused(NamedTuple):
    """Why the template writes; says neither key nor account, nor what the model's host said of them."""

    why: str


class Talk:
    """One exchange with the model: its client, what counts its tokens, and the faults of the answer refused last."""

    def __init__(self, model: Model, seconds: float) -> None:
        self.model = model
        self.seconds = seconds
        self.client: Client = client(model)
        from pydantic_ai.usage import RunUsage

        self.used = RunUsage()
        self.faults: list[str] = []

    @property
    def tokens(self) -> Tokens:
        """What it has taken so far, as the provider says."""
        return Tokens(self.used.input_tokens, self.used.output_tokens)

    def options(self) -> Any:
        """Return what every request is sent with."""
        return {"max_tokens": self.model.output_tokens}

    def judge(self, text: str, facts: Mapping[str, Fact], sheets: Sequence[Sheet]) -> None:
        """Let an answer pass, or tell the model what is wrong with it.

        Raises
        ------
        ModelRetry
            With the faults, for the model.
        Unfit
            If it is so long that nobody should look.
        """
        from pydantic_ai import ModelRetry

        if len(text) > LONGEST:
            raise Unfit(f"its answer is longer than {LONGEST:,} characters")
        self.faults = check.check(text, facts, sheets)
        if self.faults:
            raise ModelRetry(f"refused: {'; '.join(self.faults[:20])}")


def word(
    sheets: Sequence[Sheet], settings: Settings, spent: Spent, headlines: Sequence[str] = (), kind: str = "hourly"
) -> Draft | Refused:
    """Let the model word a brief; its answer has passed `check`, or is refused with the reason.

    Parameters
    ----------
    sheets
    settings
    spent
        The ledger, which is asked first and told afterwards.
    headlines
        Titles of news; passed on as quotations.
    kind
        Kind of the brief.
    """
    facts = {fact.id: fact for sheet in sheets for fact in sheet.facts}
    model = settings.briefs.model
    message = prompt.brief(kind, sheets, headlines)

    async def ask(talk: Talk) -> Draft:
        from pydantic_ai import Agent, UsageLimits

        agent = Agent(talk.client, output_type=Draft, instructions=prompt.BRIEF, retries=ANSWERS - 1)

        @agent.output_validator
        def _judged(draft: Draft) -> Draft:
            talk.judge(draft.text, facts, sheets)
            return draft

        limits = UsageLimits(request_limit=ANSWERS)
        options = talk.options()
        run = await agent.run(message, usage=talk.used, usage_limits=limits, model_settings=options, timeout=talk.seconds)
        return run.output

    worst = worst_case(len((prompt.BRIEF + message).encode()), ANSWERS, model.output_tokens)
    return call(ask, model, spent, "brief", worst, model.timeout_s, every_s=model.every_s)


def call(
    ask: Callable[[Talk], Awaitable[Answer]],
    model: Model,
    spent: Spent,
    kind: str,
    worst: Tokens,
    seconds: float,
    *,
    every_s: int = 0,
) -> Answer | Refused:
    """Ask the model within its limits; whatever goes wrong comes back as a reason, is logged, and stands in the ledger.

    Parameters
    ----------
    ask
        Talks to the model until there is an answer.
    model
        Which, and its limits.
    spent
        The ledger.
    kind
        What for.
    worst
        What it may take.
    seconds
        The time for all of it.
    every_s
        Least time since the last call of this kind.
    """
    try:
        talk = Talk(model, seconds)
        answer = _answer(ask, talk, spent, _booked(spent.book(kind, worst, every_s=every_s)))
    except Unfit as error:
        log.warning("the model wrote nothing that is used", kind=kind, model=model.name, why=str(error))
        return Refused(str(error))
    log.info("the model wrote", kind=kind, model=model.name, **talk.tokens._asdict())
    return answer


def _booked(outcome: int | str) -> int:
    if isinstance(outcome, str):
        raise Unfit(outcome)
    return outcome


def _answer(ask: Callable[[Talk], Awaitable[Answer]], talk: Talk, spent: Spent, booked: int) -> Answer:
    try:
        answer = _in_time(lambda: ask(talk), talk.seconds)
    except Exception as error:  # noqa: BLE001 - whatever a foreign host and its client come up with, the template writes
        why, is_counted = reason(error, talk)
        spent.settle(booked, talk.tokens if is_counted else None, why)
        raise Unfit(why) from None
    spent.settle(booked, talk.tokens if sum(talk.tokens) else None)
    return answer


def _in_time(work: Callable[[], Awaitable[Answer]], timeout_s: float) -> Answer:
    """Run it in a thread of its own, that may be left behind: neither a running loop nor a host that never ends stops us."""
    done: list[Answer] = []
    failed: list[Exception] = []

    async def whole() -> Answer:
        return await work()

    def run() -> None:
        try:
            done.append(asyncio.run(whole()))
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, name="language-model", daemon=True)  # so are the threads that it starts
    thread.start()
    thread.join(timeout_s + GRACE_S)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def reason(error: BaseException, talk: Talk) -> tuple[str, bool]:
    """Return what went wrong in our own words, and whether what it cost is known.

    The text of the error is not passed on: it may quote a key, an account or the whole answer.
    """
    from pydantic_ai import exceptions as ai

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Unfit):
            return str(cause), False
        cause = cause.__cause__
    match error:
        case TimeoutError() | ai.RunTimedOut() | ai.ModelTimeoutError():
            return f"no answer within {talk.seconds:g} s", False
        case ai.ModelHTTPError():
            return f"the model's host answered {error.status_code}", True
        case ai.ModelConnectionError():
            return "the model's host cannot be reached, or broke off", error.phase in {"pool", "connect"}
        case ai.UnexpectedModelBehavior() | ai.UsageLimitExceeded() if talk.faults:
            return f"refused: {'; '.join(plain(fault) for fault in talk.faults[:3])}", True
        case ai.UsageLimitExceeded():
            return "it went over the limits of one answer", True
        case ai.OutputTokenLimitExceeded():
            return f"its answer was longer than {talk.model.output_tokens} tokens", True
        case ai.UnexpectedModelBehavior() | ai.ModelAPIError() | UnicodeDecodeError():
            return "its answer is not in the form that was asked for", bool(talk.used.requests)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"it failed ({type(error).__name__} in {PurePath(last.filename).name}, line {last.lineno})", False
