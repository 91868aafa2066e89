"""The numbers of a record through the quantiles of its source."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecgsynth.generators.latent_prior import (
    KNOTS,
    N_EXTRAS,
    LatentFlow,
    in_millivolts,
    number_quantiles,
    over_gain,
)

SOURCES, LATENT = 2, 4


def people(n: int = 4000) -> torch.Tensor:
    """Record numbers with an edge: no noise over 70 Hz lies below that of the converter."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(0, 0.5, (n, N_EXTRAS))
    numbers[:, -1] = np.maximum(numbers[:, -1], -0.2)
    return over_gain(torch.from_numpy(numbers).float())


def test_numbers_in_millivolts_and_back() -> None:
    rows = people(50)
    assert torch.allclose(over_gain(in_millivolts(rows)), rows, atol=1e-5)
    louder = rows.clone()
    louder[:, 0] += 1.0
    apart = in_millivolts(louder) - in_millivolts(rows)
    assert apart[:, [0, 3, 4, 5, 6, 7]].allclose(torch.ones(50, 6), atol=1e-5)
    assert apart[:, [1, 2]].abs().max() < 1e-6


def flow(rows: torch.Tensor) -> LatentFlow:
    torch.manual_seed(0)
    net = LatentFlow(LATENT, 1, SOURCES, 16)
    net.set_quantiles(1, rows, torch.ones(len(rows)))
    return net


def test_standardised_numbers_are_normal_and_come_back() -> None:
    rows = people()
    net = flow(rows)
    all_of = torch.cat([torch.randn(len(rows), LATENT), rows], 1)
    source = torch.ones(len(rows), dtype=torch.long)
    normal = net.standardised(all_of, source)[:, LATENT:]
    free = normal[:, :-1]
    assert free.mean(0).abs().max() < 0.1 and (free.std(0) - 1).abs().max() < 0.1

    class Still(LatentFlow):
        """Moves nothing, so that sampling shows the quantiles alone."""

        def forward(self, x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(x)

    still = Still(LATENT, 1, SOURCES, 16)
    still.load_state_dict(net.state_dict())
    inner = (normal.abs() < 3.5).all(1)
    zero = torch.zeros(int(inner.sum()), dtype=torch.long)
    there = torch.cat([torch.zeros(len(zero), LATENT), normal[inner]], 1)
    back = still.sample(there, (zero, zero, zero + 1), torch.zeros(len(zero), 6))
    assert torch.allclose(in_millivolts(back[:, LATENT:]), in_millivolts(rows[inner]), atol=2e-3)
    # Whatever is drawn, nothing falls more than rounding below the edge that all people keep.
    where = (torch.zeros(5000).long(), torch.zeros(5000).long(), torch.ones(5000).long())
    drawn = still.sample(
        torch.randn(5000, LATENT + N_EXTRAS),
        where,
        torch.zeros(5000, 6),
    )
    lowest = in_millivolts(drawn[:, LATENT:])[:, -1].min()
    assert lowest > -0.2 - 0.1


def test_everybody_counts_the_same() -> None:
    values = torch.cat([torch.zeros(900, 1), torch.ones(100, 1)])
    even = number_quantiles(values, torch.ones(1000))
    by_person = number_quantiles(
        values, torch.cat([torch.full((900,), 1 / 900), torch.full((100,), 1 / 100)])
    )
    middle = len(KNOTS) // 2
    assert even[0, middle + 2] < 0.2 and by_person[0, middle + 2] == pytest.approx(1.0, abs=0.2)


def test_quantiles_rise_even_where_everybody_is_the_same() -> None:
    table = number_quantiles(torch.full((100, 2), 3.0), torch.ones(100))
    assert (table.diff(dim=1) > 0.005).all() and (table - 3.0).abs().max() < 0.2


def test_warmth_spreads_latents_and_numbers_apart() -> None:
    net = LatentFlow(LATENT, 1, SOURCES, 16).eval()
    torch.nn.init.zeros_(net.out.weight)
    torch.nn.init.zeros_(net.out.bias)
    net.warmth[1] = torch.tensor([1.5, 1.2])
    rows = 2000
    noise = torch.randn(rows, LATENT + N_EXTRAS, generator=torch.Generator().manual_seed(0))
    place = tuple(torch.full((rows,), k) for k in (0, 0, 1))
    made = net.sample(noise, place, torch.zeros(rows, 6))
    normal = net.standardised(made, place[2])
    assert torch.allclose(normal[:, :LATENT].std(0), torch.full((LATENT,), 1.5), rtol=0.06)
    assert torch.allclose(normal[:, LATENT:].std(0), torch.full((N_EXTRAS,), 1.2), rtol=0.06)
    assert torch.allclose(normal[:, :LATENT], 1.5 * noise[:, :LATENT], atol=1e-4)
