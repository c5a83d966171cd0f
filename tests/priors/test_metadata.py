from __future__ import annotations

import json
from pathlib import Path

import pytest

from realfusion.errors import InputError
from realfusion.priors.metadata import METADATA_FILE, PriorMetadata, read_metadata
from realfusion.priors.prompts import ViewVocabulary


def test_metadata_is_read_back(tmp_path: Path, relative_views: ViewVocabulary) -> None:
    metadata = PriorMetadata(
        subject="<e>",
        view_vocabulary=relative_views,
        unconditional_class=24,
        num_identity_vectors=16,
    )
    text = json.dumps(metadata.to_json() | {"training": {"seed": 0}})
    (tmp_path / METADATA_FILE).write_text(text)
    assert read_metadata(tmp_path) == metadata


def test_other_models_get_the_classic_words(tmp_path: Path) -> None:
    metadata = read_metadata(tmp_path)
    assert metadata.view_vocabulary is None
    assert metadata.subject == "an image of a <e>"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"view_vocabulary": {"azimuth_words": ["front view"]}}']
)
def test_unreadable_metadata_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / METADATA_FILE).write_text(text)
    with pytest.raises(InputError, match="must describe a prior"):
        read_metadata(tmp_path)
