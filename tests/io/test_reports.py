import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import trimesh

from realfusion.io.mesh_files import color_mesh, write_glb
from realfusion.io.reports import ReportContent, render_report, write_report
from realfusion.io.videos import write_video

VOID = {"meta", "img", "link", "br", "input", "path", "line", "circle"}


class _Page(HTMLParser):
    """Collects attributes and checks that elements nest."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _parse(text):
    page = _Page()
    page.feed(text)
    assert page.open == []
    return page


def _content(folder, **options):
    mesh = color_mesh(trimesh.creation.icosphere(2, radius=0.4), lambda p: p + 0.5)
    write_glb(folder / "mesh.glb", mesh)
    write_video(folder / "turntable.mp4", np.zeros((2, 16, 48, 3), np.uint8))
    values = {
        "title": "a <mug> & more",
        "input_rgba": np.full((16, 16, 4), 0.5, np.float32),
        "views": [np.full((8, 8, 3), 40 * i, np.uint8) for i in range(4)],
        "mesh_path": folder / "mesh.glb",
        "video_path": folder / "turntable.mp4",
        "history": {"steps": [1, 2, 3], "terms": {"image": [1.0, 0.5, 0.1]}},
        "metrics": {
            "front_psnr_db": 27.34,
            "front_mask_iou": 0.9712,
            "iterations": 600,
            "prior": "bundled",
            "seconds": {"prior": 10.0, "reconstruction": 199.4},
            "mesh": {"num_faces": 59998, "is_watertight": True, "depth_to_width": 0.83},
            "versions": {"realfusion": "0.1.0", "torch": "2.13.0"},
        },
        "configuration": {"seed": 0, "field": {"levels": {"count": 16}, "name": None}},
    }
    return ReportContent(**{**values, **options})


def test_page_is_well_formed_and_holds_everything(tmp_path):
    text = render_report(_content(tmp_path))
    page = _parse(text)
    assert page.tags.count("canvas") == 1
    assert page.tags.count("video") == 1
    assert page.tags.count("svg") == 1
    assert page.tags.count("img") == 2 + 4
    assert "$" not in re.sub(
        r"\$\{|\$\"", "", text.split("<body>")[1].split("<script")[0]
    )
    for expected in ("27.3", "0.971", "59 998", "3:29", "levels.count", "torch 2.13.0"):
        assert expected in text
    for angle in ("0°", "90°", "180°", "270°"):
        assert angle in text


def test_page_needs_nothing_from_outside(tmp_path):
    page = _parse(render_report(_content(tmp_path)))
    for name, value in page.attributes:
        if name in ("src", "href", "poster", "action"):
            assert value.startswith(("data:", "#")), (name, value[:60])
    text = render_report(_content(tmp_path))
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_mesh_in_the_page_is_the_file(tmp_path):
    text = render_report(_content(tmp_path))
    data = re.search(r'id="mesh-data">([^<]*)<', text).group(1)
    assert base64.b64decode(data) == (tmp_path / "mesh.glb").read_bytes()


def test_text_is_escaped(tmp_path):
    text = render_report(_content(tmp_path, configuration={"prompt": "<script>x"}))
    assert "<mug>" not in text
    assert "<script>x" not in text
    assert "a &lt;mug&gt; &amp; more" in text


def test_what_is_missing_is_left_out(tmp_path):
    content = ReportContent(
        title="bare",
        input_rgba=np.zeros((16, 16, 4), np.float32),
        views=[],
        mesh_path=tmp_path / "none.glb",
    )
    page = _parse(render_report(content))
    assert page.tags.count("img") == 1
    for tag in ("canvas", "video", "svg", "details", "script"):
        assert tag not in page.tags


def test_large_video_is_linked_instead_of_embedded(tmp_path, monkeypatch):
    monkeypatch.setattr("realfusion.io.reports._MAX_VIDEO_BYTES", 10)
    page = _parse(render_report(_content(tmp_path)))
    assert ("src", "turntable.mp4") in page.attributes


def test_report_is_written_whole(tmp_path):
    write_report(tmp_path / "report.html", _content(tmp_path))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.endswith("</html>\n")


def test_name_that_is_no_text_is_written_with_question_marks(tmp_path):
    content = _content(tmp_path, title="bad\udcffname")
    write_report(tmp_path / "report.html", content)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "bad?name" in page


def test_labels_must_match_the_views(tmp_path):
    with pytest.raises(ValueError, match="must be 4, got 1"):
        render_report(_content(tmp_path, view_labels=["front"]))
