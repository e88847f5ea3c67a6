"""A lake in an object store: what is staged stays on this machine until it is committed."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from pipelines.market import TRADES
from pipelines.store import LakeError
from pipelines.store.lake import Lake
from pipelines.store.staging import Staging
from tests.pipelines.store.samples import rows


def store(folder: Path) -> str:
    """Return the URL of a lake that is not on a volume of ours, as far as the code can tell."""
    return f"file://{folder}/store/lake"


def begun(folder: Path, state: dict[str, object] | None = None) -> Staging:
    return Staging(Lake(store(folder), folder / "here"), "main.0", {}, copy.deepcopy(state))


def files(folder: Path) -> int:
    return len(list(folder.rglob("*.parquet")))


def stored(folder: Path) -> int:
    return sum(file.rows for file in Lake(store(folder)).live("trades").values())


def test_files_leave_this_machine_when_they_are_committed(tmp_path: Path) -> None:
    flow = begun(tmp_path)
    flow.add("trades", rows(TRADES, 7))
    flow.snapshot("minute")
    assert (files(tmp_path / "here"), files(tmp_path / "store")) == (1, 0)
    flow.publish()
    assert (files(tmp_path / "here"), files(tmp_path / "store"), stored(tmp_path)) == (0, 1, 7)


def test_begun_again_it_commits_what_was_due_and_deletes_what_lies_beyond(tmp_path: Path) -> None:
    flow = begun(tmp_path)
    flow.add("trades", rows(TRADES, 7))
    state = flow.snapshot("minute")
    flow.add("trades", rows(TRADES, 5))
    flow.snapshot("minute")  # staged, but this snapshot was never made durable
    assert files(tmp_path / "here") == 2
    for _ in range(2):
        begun(tmp_path, state)
        assert (files(tmp_path / "here"), files(tmp_path / "store"), stored(tmp_path)) == (0, 1, 7)


def test_a_file_that_was_brought_and_not_committed_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = begun(tmp_path)
    flow.add("trades", rows(TRADES, 7))
    state = flow.snapshot("minute")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("deltalake.DeltaTable.create_write_transaction", killed)
        flow.publish()
    assert (files(tmp_path / "here"), files(tmp_path / "store"), stored(tmp_path)) == (0, 1, 0)
    begun(tmp_path, state)
    assert stored(tmp_path) == 7


def test_a_file_cut_on_its_way_is_brought_again(tmp_path: Path) -> None:
    flow = begun(tmp_path)
    flow.add("trades", rows(TRADES, 7))
    flow.snapshot("minute")
    (file,) = flow.due_files()
    half = tmp_path / "store" / "lake" / "trades" / file.path
    half.parent.mkdir(parents=True)
    half.write_bytes(b"PAR1")
    flow.publish()
    assert Lake(store(tmp_path)).table("trades").collect().height == 7


@pytest.mark.parametrize("url", ["gs://bucket/lake", "az://container/lake", "https://example.com/lake"])
def test_other_stores_are_refused_before_anything_is_asked_of_them(url: str) -> None:
    with pytest.raises(LakeError, match="use a folder, or a URL like s3://bucket/lake"):
        Lake(url)


def test_a_slash_at_the_end_of_a_url_is_no_other_lake(tmp_path: Path) -> None:
    assert Lake("s3://bucket/lake/").root == "s3://bucket/lake"
    assert Lake(f"{store(tmp_path)}/").root == store(tmp_path)
