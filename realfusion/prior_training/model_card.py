"""The model card of an exported prior, written from its training record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from realfusion.priors.metadata import METADATA_FILE

_INTRODUCTION = """\
# Model card: the embedded prior

A small latent diffusion model in Stable Diffusion's layout, trained from nothing by
`realfusion train-prior` on objects that the package generates itself. It takes the
identity of an object from an image (an encoder gives {tokens} vectors for the prompt)
and the view relative to that image (words and a class label). It paints simple shapes
at {size} pixels; it knows nothing of photographs.
"""

_SHAPE_ESTIMATOR = """\
A small network beside it, trained on the same objects, guesses from the image which
depths behind each pixel are filled, and the colour on the other side: the body that a
reconstruction starts from. Its score is the intersection over union of guessed and true
columns behind the object's pixels, on objects that it was not trained on.
"""

_DECODER = """\
Trained further by itself, after everything else, on latents that stayed what they were.
"""


def write_model_card(prior: Path) -> Path:
    """Writes ``MODEL_CARD.md`` beside the metadata of an exported prior."""
    document = json.loads((prior / METADATA_FILE).read_text())
    target = prior / "MODEL_CARD.md"
    target.write_text(render_model_card(document))
    return target


def render_model_card(document: dict[str, Any]) -> str:
    """The card's Markdown from the content of ``realfusion_prior.json``."""
    record = document["training"]
    introduction = _INTRODUCTION.format(
        tokens=document["num_identity_vectors"], size=document["image_size"]
    )
    plain = [name for name, value in record.items() if not isinstance(value, dict)]
    facts = _table(("what", "value"), [(name, record[name]) for name in plain])
    sections = [introduction, "## Training\n", facts]
    scores = record.get("scores")
    if scores:
        sections += ["## Scores\n", _score_table(scores)]
    decoder = record.get("decoder")
    if decoder:
        facts = _table(("what", "value"), list(decoder.items()))
        sections += ["## The autoencoder's decoder\n", _DECODER, facts]
    estimator = record.get("shape_estimator")
    if estimator:
        facts = _table(("what", "value"), list(estimator.items()))
        sections += ["## Shape estimator\n", _SHAPE_ESTIMATOR, facts]
    settings = json.dumps(record["configuration"], indent=2)
    sections += ["## Configuration\n", f"```json\n{settings}\n```"]
    return "\n".join(sections) + "\n"


def _score_table(scores: dict[str, Any]) -> str:
    """One column for each scored set."""
    sets = [name for name, value in scores.items() if isinstance(value, dict)]
    names = list(scores[sets[0]]) if sets else []
    rows = [(name, *(scores[s][name] for s in sets)) for name in names]
    single = [(k, v) for k, v in scores.items() if not isinstance(v, dict)]
    lines = "".join(f"{name}: {value}\n" for name, value in single)
    return f"{lines}\n{_table(('score', *sets), rows)}"


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = ("| " + " | ".join(str(c) for c in line) + " |" for line in lines)
    return "\n".join(cells) + "\n"
