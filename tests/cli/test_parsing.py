"""What is wrong with the words, in one line."""

from __future__ import annotations

import pytest

from realfusion.cli.parsing import one_line

BOX = """\
╭─ Unrecognized options ────────╮
│ Unrecognized options: --radiu │
│ ───────────────────────────── │
│ Perhaps you meant:            │
│     --radius FLOAT            │
│         Distance.             │
╰───────────────────────────────╯
"""
DASHES = """\
 Unrecognized options
 -------------------------------
  Unrecognized options: --radiu
  ------------------------------
  Perhaps you meant:
      --radius FLOAT
          Distance.

"""
COLOURED = BOX.replace("│", "\x1b[31m│\x1b[0m").replace("╭", "\x1b[1;31m╭")


@pytest.mark.parametrize("box", [BOX, DASHES, COLOURED])
def test_one_line_reads_every_form_of_the_box(box):
    assert one_line(box) == "Unrecognized options: --radiu; did you mean --radius?"


def test_one_line_survives_an_unknown_format():
    assert one_line("something\nelse entirely") == "something else entirely"
