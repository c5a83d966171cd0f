"""What the named configurations promise."""

from __future__ import annotations

import pytest

from realfusion.training.presets import DEFAULT, FAST, PAPER, SMOKE, for_text


@pytest.mark.parametrize("preset", [PAPER, DEFAULT, FAST, SMOKE])
def test_words_alone_start_from_a_blob_before_changing_backgrounds(preset):
    config = for_text(preset)
    assert config.optimizer.eps == PAPER.optimizer.eps
    assert config.initial_shape.kind == "blob"
    assert config.field.blob_density > 0.0
    assert config.background.prior_views == "random"
    assert config.objective.prior.initial >= 1.0
    assert config.objective.sparsity.initial > 0.0
    assert config.objective.entropy.initial <= 0.01
    assert config.objective.entropy.final is None
    assert config.iterations == preset.iterations


def test_the_paper_is_lit_and_judged_at_every_noise_level():
    """DreamFusion's light and range; its guidance of 100 (Sec. 3.2)."""
    config = for_text(PAPER)
    assert config.shading.albedo_probability < 1.0
    assert config.score_distillation.guidance_scale == 100.0
    assert config.score_distillation.timestep_range == (0.02, 0.98)
