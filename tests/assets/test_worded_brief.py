"""A brief worded by a model, from the lake to the rendered text: every number a fact, the rest the template's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assets.language import word
from pipelines.brief_settings import Briefs, Model
from pipelines.briefs.budget import Spent
from pipelines.briefs.check import verify
from pipelines.briefs.collect import collect
from pipelines.briefs.draft import Draft
from pipelines.briefs.render import render
from pipelines.settings import Settings
from tests.model_server import DRAFT, KEY, Calls, ModelServer
from tests.pipelines.briefs.lakes import AT, DEMO, SETTINGS, known

pytest.importorskip("pydantic_ai", reason="the packages of a language model are not installed")


def repeated(body: dict[str, Any]) -> Calls:
    """Answer as a model does that says what the template says: all that it was given passes."""
    (user,) = [message["content"] for message in body["messages"] if message["role"] == "user"]
    (sheet,) = json.loads(user)["sheets"]
    told = [f"{sheet['symbol']}: {text}" for part in ("levels", "changes", "evidence") for text in sheet.get(part, [])]
    return Calls(DRAFT, {"head": told[:3], "thread": [sheet["symbol"], *told]})


def test_what_the_template_says_a_model_may_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    lake = known(tmp_path / "lake")
    sheets = collect(lake, [DEMO], AT, SETTINGS, "hourly")
    with ModelServer(repeated) as server:
        model = Model(protocol="openai", name="test", url=f"{server.url}/v1", timeout_s=120)
        settings = Settings(venues=SETTINGS.venues, briefs=Briefs(model=model))
        draft = word(sheets, settings, Spent(tmp_path / "model.db", model))
    assert isinstance(draft, Draft), draft
    brief = render("hourly", sheets, at=AT, draft=draft)
    facts = {fact.id: fact for fact in brief.facts}
    assert len(draft.thread) > 8
    assert verify(f"{brief.head}\n{brief.thread}", facts) == []
    assert "VPIN 0.399" in brief.head + brief.thread
    assert len(brief.head.splitlines()) <= 12
