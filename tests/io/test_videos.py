import subprocess
import sys

import numpy as np
import pytest

from realfusion.errors import InputError
from realfusion.io.videos import (
    colorize_depth,
    colorize_normals,
    contact_sheet,
    turntable_frame,
    write_video,
)


def _frames(count=5, height=31, width=45):
    frames = np.zeros((count, height, width, 3), np.uint8)
    for index in range(count):
        frames[index] = 40 * index
    return frames


def _read(path, height, width):
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def test_video_of_odd_size_reads_back(tmp_path):
    write_video(tmp_path / "out" / "turntable.mp4", _frames(), fps=10)
    frames = _read(tmp_path / "out" / "turntable.mp4", 32, 46)
    assert len(frames) == 5
    for index, frame in enumerate(frames):
        assert abs(frame.mean() - 40 * index) < 6


def test_missing_ffmpeg_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        write_video(tmp_path / "a.mp4", _frames())


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3))]
)
def test_bad_frames_are_refused(tmp_path, frames):
    with pytest.raises(ValueError, match="`frames` must be"):
        write_video(tmp_path / "a.mp4", frames)


def test_normals_map_to_colours_on_white():
    normals = np.zeros((1, 2, 3))
    normals[0, 0] = [1, 0, -1]
    colors = colorize_normals(normals, np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(colors[0], [[1, 0.5, 0], [1, 1, 1]])


def test_depth_darkens_with_distance():
    depth = np.linspace(1, 2, 50)[None]
    colors = colorize_depth(depth, np.ones_like(depth))
    lightness = colors.mean(axis=-1)[0]
    assert (np.diff(lightness[1:-1]) < 0).all()
    empty = colorize_depth(depth, np.zeros_like(depth))
    np.testing.assert_allclose(empty, 1)


def test_depth_range_fixes_the_colours():
    opacity = np.ones((1, 1))
    first = colorize_depth(np.array([[1.5]]), opacity, depth_range=(1.0, 2.0))
    depth = np.array([[1.5, 1.9]])
    second = colorize_depth(depth, np.ones((1, 2)), depth_range=(1.0, 2.0))
    np.testing.assert_allclose(first[0, 0], second[0, 0])


def test_frame_has_three_panels():
    rgba = np.full((8, 6, 4), 0.25)
    rgba[..., 3] = 1
    rgba[:4, :, 3] = 0
    frame = turntable_frame(rgba, np.zeros((8, 6, 3)), np.ones((8, 6)))
    assert frame.shape == (8, 18, 3)
    assert frame.dtype == np.uint8
    assert (frame[:4] == 255).all()
    assert (frame[4:, :6] == 64).all()
    assert (frame[4:, 6:12] == 128).all()


def test_contact_sheet_places_frames_and_labels():
    frames = list(_frames(5, 60, 80))
    plain = contact_sheet(frames, 3, gap=2)
    assert plain.shape == (2 * 62 + 2, 3 * 82 + 2, 3)
    assert (plain[2:62, 2 + 82 : 2 + 82 + 80] == 40).all()
    labelled = contact_sheet(frames, 3, labels=[f"{a}°" for a in range(5)], gap=2)
    assert labelled.shape[0] > plain.shape[0]
    caption = labelled[62:72, 2:82]
    assert caption.min() < 150


def test_contact_sheet_refuses_mismatched_labels():
    with pytest.raises(ValueError, match="as many as frames"):
        contact_sheet(list(_frames(2)), 2, labels=["one"])
    with pytest.raises(ValueError, match="must not be empty"):
        contact_sheet([], 2)
