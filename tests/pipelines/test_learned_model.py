"""The model as a setting: built in, off, a file; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.detector_settings import Detectors, Learned
from pipelines.feature_tables import VERSION
from pipelines.learned_model import Model, built_in
from pipelines.market import TABLES
from pipelines.settings import Kernels, SettingsError, load
from tapeflow.template import template
from tests.pipelines.learned_samples import MODEL

pytestmark = pytest.mark.usefixtures("place")


def said(model: str) -> Model | None:
    Path("tapeflow.yaml").write_text(f"kernels: {{detectors: {{learned: {{model: {model}}}}}}}\n")
    return load().kernels.detectors.learned.model


def test_a_model_is_built_in_or_off_or_of_a_file() -> None:
    Path("mine.json").write_text(MODEL.model_dump_json())
    assert said("mine.json") == MODEL
    assert said("off") is said("'off'") is None
    assert said("built-in") == said("on") == built_in() == Detectors().learned.model


def test_the_journal_holds_the_model_itself_to_the_last_digit() -> None:
    kernels = Kernels()
    assert b'"weight"' in kernels.canonical()
    assert Kernels.model_validate_json(kernels.canonical()) == kernels


def test_the_template_names_the_model_by_its_word() -> None:
    assert "#       model: built-in\n" in template()


def test_the_built_in_model_reads_columns_that_are_there() -> None:
    model = built_in()
    assert {term.column for term in model.terms} <= {c.name for c in TABLES["features"].columns}
    model.check()


def test_the_version_follows_from_all_a_model_says() -> None:
    assert MODEL.version == MODEL.model_copy().version < 1 << 53
    assert MODEL.model_copy(update={"level": 0.61}).version != MODEL.version


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "No such file or directory; name a file that `tapeflow learn` wrote, or built-in, or off"),
        ("{", "is it a file of `tapeflow learn`?"),
        ("{}", "features: Field required; is it a file of `tapeflow learn`?"),
    ],
)
def test_a_file_that_is_no_model_is_told_with_its_place(text: str | None, fault: str) -> None:
    if text is not None:
        Path("mine.json").write_text(text)
    with pytest.raises(SettingsError) as refused:
        said("mine.json")
    assert refused.value.faults[0].startswith("tapeflow.yaml: kernels.detectors.learned.model: mine.json: ")
    assert refused.value.faults[0].endswith(fault)


def test_a_model_of_other_features_is_refused_with_a_remedy() -> None:
    Path("mine.json").write_text(json.dumps(json.loads(MODEL.model_dump_json()) | {"features": VERSION + 1}))
    with pytest.raises(SettingsError, match=r"learn it again with `tapeflow learn`, or set kernels\.detectors\.learned\.model"):
        said("mine.json")


@pytest.mark.parametrize("odd", [{"level": 1.0}, {"terms": []}, {"intercept": float("nan")}, {"terms": [{"column": "x"}]}])
def test_a_model_of_odd_numbers_is_refused(odd: dict[str, object]) -> None:
    Path("mine.json").write_text(json.dumps(json.loads(MODEL.model_dump_json()) | odd))
    with pytest.raises(SettingsError):
        said("mine.json")


def test_a_model_of_other_features_may_be_in_an_old_journal() -> None:
    old = MODEL.model_copy(update={"features": VERSION + 1})
    assert Kernels.model_validate_json(Kernels(detectors=Detectors(learned=Learned(model=old))).canonical())
