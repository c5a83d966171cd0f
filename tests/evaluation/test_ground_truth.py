import json

import numpy as np
import pytest
import trimesh

from realfusion.errors import InputError
from realfusion.evaluation.ground_truth import (
    EvaluationResult,
    evaluate,
    evaluate_surface,
    evaluate_views,
    format_table,
    load_ground_truth,
)
from realfusion.evaluation.perceptual import PerceptualMetrics
from realfusion.io.images import write_png

CAMERA = {"azimuth_deg": 30.0, "elevation_deg": 15.0, "radius": 1.8, "fov_y_deg": 40.0}


def _views(count=3, size=32, seed=0):
    generator = np.random.default_rng(seed)
    views = np.ones((count, size, size, 4), np.float32)
    views[..., 3] = 0
    inside = slice(size // 4, -size // 4)
    views[:, inside, inside, :3] = generator.random((count, size // 2, size // 2, 3))
    views[:, inside, inside, 3] = 1
    return views


@pytest.fixture
def folder(tmp_path):
    cameras = [{**CAMERA, "azimuth_deg": 30.0 * index} for index in range(3)]
    text = json.dumps({"input": CAMERA, "views": cameras})
    (tmp_path / "cameras.json").write_text(text)
    for index, view in enumerate(_views()):
        write_png(tmp_path / f"view_{index:02d}.png", view)
    points = trimesh.creation.icosphere(4, radius=0.4).vertices.astype(np.float16)
    np.savez(tmp_path / "surface.npz", points=points)
    return tmp_path


def test_folder_is_read(folder):
    truth = load_ground_truth(folder)
    assert truth.input_camera.azimuth_deg == 30
    assert [camera.azimuth_deg for camera in truth.cameras] == [0, 30, 60]
    np.testing.assert_allclose(truth.views, _views(), atol=1 / 255)
    assert truth.surface_points.dtype == np.float32
    assert truth.surface_points.shape[1] == 3


def test_surface_is_optional(folder):
    (folder / "surface.npz").unlink()
    assert load_ground_truth(folder).surface_points is None


def test_a_whole_surface_gives_a_mesh_where_it_is_closed(folder):
    assert load_ground_truth(folder).watertight_mesh() is None
    ball = trimesh.creation.icosphere(2, radius=0.4)
    arrays = {"points": ball.vertices, "vertices": ball.vertices}
    np.savez(folder / "surface.npz", **arrays, faces=ball.faces)
    mesh = load_ground_truth(folder).watertight_mesh()
    assert mesh.volume == pytest.approx(ball.volume, rel=1e-4)
    np.savez(folder / "surface.npz", **arrays, faces=ball.faces[3:])
    assert load_ground_truth(folder).watertight_mesh() is None


def test_everything_known_is_evaluated(folder):
    cameras = [{**CAMERA, "azimuth_deg": 30.0 + 180 * index} for index in range(3)]
    text = json.dumps({"input": CAMERA, "views": cameras})
    (folder / "cameras.json").write_text(text)
    ball = trimesh.creation.icosphere(4, radius=0.4)
    views = _views()
    without = evaluate(load_ground_truth(folder), views, views[0], ball)
    assert "janus_score" not in without.summary()
    write_png(folder / "input.png", views[0])
    truth = load_ground_truth(folder)
    same = evaluate(truth, views, views[0], ball).summary()
    assert same["janus_score"] == pytest.approx(0, abs=0.02)
    assert same["depth_to_width_error"] == pytest.approx(0, abs=1e-3)
    assert same["watertight_body_fraction"] == 1
    assert "volume_iou" not in same
    # The front on all sides.
    copied = evaluate(truth, views[[0, 0, 0]], views[0], None).summary()
    assert copied["janus_score"] > 0.3
    assert "chamfer_distance" not in copied


def _break_json(folder):
    (folder / "cameras.json").write_text("{")


def _empty_list(folder):
    text = json.dumps({"input": CAMERA, "views": []})
    (folder / "cameras.json").write_text(text)


def _other_size(folder):
    write_png(folder / "view_01.png", np.ones((40, 40, 4), np.float32))


def _bad_surface(folder):
    np.savez(folder / "surface.npz", points=np.zeros((4, 2)))


def _no_points(folder):
    np.savez(folder / "surface.npz", points=np.zeros((0, 3)))


def _cut_surface(folder):
    np.savez(folder / "surface.npz", points=np.zeros((4, 3)))
    path = folder / "surface.npz"
    path.write_bytes(path.read_bytes()[:100])


def _oblong(folder):
    for path in folder.glob("view_*.png"):
        write_png(path, np.ones((32, 48, 4), np.float32))


def _wrong_faces(folder):
    ball = trimesh.creation.icosphere(1)
    np.savez(
        folder / "surface.npz",
        points=ball.vertices, vertices=ball.vertices, faces=ball.faces + 1,
    )  # fmt: skip


def _no_vertices(folder):
    np.savez(folder / "surface.npz", points=np.ones((4, 3)), faces=[[0, 1, 2]])


def _deep_json(folder):
    (folder / "cameras.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda folder: (folder / "cameras.json").unlink(), r"cameras.json is missing"),
        (lambda folder: (folder / "view_02.png").unlink(), "does not exist"),
        (_break_json, "must be"),
        (_empty_list, "lists no views"),
        (_other_size, "differ in size"),
        (_bad_surface, r"\[N, 3\]"),
        (_no_points, r"\[N, 3\]"),
        (_cut_surface, "no readable `points`"),
        (_wrong_faces, "indices of its `vertices`"),
        (_no_vertices, "surface.npz"),
        (_oblong, "square"),
        (_deep_json, "must be"),
    ],
)
def test_a_spoilt_folder_is_one_clear_line(folder, spoil, match):
    spoil(folder)
    with pytest.raises(InputError, match=match) as caught:
        load_ground_truth(folder)
    assert "\n" not in str(caught.value)


def test_equal_views_are_perfect():
    metrics = evaluate_views(_views(), _views())
    assert metrics.mean_psnr_db == 100
    assert metrics.mean_ssim == pytest.approx(1)
    assert metrics.mean_mask_iou == 1


def test_views_are_compared_on_white():
    """What lies under alpha 0 does not matter."""
    rendered = _views()
    rendered[rendered[..., 3] == 0, :3] = 0
    assert evaluate_views(rendered, _views()).mean_psnr_db == 100
    empty = np.zeros_like(rendered)
    worse = evaluate_views(empty, _views())
    assert worse.mean_mask_iou == 0
    assert worse.mean_psnr_db < 15
    with pytest.raises(ValueError, match="shape"):
        evaluate_views(empty[:1], _views())


def test_surface_metrics_of_a_grown_ball():
    truth = trimesh.creation.icosphere(5, radius=0.4).vertices
    exact = evaluate_surface(trimesh.creation.icosphere(4, radius=0.4), truth)
    assert exact.chamfer_distance < 0.01
    assert exact.f_score > 0.999
    grown = evaluate_surface(trimesh.creation.icosphere(4, radius=0.48), truth)
    assert grown.chamfer_distance == pytest.approx(0.08, abs=0.005)
    assert grown.f_score == 0


def test_result_goes_to_json_and_table():
    truth = trimesh.creation.icosphere(3, radius=0.4)
    result = EvaluationResult(
        evaluate_views(_views(), _views()), evaluate_surface(truth, truth.vertices)
    )
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert stored["novel_view_psnr_db"] == 100
    assert len(stored["views"]["ssim"]) == 3
    assert 0 < stored["f_score_at_0.05"] <= 1
    without = EvaluationResult(result.views, None)
    lines = format_table({"mug": result, "basket": without}).splitlines()
    assert [line.split()[0] for line in lines] == ["object", "mug", "basket", "mean"]
    assert "100.00" in lines[1]
    assert "–" in lines[2]
    assert "CLIP" not in lines[0]


def test_what_networks_say_is_in_json_and_table_where_it_was_measured():
    views = evaluate_views(_views(), _views())
    measured = PerceptualMetrics(clip_similarity=(0.5, 0.7), clip_model="a CLIP")
    result = EvaluationResult(views, None, perceptual=measured)
    stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert stored["clip_similarity"] == pytest.approx(0.6)
    assert "lpips" not in stored
    assert stored["perceptual"]["clip_model"] == "a CLIP"
    lines = format_table({"mug": result, "basket": EvaluationResult(views, None)})
    header, mug, basket, _ = (line.split() for line in lines.splitlines())
    assert header[4:] == ["mask", "IoU", "CLIP", "Chamfer", "F-score"]
    assert (mug[4], basket[4]) == ("0.600", "–")
