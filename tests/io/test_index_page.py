"""The page of a batch: links that work wherever the folder is moved to."""

import re
from html.parser import HTMLParser

from realfusion.io.index_page import IndexEntry, write_index


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.pictures = [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.pictures.append((values["src"], values["alt"]))


def _page(folder, entries):
    path = folder / "index.html"
    write_index(path, "a <batch> & more", entries)
    text = path.read_text()
    links = _Links()
    links.feed(text)
    return text, links


def test_links_are_relative_and_quoted(tmp_path):
    entry = IndexEntry(
        name='50% "off" #1', caption="done", report="r.html", thumbnail="t.png"
    )
    _, page = _page(tmp_path, [entry])
    folder = "./50%25%20%22off%22%20%231"
    assert page.links == [f"{folder}/r.html"]
    assert page.pictures == [(f"{folder}/t.png", '50% "off" #1 from all sides')]


def test_a_run_without_outputs_has_its_caption_alone(tmp_path):
    text, page = _page(tmp_path, [IndexEntry(name="cat", caption="failed: a < b")])
    assert page.links == []
    assert page.pictures == []
    assert "failed: a &lt; b" in text


def test_title_is_text_and_nothing_comes_from_the_network(tmp_path):
    text, _ = _page(tmp_path, [])
    assert "a &lt;batch&gt; &amp; more" in text
    assert re.findall(r"https?://", text) == []
