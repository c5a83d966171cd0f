"""`realfusion_prior.json`: what a prior trained for this package says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realfusion.errors import InputError
from realfusion.priors.config import PLACEHOLDER
from realfusion.priors.prompts import ViewVocabulary

METADATA_FILE = "realfusion_prior.json"
"""Its name, in the model's folder beside `unet/`."""


@dataclass(frozen=True, kw_only=True)
class PriorMetadata:
    """How a prior wants to be prompted.

    Attributes:
        subject: The prior's own wording for the learned object, with `<e>` in it.
        view_vocabulary: Its view words; None takes front, side, back and overhead.
        unconditional_class: The class label of "no view", or None without classes.
        num_identity_vectors: Vectors of the image encoder's token; 0 without one.
    """

    subject: str = f"an image of a {PLACEHOLDER}"
    view_vocabulary: ViewVocabulary | None = None
    unconditional_class: int | None = None
    num_identity_vectors: int = 0

    def to_json(self) -> dict[str, Any]:
        """The metadata as a JSON object."""
        views = self.view_vocabulary
        return {
            "subject": self.subject,
            "view_vocabulary": None
            if views is None
            else {
                "azimuth_words": list(views.azimuth_words),
                "elevation_suffixes": list(views.elevation_suffixes),
            },
            "unconditional_class": self.unconditional_class,
            "num_identity_vectors": self.num_identity_vectors,
        }


def read_metadata(folder: Path) -> PriorMetadata:
    """Read a model folder's metadata; the defaults where it has none.

    Other keys in the file (training record, scores) are left alone.

    Raises:
        InputError: If the file is there but cannot be understood.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return PriorMetadata()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        defaults = PriorMetadata()
        views = content.get("view_vocabulary")
        return PriorMetadata(
            subject=str(content.get("subject", defaults.subject)),
            view_vocabulary=None
            if views is None
            else ViewVocabulary(
                azimuth_words=tuple(views["azimuth_words"]),
                elevation_suffixes=tuple(views["elevation_suffixes"]),
            ),
            unconditional_class=content.get("unconditional_class"),
            num_identity_vectors=int(content.get("num_identity_vectors", 0)),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path.name} in {folder} must describe a prior (subject, "
            f"view_vocabulary, unconditional_class, num_identity_vectors), got "
            f"{type(error).__name__}: {error}"
        ) from error
