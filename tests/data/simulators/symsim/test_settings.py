"""Settings out of range are refused when they are made."""

from __future__ import annotations

import pytest

from exvae.data.simulators.symsim.settings import ExpressionSettings, ObservationSettings


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"protocol": "nonUMI"}, "protocol must be one of"),
        ({"capture_mean": 0.0}, "capture_mean"),
        ({"capture_mean": 1.1}, "capture_mean"),
        ({"depth_mean": 200}, "depth_mean"),
        ({"capture_sd": -0.1}, "capture_sd must not be negative"),
        ({"batch_effect_size": -1}, "batch_effect_size must not be negative"),
        ({"amplification_efficiency": 0.9}, "amplification_efficiency must stay"),
        ({"amplification_efficiency": 0.1}, "amplification_efficiency must stay"),
        ({"length_bias_slope": 0.03}, "between 0 and 0.02105"),
        ({"num_length_bins": 0}, "num_length_bins must be at least 1"),
        ({"num_amplification_cycles": 0}, "num_amplification_cycles must be at least 1"),
        ({"num_batches": 0}, "num_batches must be at least 1"),
        ({"num_library_cycles": -1}, "num_library_cycles"),
        ({"linear_amplification": 0}, "linear_amplification"),
    ],
)
def test_observation_out_of_range_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ObservationSettings(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tree": "(A:1,B);"}, "no length for the branch above B"),
        ({"smallest_population": 5}, "smallest_population must be between 0 and 4"),
        ({"smallest_population_share": 0.21}, "at most 1/5"),
        ({"num_differential_evfs": 11}, "num_differential_evfs"),
        ({"num_evfs": 0, "num_differential_evfs": 0}, "num_evfs must be at least 1"),
        ({"differential_parameters": ("s", "koff", "d")}, "some of"),
        ({"evf_sd": -0.1}, "evf_sd must not be negative"),
        ({"bimodality": -1}, "bimodality must not be negative"),
        ({"effect_probability": 1.1}, "effect_probability must be between 0 and 1"),
        ({"high_expression_share": -0.1}, "high_expression_share must be between 0 and 1"),
        ({"transcription_scale": 0}, "transcription_scale"),
    ],
)
def test_expression_out_of_range_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExpressionSettings(**changed)
