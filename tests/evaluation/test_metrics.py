import numpy as np
import pytest
import trimesh
from skimage.metrics import structural_similarity

from realfusion.evaluation.metrics import (
    chamfer_distance,
    f_score,
    mask_iou,
    masked_ssim,
    psnr,
    sample_surface,
    solidity,
    ssim,
)


def _pair(shape, seed=0):
    generator = np.random.default_rng(seed)
    first = generator.random(shape)
    return first, np.clip(first + generator.normal(0, 0.1, shape), 0, 1)


def test_psnr_of_a_known_error():
    image = np.full((8, 8, 3), 0.5)
    assert psnr(image, image + 0.1) == pytest.approx(20)
    assert psnr(image, image) == float("inf")


def test_masked_ssim_sees_only_the_mask():
    first, second = _pair((40, 60, 3))
    everywhere = np.ones((40, 60), bool)
    assert masked_ssim(first, second, everywhere) == pytest.approx(ssim(first, second))
    half = first.copy()
    half[:, 30:] = second[:, 30:]
    left = everywhere.copy()
    left[:, 24:] = False  # the windows reach five pixels further
    assert masked_ssim(half, first, left) == pytest.approx(1)
    assert masked_ssim(half, first, ~left) < 0.99
    assert masked_ssim(first, second, ~everywhere) == 0


@pytest.mark.parametrize("shape", [(32, 40), (32, 40, 3)])
def test_ssim_agrees_with_scikit_image(shape):
    first, second = _pair(shape)
    expected = structural_similarity(
        first,
        second,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=-1 if len(shape) == 3 else None,
    )
    assert ssim(first, second) == pytest.approx(expected, abs=1e-9)
    assert ssim(first, first) == pytest.approx(1)


def test_mask_iou_counts_floats_from_one_half():
    mask = np.array([[0.9, 0.4], [0.6, 0.0]])
    reference = np.array([[True, True], [False, False]])
    assert mask_iou(mask, reference) == pytest.approx(1 / 3)
    assert mask_iou(np.zeros((2, 2)), np.zeros((2, 2))) == 1


def test_chamfer_is_the_mean_of_both_directed_means():
    points = np.array([[0.0, 0, 0]])
    reference = np.array([[1.0, 0, 0], [3.0, 0, 0]])
    # forward: 1; backward: (1 + 3) / 2
    assert chamfer_distance(points, reference) == pytest.approx(1.5)
    assert chamfer_distance(reference, points) == pytest.approx(1.5)


def test_f_score_is_the_harmonic_mean():
    points = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    reference = np.array([[0.01, 0, 0], [0, 0.02, 0], [5, 5, 5.0], [6, 6, 6.0]])
    result = f_score(points, reference)
    assert (result.precision, result.recall) == (0.5, 0.5)
    assert result.f_score == pytest.approx(0.5)
    assert f_score(points, reference + 100).f_score == 0
    assert f_score(points, points).f_score == 1


def test_samples_are_uniform_on_the_surface_and_repeatable():
    mesh = trimesh.creation.box((2.0, 1.0, 1.0))
    points = sample_surface(mesh, 20000, seed=3)
    np.testing.assert_array_equal(points, sample_surface(mesh, 20000, seed=3))
    assert not np.array_equal(points, sample_surface(mesh, 20000, seed=4))
    half = np.array([1.0, 0.5, 0.5])
    assert np.abs(np.abs(points) / half).max(axis=1) == pytest.approx(1)
    ends = np.isclose(np.abs(points[:, 0]), 1)
    assert ends.mean() == pytest.approx(2 / 10, abs=0.01)


def test_solidity_of_convex_and_hollow_shapes():
    assert solidity(trimesh.creation.icosphere(2)) == pytest.approx(1)
    ring = trimesh.creation.annulus(r_min=0.9, r_max=1.0, height=0.5)
    assert solidity(ring) == pytest.approx(0.19, abs=0.01)
    flat = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])
    assert solidity(flat) == 0


def test_bad_arguments_are_refused():
    image = np.zeros((8, 8))
    with pytest.raises(ValueError, match="shape"):
        psnr(image, np.zeros((8, 9)))
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(image, image)
    with pytest.raises(ValueError, match="`points` must be"):
        chamfer_distance(np.zeros((0, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="`reference` must be finite"):
        chamfer_distance(np.zeros((1, 3)), np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match="threshold"):
        f_score(np.zeros((1, 3)), np.zeros((1, 3)), threshold=0.0)
    with pytest.raises(ValueError, match="must have area"):
        sample_surface(trimesh.Trimesh(), 10)
