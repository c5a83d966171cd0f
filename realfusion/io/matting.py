"""Object against background: the matte of the input picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from realfusion.errors import InputError
from realfusion.io.images import InputImage

MattingMethod = Literal["auto", "alpha", "grabcut", "rembg"]

_REMEDY = "give an RGBA image, or `pip install realfusion[matting]`"


@dataclass(frozen=True)
class Matte:
    """The picture with its background made transparent."""

    rgba: Float[np.ndarray, "height width 4"]
    method: Literal["alpha", "grabcut", "rembg"]


def matte(image: InputImage, method: MattingMethod = "auto") -> Matte:
    """Separates the object from the background.

    Args:
        image: The picture.
        method: "alpha" takes the picture's own transparency; "grabcut" models the
            background by the colours along the border (no weights needed); "rembg" uses
            a network, when installed. "auto" takes useful transparency, else GrabCut,
            and turns to rembg, when installed, where GrabCut's mask is implausible.

    Returns:
        Straight alpha, and the method that made it.

    Raises:
        InputError: No plausible object was found, or the method is not available.
    """
    if method == "alpha" or (method == "auto" and _has_useful_alpha(image.alpha)):
        return Matte(_with_alpha(image, _own_alpha(image)), "alpha")
    if method == "rembg":
        return Matte(_with_alpha(image, _checked(_rembg(image), image)), "rembg")
    if method not in ("auto", "grabcut"):
        raise ValueError(
            f'`method` must be "auto", "alpha", "grabcut" or "rembg", got {method!r}'
        )
    from realfusion.io.grabcut import cut_out

    try:
        return Matte(_with_alpha(image, _checked(cut_out(image.rgb), image)), "grabcut")
    except InputError:
        if method == "grabcut" or not _is_rembg_installed():
            raise
        return Matte(_with_alpha(image, _checked(_rembg(image), image)), "rembg")


def _has_useful_alpha(alpha: Float[np.ndarray, "height width"] | None) -> bool:
    """Whether transparency tells an object from a background at all."""
    return alpha is not None and bool(alpha.min() < 0.5)


def _own_alpha(image: InputImage) -> Float[np.ndarray, "height width"]:
    if image.alpha is None or image.alpha.min() >= 0.5:
        raise InputError(
            f"{image.source} has no transparent background; choose another matting "
            "method, or give an RGBA image"
        )
    if image.alpha.max() < 0.5:
        raise InputError(
            f"{image.source} has an empty mask: every pixel is transparent; give an "
            "image in which the object is opaque"
        )
    return image.alpha


def _with_alpha(
    image: InputImage, alpha: Float[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 4"]:
    rgba = np.concatenate([image.rgb, alpha[..., None]], axis=-1).astype(np.float32)
    rgba[alpha == 0, :3] = 1  # white under alpha 0: no colour to leak
    return rgba


def _checked(
    alpha: Float[np.ndarray, "height width"], image: InputImage
) -> Float[np.ndarray, "height width"]:
    """Passes a plausible matte on.

    Raises:
        InputError: Nothing, nearly everything, or something that runs along the
            picture's border was found.
    """
    mask: Bool[np.ndarray, "height width"] = alpha > 0.5
    covered = float(mask.mean())
    if covered < 0.002:
        problem = "no object stands out from the background"
    elif covered > 0.9:
        problem = "no background was found around the object"
    elif _border_coverage(mask) > 0.35:
        problem = "the object seems to run out of the picture on all sides"
    else:
        return alpha
    raise InputError(f"{image.source}: {problem}; {_REMEDY}")


def _border_coverage(mask: Bool[np.ndarray, "height width"]) -> float:
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return float(border.mean())


def _is_rembg_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("rembg") is not None


def _rembg(image: InputImage) -> Float[np.ndarray, "height width"]:
    """The matte of rembg's `u2net` model (needs its weights: network or cache)."""
    if not _is_rembg_installed():
        raise InputError(
            "the matting method rembg is not installed; "
            "`pip install realfusion[matting]`, or choose grabcut"
        )
    import rembg

    from realfusion.io.images import to_uint8

    try:
        session = rembg.new_session("u2net")
        mask = rembg.remove(to_uint8(image.rgb), session=session, only_mask=True)
    except OSError as error:  # offline and not cached
        raise InputError(
            "rembg cannot get the weights of its model u2net (is the network there?); "
            "choose grabcut, or give an RGBA image"
        ) from error
    return np.asarray(mask, dtype=np.float32) / 255
