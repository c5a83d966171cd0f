import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from realfusion.errors import InputError
from realfusion.io.images import composite_on, read_image, to_uint8, write_png


def _gradient(height=24, width=40):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack(
        [x * 255 // (width - 1), y * 255 // (height - 1), (x + y) % 256], -1
    ).astype(np.uint8)


def _png_chunks(width, height, bit_depth, colour_type, rows, extra=b""):
    """A PNG by hand: Pillow itself cannot write 16-bit RGB."""

    def chunk(kind, payload):
        crc = zlib.crc32(kind + payload)
        return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "bmp", "avif", "jpg", "ppm"])
def test_common_formats_read_as_float_rgb(tmp_path, suffix):
    pixels = _gradient()
    path = tmp_path / f"picture.{suffix}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 98, "subsampling": 0}}
    Image.fromarray(pixels).save(path, **options.get(suffix, {}))
    image = read_image(path)
    assert image.rgb.shape == (24, 40, 3)
    assert image.rgb.dtype == np.float32
    assert image.alpha is None
    assert image.source == str(path)
    tolerance = {"jpg": 0.06, "avif": 0.1}.get(suffix, 1e-6)
    np.testing.assert_allclose(image.rgb, pixels / 255, atol=tolerance)


def test_rgba_keeps_straight_alpha(tmp_path):
    rgba = np.full((20, 20, 4), 200, np.uint8)
    rgba[..., 3] = 255
    rgba[:10, :, 3] = 64
    Image.fromarray(rgba).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.rgb, 200 / 255, atol=1e-6)
    np.testing.assert_allclose(image.alpha[:10], 64 / 255, atol=1e-6)
    np.testing.assert_allclose(image.alpha[10:], 1)


def test_palette_transparency_becomes_alpha(tmp_path):
    image = Image.new("P", (20, 20), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (5, 5, 15, 15))
    image.save(tmp_path / "p.png", transparency=0)
    result = read_image(tmp_path / "p.png")
    assert result.alpha[0, 0] == 0
    assert result.alpha[10, 10] == 1
    np.testing.assert_allclose(result.rgb[10, 10], [0, 1, 0])


def test_grey_with_alpha_is_read(tmp_path):
    pixels = np.full((20, 20, 2), 128, np.uint8)
    Image.fromarray(pixels, mode=None).convert("LA").save(tmp_path / "la.png")
    result = read_image(tmp_path / "la.png")
    assert result.rgb.shape == (20, 20, 3)
    np.testing.assert_allclose(result.alpha, 128 / 255, atol=1e-6)


def test_cmyk_jpeg_is_converted(tmp_path):
    Image.new("CMYK", (20, 20), (0, 255, 255, 0)).save(tmp_path / "c.jpg")
    rgb = read_image(tmp_path / "c.jpg").rgb
    assert rgb[..., 0].mean() > 0.8
    assert rgb[..., 1:].mean() < 0.3


def test_sixteen_bit_grey_is_scaled_not_saturated(tmp_path):
    ramp = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / "g.png")
    Image.fromarray(ramp).save(tmp_path / "g.tiff")
    for name in ("g.png", "g.tiff"):
        rgb = read_image(tmp_path / name).rgb
        np.testing.assert_allclose(rgb[..., 1], ramp / 65535, atol=1e-4)


def test_sixteen_bit_rgb_is_scaled_not_saturated(tmp_path):
    ramp = np.linspace(0, 65535, 32 * 20).astype(">u2").reshape(20, 32)
    pixels = np.stack([ramp, ramp[:, ::-1], ramp // 2], -1).astype(">u2")
    rows = [row.tobytes() for row in pixels]
    (tmp_path / "deep.png").write_bytes(_png_chunks(32, 20, 16, 2, rows))
    rgb = read_image(tmp_path / "deep.png").rgb
    np.testing.assert_allclose(rgb, pixels.astype(float) / 65535, atol=1 / 255)


def test_exif_orientation_is_applied(tmp_path):
    pixels = _gradient()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown rotated by 90° clockwise
    Image.fromarray(pixels).save(tmp_path / "r.png", exif=exif)
    rgb = read_image(tmp_path / "r.png").rgb
    np.testing.assert_allclose(rgb, np.rot90(pixels, -1) / 255, atol=1e-6)


def test_icc_profile_is_converted_to_srgb(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.fromarray(_gradient()).save(
        tmp_path / "icc.png", icc_profile=profile.tobytes()
    )
    rgb = read_image(tmp_path / "icc.png").rgb
    np.testing.assert_allclose(rgb, _gradient() / 255, atol=2 / 255)


def test_animated_picture_gives_first_frame_and_warns(tmp_path):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="2 frames"):
        image = read_image(tmp_path / "a.gif")
    np.testing.assert_allclose(image.rgb[10, 10], [1, 0, 0], atol=0.01)


def test_large_picture_is_reduced(tmp_path):
    Image.new("RGB", (5000, 40), (10, 20, 30)).save(tmp_path / "wide.png")
    image = read_image(tmp_path / "wide.png")
    assert max(image.rgb.shape) <= 2048
    np.testing.assert_allclose(image.rgb[0, 0], np.array([10, 20, 30]) / 255)


def _truncated_jpeg(path):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])


def _huge_header(path):
    """A well-formed PNG header of 20000 x 20000 pixels: refused before decoding."""
    path.write_bytes(_png_chunks(20000, 20000, 8, 2, [b"\0"]))


@pytest.mark.parametrize(
    ("name", "make", "match"),
    [
        ("none.png", lambda path: None, "does not exist"),
        ("folder", lambda path: path.mkdir(), "is a folder"),
        ("x" * 300 + ".png", lambda path: None, "cannot be read"),
        ("text.png", lambda path: path.write_text("hello"), "is not an image"),
        ("empty.png", lambda path: path.write_bytes(b""), "is empty"),
        ("cut.jpg", _truncated_jpeg, "damaged or truncated"),
        ("one.png", lambda path: Image.new("RGB", (1, 1)).save(path), "too small"),
        ("huge.png", _huge_header, "too large"),
        ("wide.png", lambda p: Image.new("L", (20000, 20)).save(p), "too large"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, name, make, match):
    path = tmp_path / name
    make(path)
    with pytest.raises(InputError, match=match) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_heic_without_its_reader_names_the_remedy(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 64)
    with pytest.raises(InputError, match="pip install pillow-heif"):
        read_image(path)


def test_composite_on_mixes_by_alpha():
    rgba = np.zeros((2, 2, 4), np.float32)
    rgba[..., 3] = 0.25
    np.testing.assert_allclose(composite_on(rgba), 0.75)
    np.testing.assert_allclose(
        composite_on(rgba, (1.0, 0.0, 0.4))[0, 0], [0.75, 0, 0.3], atol=1e-6
    )


@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 3), (8, 9, 4)])
def test_write_png_round_trips(tmp_path, shape):
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    write_png(tmp_path / "new" / "out.png", values)
    stored = np.asarray(Image.open(tmp_path / "new" / "out.png"))
    np.testing.assert_array_equal(stored, to_uint8(values))


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.png"
    write_png(path, np.zeros((8, 8), np.float32))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="finite"):
        write_png(path, np.full((8, 8), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"\[H, W, 4\]"):
        write_png(path, np.zeros((8, 8, 2), np.float32))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]
