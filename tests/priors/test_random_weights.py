from __future__ import annotations

import torch

from realfusion.priors.random_weights import (
    STABLE_DIFFUSION_1_5,
    TINY,
    random_components,
)


def test_default_shape_is_stable_diffusion_1_5() -> None:
    """The published parameter counts, on the meta device: nothing is allocated."""
    with torch.device("meta"):
        components = random_components(STABLE_DIFFUSION_1_5)
    counts = {
        name: sum(p.numel() for p in getattr(components, name).parameters())
        for name in ("unet", "vae")
    }
    assert counts == {"unet": 859_520_964, "vae": 83_653_863}


def test_seed_fixes_the_weights_and_spares_the_global_generator() -> None:
    state = torch.get_rng_state()
    first, second, other = (
        random_components(TINY, seed=seed).unet.conv_in.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
