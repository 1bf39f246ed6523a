"""The main jobs find the truth of what they simulate, and draw it."""

from __future__ import annotations

from pathlib import Path

from exvae.experiments import demo


def test_topics(tmp_path: Path) -> None:
    found = demo.demo_lda(tmp_path / "lda", 0)
    assert found["documents"] == 450
    assert found["perplexity_of_the_truth"] < found["perplexity"] < 1.2 * 457
    assert found["perplexity"] < found["perplexity_amortised"]
    assert found["cosine_with_true_topics_least"] > 0.95
    assert all(Path(picture).stat().st_size > 10_000 for picture in found["pictures"])


def test_isoforms(tmp_path: Path) -> None:
    found = demo.demo_isoforms(tmp_path / "isoforms", 0)
    assert (found["cells"], found["isoforms"]) == (120, 80)
    assert found["rmse_log1p"] < 0.7 * found["rmse_log1p_bootstraps"]
    assert 0.75 < found["coverage"]["0.8"] < 0.9
    assert found["adjusted_rand_index"] > 0.95
    assert all(Path(picture).stat().st_size > 10_000 for picture in found["pictures"])
