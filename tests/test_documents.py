"""Documents: links lead somewhere, commands exist with the options that are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import tapeflow.cli  # noqa: F401 - gathers the commands
from tapeflow.commands import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("benchmarks/*.md"))]
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    (tapeflow .*)$", re.MULTILINE)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "").lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_and_pictures_are_there(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_each_decision_is_in_the_index_and_each_picture_is_shown() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    assert [p.name for p in (ROOT / "docs/decisions").glob("0*.md") if f"]({p.name})" not in index] == []
    shown = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert [p.name for p in (ROOT / "docs/img").iterdir() if f"img/{p.name})" not in shown] == []


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words after `tapeflow` of each command line in the blocks of a document, without what pipes and comments say."""
    text = path.read_text(encoding="utf-8")
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()] + INDENTED.findall(text)
    for line in lines:
        words = shlex.split(line, comments=True) if re.match(r"(\w+=\S+ )*(\.venv/bin/)?tapeflow [a-z]", line) else []
        while words and not words[0].endswith("tapeflow"):
            words.pop(0)
        if words:
            yield words[1:]


def test_commands_in_documents_exist_with_their_options() -> None:
    seen = 0
    for path in DOCUMENTS:
        for words in commands(path):
            command: Any = get_command(app)
            while words and hasattr(command, "commands") and words[0] in command.commands:
                command = command.commands[words.pop(0)]
            assert command.name != "tapeflow", (named(path), words)
            known = {option for param in command.params for option in param.opts}
            assert {word for word in words if word.startswith("-")} <= known, (named(path), command.name, words)
            seen += 1
    assert seen > 30
