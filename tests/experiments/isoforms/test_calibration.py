"""Figures of calibration, of posteriors whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exvae.data.posteriors import SampledPosterior
from exvae.experiments.isoforms.calibration import Calibration

CELLS, ISOFORMS, DRAWS = 160, 60, 300


def figures(width: float = 1.0, blocks: int = 1) -> dict:
    """Measure posteriors Gamma(k, 1) of rates drawn from them, made wider or narrower."""
    torch.manual_seed(0)
    shape = torch.linspace(-4, 5, ISOFORMS).exp().expand(CELLS, -1)
    truth = torch.distributions.Gamma(shape, 1.0).sample()
    draws = torch.distributions.Gamma(shape, 1.0).sample((DRAWS,))
    draws = (shape + width * (draws - shape)).clamp(min=0.0)
    calibration = Calibration()
    for rows in torch.arange(CELLS).chunk(blocks):
        posterior = SampledPosterior(draws[:, rows])
        calibration.add(posterior, truth[rows], shape[rows] > 2)
    return calibration.figures()


def test_right_posteriors_have_nominal_coverage() -> None:
    found = figures()
    for part in ("coverage", "coverage_all"):
        for level, covered in found[part].items():
            assert covered == pytest.approx(float(level), abs=0.03)
    for level, tenths in found["coverage_by_tenth"].items():
        assert len(tenths) == 10
        np.testing.assert_allclose(tenths, float(level), atol=0.11)
        assert np.mean(tenths) == pytest.approx(found["coverage_all"][level])


def test_narrow_posteriors_do_not() -> None:
    right, narrow = figures(), figures(width=0.5)
    assert narrow["coverage"]["0.8"] < 0.6
    assert narrow["coverage_all"]["0.8"] < 0.65
    assert narrow["interval_width"] < 0.6 * right["interval_width"]


def test_blocks_change_nothing() -> None:
    whole, parts = figures(), figures(blocks=7)
    for name in ("coverage", "coverage_all"):
        assert whole[name] == parts[name]
    assert whole["rmse_log1p"] == pytest.approx(parts["rmse_log1p"])
    assert whole["interval_width"] == pytest.approx(parts["interval_width"])


def test_errors_are_of_the_mean_of_log1p_and_widths_of_expressed_entries() -> None:
    draws = torch.tensor([0.0, 1.0, 10.0, 100.0]).repeat(3, 1) * torch.tensor([[1.0], [2.0], [3.0]])
    draws = draws.unsqueeze(1).repeat(1, 1, 3)
    truth = torch.tensor([[0.2, 3.0, 20.0, 200.0] * 3])
    expressed = torch.tensor([[False, False, True, False] * 3])
    calibration = Calibration()
    calibration.add(SampledPosterior(draws), truth, expressed)
    found = calibration.figures()
    errors = draws.log1p().mean(0) - truth.log1p()
    assert found["rmse_log1p"] == pytest.approx(float(errors.square().mean().sqrt()), rel=1e-5)
    low, high = np.quantile([10.0, 20.0, 30.0], [0.1, 0.9])
    assert found["interval_width"] == pytest.approx(np.log1p(high) - np.log1p(low), rel=1e-5)
    # The truth is the median of the expressed entries, within every interval.
    assert found["coverage"] == {"0.5": 1.0, "0.8": 1.0, "0.95": 1.0}


def test_without_expressed_entries_nothing_is_covered() -> None:
    calibration = Calibration()
    nothing = torch.zeros(2, 6)
    calibration.add(SampledPosterior(torch.zeros(3, 2, 6)), nothing, nothing > 2)
    found = calibration.figures()
    assert found["coverage"] == {"0.5": 0.0, "0.8": 0.0, "0.95": 0.0}
    assert found["interval_width"] == 0.0


def test_tenths_are_in_the_order_of_their_expression() -> None:
    """The lowest entries have wrong posteriors: three tenths, and two entries of the next."""
    order = np.random.default_rng(0).permutation(100)
    centres = torch.linspace(2.0, 300.0, 100)[order]
    draws = centres * torch.linspace(0.5, 1.5, 201).unsqueeze(1)
    truth = torch.where(torch.as_tensor(order < 32), 1e4, centres)
    calibration = Calibration()
    for part in (slice(0, 37), slice(37, 100)):
        posterior = SampledPosterior(draws[:, None, part])
        calibration.add(posterior, truth[None, part], truth[None, part] > 0)
    found = calibration.figures()
    for level in ("0.5", "0.8", "0.95"):
        assert found["coverage_by_tenth"][level] == [0.0] * 3 + [0.8] + [1.0] * 6
        assert found["coverage_all"][level] == pytest.approx(0.68)
        assert found["coverage"][level] == pytest.approx(0.68)


def test_ranks_of_zeros_are_drawn_evenly_and_alike_each_time() -> None:
    """Where posterior and truth are zero all ranks are as likely, in every evaluation the same."""
    zeros = torch.zeros(1, 100, 100)
    found = []
    for _ in range(2):
        calibration = Calibration()
        calibration.add(SampledPosterior(zeros.expand(5, -1, -1)), zeros[0], zeros[0] > 2)
        found.append(calibration.figures()["coverage_all"])
    assert found[0] == found[1]
    for level, covered in found[0].items():
        assert covered == pytest.approx(float(level), abs=0.02)


def test_intervals_are_left_out_at_both_ends() -> None:
    draws = torch.linspace(10.0, 30.0, 101).view(-1, 1, 1).expand(-1, 5, 4)
    truth = torch.tensor([[5.0, 20.0, 20.0, 35.0]]).expand(5, -1)
    calibration = Calibration()
    calibration.add(SampledPosterior(draws), truth, truth > 0)
    found = calibration.figures()
    assert found["coverage"] == found["coverage_all"] == {"0.5": 0.5, "0.8": 0.5, "0.95": 0.5}
