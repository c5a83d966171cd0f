"""Turntable frames, videos and contact sheets."""

import os
import subprocess
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from realfusion.errors import InputError
from realfusion.io.atomic import atomic_path
from realfusion.io.images import composite_on, to_uint8

# Anchors of the depth colours, near to far: of even lightness steps, so that the map
# reads the same in grey and for the colour-blind.
_DEPTH_ANCHORS = np.array(
    [
        [0.99, 0.92, 0.72],
        [0.97, 0.69, 0.44],
        [0.85, 0.43, 0.40],
        [0.60, 0.27, 0.46],
        [0.33, 0.19, 0.44],
        [0.13, 0.11, 0.28],
    ]
)


def colorize_normals(
    normals: Float[np.ndarray, "height width 3"],
    opacity: Float[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width 3"]:
    """World normals as colours, x y z in [-1, 1] to r g b in [0, 1], on white.

    Args:
        normals: Unit vectors times opacity, as the renderer gives them.
        opacity: In [0, 1].

    Returns:
        The picture.
    """
    alpha = opacity[..., None]
    return np.clip(0.5 * (normals + alpha) + (1 - alpha), 0, 1)


def colorize_depth(
    depth: Float[np.ndarray, "height width"],
    opacity: Float[np.ndarray, "height width"],
    *,
    depth_range: tuple[float, float] | None = None,
) -> Float[np.ndarray, "height width 3"]:
    """Depth as colours, bright near to dark far, on white.

    Args:
        depth: Distance along the ray, in world units.
        opacity: In [0, 1].
        depth_range: Near and far ends of the colours; None takes the 1st and 99th
            percentile of what is visible. Give one for a video, or it flickers.

    Returns:
        The picture.
    """
    visible = opacity > 0.5
    if depth_range is None:
        shown = depth[visible] if visible.any() else np.zeros(1)
        near, far = (float(value) for value in np.percentile(shown, [1, 99]))
    else:
        near, far = depth_range
    position = np.clip((depth - near) / max(far - near, 1e-6), 0, 1)
    knots = np.linspace(0, 1, len(_DEPTH_ANCHORS))
    colors = np.stack(
        [np.interp(position, knots, _DEPTH_ANCHORS[:, c]) for c in range(3)], axis=-1
    )
    mixed = colors * opacity[..., None] + (1 - opacity[..., None])
    return mixed.astype(np.float32)


def turntable_frame(
    rgba: Float[np.ndarray, "height width 4"],
    normals: Float[np.ndarray, "height width 3"],
    depth: Float[np.ndarray, "height width"],
    *,
    depth_range: tuple[float, float] | None = None,
) -> UInt8[np.ndarray, "height three_widths 3"]:
    """One turntable frame: colour | normals | depth, side by side on white.

    Args:
        rgba: The rendered picture, straight alpha.
        normals: World normals times opacity.
        depth: Distance along the ray, in world units.
        depth_range: See `colorize_depth`.

    Returns:
        Bytes, three times as wide.
    """
    opacity = rgba[..., 3]
    panels = [
        composite_on(rgba),
        colorize_normals(normals, opacity),
        colorize_depth(depth, opacity, depth_range=depth_range),
    ]
    return to_uint8(np.concatenate(panels, axis=1))


def write_video(
    path: str | os.PathLike[str],
    frames: Shaped[np.ndarray, "num_frames height width channels"],
    fps: float | int = 24,
) -> None:
    """Writes an H.264 mp4 that browsers play (yuv420p, index at the front).

    Odd sizes are padded by one row or column, as the format asks.

    Args:
        path: The file to write.
        frames: The pictures, bytes, RGB.
        fps: Frames per second.

    Raises:
        InputError: imageio-ffmpeg, or its ffmpeg, is missing.
        ValueError: There are no frames, or their shape or type is wrong.
        OSError: The file cannot be written.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or len(frames) == 0:
        raise ValueError(
            f"`frames` must be [F, H, W, 3] with F > 0, got {list(frames.shape)}"
        )
    if frames.dtype != np.uint8:
        raise ValueError(f"`frames` must be uint8, got {frames.dtype}")
    executable = _find_ffmpeg()
    odd = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    frames = np.ascontiguousarray(np.pad(frames, odd, mode="edge"))
    size = f"{frames.shape[2]}x{frames.shape[1]}"
    with atomic_path(path) as temporary:
        command = [executable, "-loglevel", "error", "-y", "-f", "rawvideo"]
        command += ["-pix_fmt", "rgb24", "-s", size, "-r", f"{fps:g}", "-i", "-", "-an"]
        command += ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p"]
        command += ["-movflags", "+faststart", str(temporary)]
        # imageio_ffmpeg.write_frames would do, but leaves its pipes open.
        result = subprocess.run(
            command, input=frames.data.cast("B"), capture_output=True, check=False
        )
        if result.returncode != 0:
            message = result.stderr.decode(errors="replace").strip()
            raise OSError(f"ffmpeg could not write {path}: {message}")


def _find_ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise InputError(
            "writing a video needs ffmpeg; `pip install imageio-ffmpeg`, or install "
            "ffmpeg and set IMAGEIO_FFMPEG_EXE to it"
        ) from None


def contact_sheet(
    frames: Sequence[UInt8[np.ndarray, "height width 3"]],
    columns: int,
    *,
    labels: Sequence[str] | None = None,
    gap: int = 4,
) -> UInt8[np.ndarray, "sheet_height sheet_width 3"]:
    """Pictures in a grid on white, each with a small label beneath.

    Args:
        frames: Pictures of one size.
        columns: Pictures in a row.
        labels: A word or two for each picture.
        gap: Pixels between pictures.

    Returns:
        The sheet.

    Raises:
        ValueError: There are no pictures, or the labels are not as many.
    """
    if len(frames) == 0 or columns < 1:
        raise ValueError(
            "`frames` must not be empty and `columns` at least 1, got "
            f"{len(frames)} and {columns}"
        )
    if labels is not None and len(labels) != len(frames):
        raise ValueError(
            f"`labels` must be as many as frames ({len(frames)}), got {len(labels)}"
        )
    from PIL import Image, ImageDraw, ImageFont

    height, width = frames[0].shape[:2]
    columns = min(columns, len(frames))
    rows = -(-len(frames) // columns)
    font_size = max(10, min(16, height // 12))
    caption = 0 if labels is None else font_size + 6
    cell = (width + gap, height + caption + gap)
    size = (columns * cell[0] + gap, rows * cell[1] + gap)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    for index, frame in enumerate(frames):
        left = gap + index % columns * cell[0]
        top = gap + index // columns * cell[1]
        sheet.paste(Image.fromarray(np.ascontiguousarray(frame)), (left, top))
        if labels is not None:
            middle = (left + width / 2, top + height + caption / 2)
            draw.text(middle, labels[index], font=font, fill="#5b6168", anchor="mm")
    return np.asarray(sheet)
