"""Files of interactions are read a piece at once; with a problem row by row: both have to give the same."""

import pytest

from connectors.files import delimited, jsonl


@pytest.fixture(params=["at once", "row by row"])
def path_of_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "row by row":
        monkeypatch.setattr(jsonl, "_read", lambda *_: None)
        monkeypatch.setattr(delimited, "_read", lambda *_: None)
    return str(request.param)
