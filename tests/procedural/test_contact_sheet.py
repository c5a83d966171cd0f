"""The picture of all families."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from realfusion.procedural.contact_sheet import main
from realfusion.procedural.families.catalogue import ABSTRACT_FAMILIES, FAMILIES


def test_the_sheet_shows_every_family(tmp_path: Path) -> None:
    main(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        columns, rows = sheet.width // 256, sheet.height // 64
        assert columns * rows >= len(FAMILIES) + 3 * len(ABSTRACT_FAMILIES)
        assert len(sheet.getcolors() or []) > 50
