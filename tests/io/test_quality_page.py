"""The benchmark's page: self-contained, escaped, a dot an object and variant."""

import xml.etree.ElementTree as ET

from realfusion.io.quality_page import Chart, chart_card, write_quality_page

CHART = Chart(
    title="IoU (higher is better)",
    digits=3,
    values={"none": {"mug": 0.5, "<brick>": 0.6}, "bundled": {"mug": 0.7}},
    caption=["bundled − none: +0.200"],
)
COLOURS = {"none": "#888888", "bundled": "#2266aa"}


def _circles(card):
    return ET.fromstring(card).findall(".//circle")


def test_every_value_is_a_dot_with_its_name():
    circles = _circles(chart_card(CHART, COLOURS))
    assert [circle.findtext("title") for circle in circles] == [
        "mug, none: 0.500", "mug, bundled: 0.700", "<brick>, none: 0.600"
    ]  # fmt: skip
    assert circles[1].get("fill") == "#2266aa"


def test_dots_lie_in_the_order_of_their_values():
    low, high, middle = (
        float(circle.get("cx")) for circle in _circles(chart_card(CHART, COLOURS))
    )
    assert low < middle < high
    assert abs(middle - (low + high) / 2) < 0.1


def test_equal_values_are_drawn():
    chart = Chart(title="x", digits=1, values={"none": {"mug": 2.0}}, caption=[])
    assert len(_circles(chart_card(chart, COLOURS))) == 1


def test_page_needs_no_other_file(tmp_path):
    path = tmp_path / "quality.html"
    write_quality_page(
        path,
        title="a & <b>",
        variants=["none", "bundled"],
        charts=[CHART],
        note="n < m",
    )
    text = path.read_text()
    assert "<h1>a &amp; &lt;b&gt;</h1>" in text
    assert "n &lt; m" in text
    assert "●</span> bundled" in text
    for attribute in ("src=", "href=", "url("):
        assert attribute not in text
