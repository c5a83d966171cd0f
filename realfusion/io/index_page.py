"""`index.html`: the runs of a batch at a glance, each a link to its report."""

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

from realfusion.io.atomic import write_text


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """One run on the page.

    Attributes:
        name: Name of the run folder, beside which the page lies.
        caption: What became of the run, in one line.
        report: File within the run folder to link to; None links nowhere.
        thumbnail: Picture within the run folder; None shows none.
    """

    name: str
    caption: str
    report: str | None = None
    thumbnail: str | None = None


def write_index(
    path: str | os.PathLike[str], title: str, entries: Sequence[IndexEntry]
) -> None:
    """Writes the page, with links relative to it.

    Args:
        path: The file to write, beside the run folders.
        title: Heading of the page.
        entries: The runs in the order to show them.

    Raises:
        OSError: The file cannot be written.
    """
    folder = resources.files("realfusion.io.report_page")
    page = Template(folder.joinpath("index.html").read_text(encoding="utf-8"))
    write_text(
        Path(path),
        page.substitute(
            title=html.escape(title),
            style=folder.joinpath("style.css").read_text(encoding="utf-8"),
            entries="\n".join(_item(entry) for entry in entries),
        ),
    )


def _item(entry: IndexEntry) -> str:
    name, caption = html.escape(entry.name), html.escape(entry.caption)
    shown = f"<h2>{name}</h2>"
    if entry.thumbnail is not None:
        source = _link(entry.name, entry.thumbnail)
        shown += (
            f'<div class="frame"><img src="{source}" alt="{name} from all sides"></div>'
        )
    if entry.report is not None:
        shown = f'<a href="{_link(entry.name, entry.report)}">{shown}</a>'
    return f'<li>{shown}<p class="note">{caption}</p></li>'


def _link(name: str, file: str) -> str:
    return html.escape(quote(f"./{name}/{file}"), quote=True)
