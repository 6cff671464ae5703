"""The README's example runs as it stands, on a file like the one that it assumes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import fastlae

README = Path(__file__).parents[1] / "README.md"


def test_example(tmp_path, monkeypatch, capsys):
    if not README.exists():
        pytest.skip("no README beside the tests")
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    X = fastlae.data.make_interactions(n_users=150, n_items=60, n_interactions=2500, seed=3).tocoo()
    rating = np.random.default_rng(0).choice([3.5, 4.0, 5.0], X.nnz)
    lines = [f"{u * 7 + 1},{i * 3 + 10},{r},964982703" for u, i, r in zip(X.row, X.col, rating, strict=True)]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(README), "exec"), {})
    out = capsys.readouterr().out
    assert "ndcg@20" in out
    assert re.search(r"user \d+ gets \[", out)
    assert fastlae.load(tmp_path / "model.safetensors").n_items_ <= 60
