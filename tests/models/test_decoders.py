"""Decoders: hidden layers, batches, and the linear one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exvae.models.decoders import LinearDecoder, NetworkDecoder

BATCHES = 2


def test_networks_read_the_batch() -> None:
    network = NetworkDecoder(3, BATCHES, 5, hidden_sizes=(8, 8))
    latent = torch.randn(3).expand(4, 3)
    batches = torch.tensor([0, 1, 0, 1])
    same = network(latent, batches)
    assert torch.equal(same[0], same[1])  # until something is learned
    for table in network.batches:
        torch.nn.init.normal_(table.weight)
    told_apart = network(latent, batches)
    assert torch.equal(told_apart[0], told_apart[2])
    assert not torch.allclose(told_apart[0], told_apart[1])


def test_networks_are_hidden_layers_that_are_normalised_and_rectified() -> None:
    network = NetworkDecoder(3, BATCHES, 5, hidden_sizes=(8, 7))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    batches = torch.tensor([1, 0, 1, 1])
    latent = torch.randn(6, 4, 3)
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    hidden = latent.double().numpy()
    for layer in "01":
        hidden = hidden @ state[f"layers.{layer}.weight"].T + state[f"layers.{layer}.bias"]
        hidden = hidden + state[f"batches.{layer}.weight"][batches.numpy()]
        hidden = hidden - hidden.mean(-1, keepdims=True)
        hidden = hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-5)
        hidden = hidden * state[f"normalise.{layer}.weight"] + state[f"normalise.{layer}.bias"]
        hidden = np.maximum(hidden, 0.0)
    expected = hidden @ state["output.weight"].T + state["output.bias"]
    found = network(latent, batches).detach()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "decoder", [NetworkDecoder(3, BATCHES, 5, hidden_sizes=()), LinearDecoder(3, BATCHES, 5)]
)
def test_without_hidden_layers_batches_are_offsets(decoder: nn.Module) -> None:
    for parameter in decoder.parameters():
        nn.init.normal_(parameter)
    latent, batches = torch.randn(6, 4, 3), torch.tensor([0, 1, 1, 0])
    offsets = decoder.state_dict()["batches.0.weight"][batches]
    expected = latent @ decoder.output.weight.T + decoder.output.bias + offsets
    torch.testing.assert_close(decoder(latent, batches), expected)
