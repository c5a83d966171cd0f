"""Input images in every form people have them, and atomic image writers."""

import os
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from realfusion.errors import InputError
from realfusion.io.atomic import atomic_path

if TYPE_CHECKING:
    from PIL import Image

MIN_SIDE_PX = 16
MAX_SIDE_PX = 16384
MAX_PIXELS = 89_000_000  # below Pillow's own decompression-bomb warning
WORKING_SIDE_PX = 2048  # larger pictures are reduced on reading; far above our needs

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
_ACCEPTED = "PNG, JPEG, WebP, AVIF, HEIC, TIFF, BMP, GIF or PPM"
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


@dataclass(frozen=True)
class InputImage:
    """A picture as floats in [0, 1], alpha kept apart and straight."""

    rgb: Float[np.ndarray, "height width 3"]
    alpha: Float[np.ndarray, "height width"] | None
    source: str


def read_image(path: str | os.PathLike[str]) -> InputImage:
    """Reads a picture: any common format, upright, in sRGB, 16 bits scaled right.

    EXIF orientation and ICC profiles are applied, palettes and CMYK converted,
    pictures with more than 2048 pixels a side reduced by a whole factor.

    Args:
        path: The image file.

    Returns:
        The picture. `alpha` is None where the file has no transparency.

    Raises:
        InputError: The path is missing, a folder or unreadable; the file is not an
            image, is damaged, or is too small or too large. The message is one line.
    """
    path = Path(path)
    try:
        _check_path(path)
        return _read(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path} cannot be read ({reason}); give the path of an image file"
        ) from error


def _read(path: Path) -> InputImage:
    with warnings.catch_warnings():
        from PIL import Image

        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with _open(path) as image:
                _check_size(path, *image.size)
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                    warnings.warn(
                        f"{path.name} has {image.n_frames} frames; the first is used",
                        UserWarning,
                        stacklevel=3,
                    )
                return _decode(path, image)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise InputError(
                f"{path} is too large: at most {MAX_SIDE_PX} pixels a side and "
                f"{MAX_PIXELS // 10**6} megapixels; scale it down (1024 is plenty)"
            ) from error


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one image file")
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of an image file")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; give an image file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read; check its permissions")


def _open(path: Path) -> "Image.Image":
    from PIL import Image, UnidentifiedImageError

    formats = [name for name in _FORMATS if _is_available(name)]
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        formats.append("HEIF")
    except ImportError:
        if _looks_like_heic(path):
            raise InputError(
                f"{path} is a HEIC picture; `pip install pillow-heif` to read it, "
                "or convert it to JPEG or PNG"
            ) from None
    try:
        return Image.open(path, formats=formats)
    except UnidentifiedImageError as error:
        what = "is empty" if path.stat().st_size == 0 else "is not an image"
        raise InputError(f"{path} {what}; give a {_ACCEPTED} file") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise _damaged(path, error) from error


def _is_available(image_format: str) -> bool:
    from PIL import features

    optional = {"AVIF": "avif", "WEBP": "webp", "JPEG": "jpg"}
    return image_format not in optional or bool(features.check(optional[image_format]))


def _looks_like_heic(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS


def _damaged(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or ["unreadable"])[0]
    return InputError(
        f"{path} is damaged or truncated ({reason}); export or download it again"
    )


def _check_size(path: Path, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{path} is too small: {width} x {height} pixels; give at least "
            f"{MIN_SIDE_PX} a side (256 or more for a good result)"
        )
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise InputError(
            f"{path} is too large: {width} x {height} pixels, at most {MAX_SIDE_PX} a "
            f"side and {MAX_PIXELS // 10**6} megapixels; scale it down (1024 is plenty)"
        )


def _decode(path: Path, image: "Image.Image") -> InputImage:
    from PIL import ImageOps

    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise _damaged(path, error) from error
    upright = ImageOps.exif_transpose(image)
    factor = -(-max(upright.size) // WORKING_SIDE_PX)
    if upright.mode.startswith("I") or upright.mode == "F":
        grey = _deep_grey(path, upright)
        if factor > 1:
            from PIL import Image

            grey = np.asarray(Image.fromarray(grey).reduce(factor))
        return InputImage(np.repeat(grey[..., None], 3, axis=-1), None, str(path))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        if factor > 1:
            upright = upright.reduce(factor)  # premultiplies, so no fringe
        rgba = np.asarray(_to_srgb(upright), dtype=np.float32) / 255
        return InputImage(rgba[..., :3].copy(), rgba[..., 3].copy(), str(path))
    rgb = _to_srgb(upright)
    if factor > 1:
        rgb = rgb.reduce(factor)
    return InputImage(np.asarray(rgb, dtype=np.float32) / 255, None, str(path))


def _deep_grey(path: Path, image: "Image.Image") -> np.ndarray:
    """Scales 16-bit, 32-bit and float grey; Pillow's convert("RGB") would saturate."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds values that are not finite; export it again")
    if image.mode == "F":
        largest = float(values.max(initial=0.0))
        full_scale = next((s for s in (1.0, 255.0, 65535.0) if largest <= s), largest)
    else:
        full_scale = 65535.0 if values.max(initial=0.0) <= 65535 else 2.0**31 - 1
    return np.clip(values / full_scale, 0, 1).astype(np.float32)


def _to_srgb(image: "Image.Image") -> "Image.Image":
    """Converts to RGB (or RGBA), through the embedded ICC profile if any."""
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        import io

        from PIL import ImageCms

        colours = image.convert("RGB") if mode == "RGBA" else image
        try:
            converted: Any = ImageCms.profileToProfile(
                colours,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            return image.convert(mode)  # a broken profile: the numbers as they are
        if mode == "RGBA":
            converted.putalpha(image.getchannel("A"))
        return converted
    return image.convert(mode)


def composite_on(
    rgba: Float[np.ndarray, "*batch height width 4"],
    background: float | tuple[float, float, float] = 1.0,
) -> Float[np.ndarray, "*batch height width 3"]:
    """Lays a straight-alpha picture on a uniform background.

    Args:
        rgba: Straight alpha, in [0, 1].
        background: Grey level or RGB colour in [0, 1].

    Returns:
        The opaque picture.
    """
    alpha = rgba[..., 3:4]
    colour = np.asarray(background, dtype=rgba.dtype)
    return rgba[..., :3] * alpha + colour * (1 - alpha)


def to_uint8(image: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Rounds floats in [0, 1] to bytes; values outside are clipped.

    Args:
        image: Any shape; must be finite.

    Returns:
        Bytes of the same shape.

    Raises:
        ValueError: A value is not finite.
    """
    if not np.isfinite(image).all():
        raise ValueError("`image` must be finite, got NaN or infinite values")
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def write_png(
    path: str | os.PathLike[str], image: Shaped[np.ndarray, "height width *channels"]
) -> None:
    """Writes a PNG atomically: grey, RGB or straight-alpha RGBA.

    Args:
        path: The file to write.
        image: Floats in [0, 1], or bytes; [H, W], [H, W, 3] or [H, W, 4].

    Raises:
        ValueError: The shape or type does not fit, or a value is not finite.
        OSError: The file cannot be written.
    """
    from PIL import Image

    is_grey = image.ndim == 2
    if not is_grey and (image.ndim != 3 or image.shape[-1] not in (3, 4)):
        raise ValueError(
            f"`image` must be [H, W], [H, W, 3] or [H, W, 4], got {list(image.shape)}"
        )
    if image.dtype != np.uint8:
        if image.dtype.kind != "f":
            raise ValueError(f"`image` must be uint8 or float, got {image.dtype}")
        image = to_uint8(image)
    with atomic_path(path) as temporary:
        Image.fromarray(np.ascontiguousarray(image)).save(temporary, format="PNG")
