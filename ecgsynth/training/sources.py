"""Networks that know one more source: the device and the people of a user's folder."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgsynth.batches import source_wander
from ecgsynth.generators.strip_net import StripNet


def with_sources(net: StripNet, names: list[str]) -> StripNet:
    """`net` with sources added that it does not know; each starts as the mean of those it knows."""
    fresh = [name for name in names if name not in net.config.sources]
    if not fresh:
        return net
    config = dataclasses.replace(net.config, sources=(*net.config.sources, *fresh))
    grown = StripNet(config)
    state = net.state_dict()
    for key, tensor in grown.state_dict().items():
        if tensor.shape != state[key].shape:
            mean = state[key].mean(0, keepdim=True)
            state[key] = torch.cat([state[key], mean.expand(len(fresh), *mean.shape[1:])])
    grown.load_state_dict(state)
    return grown.eval()


def measured_wander(net: StripNet, arrays: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Wander spectra: measured for sources in `arrays`, kept for the others."""
    power = net.wander_power.numpy().astype(np.float64)
    measured = source_wander(arrays, net.config)
    present = np.isin(net.config.sources, arrays["source"])
    return np.where(present[:, None], measured, power)
