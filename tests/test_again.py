"""Kept ratios are found in a file of results wherever they are, and held against those of another run."""

from __future__ import annotations

import json
from pathlib import Path

import again
import pytest
from machine import spread


def test_spread_is_of_single_rounds() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 100.0]) == {"median": 3.0, "p10": 1.4, "p90": 61.6, "n": 5}


@pytest.mark.parametrize(("median", "within"), [(1.5, True), (2.7, False), (0.9, False)])
def test_a_median_outside_the_kept_spread_is_not_reproduced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, median: float, within: bool
) -> None:
    kept = {"models": [{"name": "nano", "ratio_to_peer": {"median": 1.6, "p10": 1.0, "p90": 2.0, "n": 9}}]}
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "some.json").write_text(json.dumps(kept))
    kept["models"][0]["ratio_to_peer"] |= {"median": median}
    (tmp_path / "some.json").write_text(json.dumps(kept))
    monkeypatch.setattr(again, "RESULTS", tmp_path / "kept")

    (found,) = again.compare("some", tmp_path)

    assert found["ratio"] == "some: models, nano, ratio_to_peer"
    assert found["within"] is within
