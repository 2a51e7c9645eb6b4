"""Fixtures of several files: a small policy; and both ways in which files of interactions are read."""

from pathlib import Path

import pytest

from connectors.files import delimited, jsonl
from tests.batches import POLICY_TEXT


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY_TEXT, "utf-8")
    return path


@pytest.fixture(params=["at once", "row by row"])
def path_of_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A piece at once; with a problem row by row: both have to give the same."""
    if request.param == "row by row":
        monkeypatch.setattr(jsonl, "_read", lambda *_: None)
        monkeypatch.setattr(delimited, "_read", lambda *_: None)
    return str(request.param)
