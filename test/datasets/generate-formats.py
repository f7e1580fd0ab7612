"""Writes formats.json: small files of each kind that imageFolder reads, with their pixels as Pillow decodes them.

Run it once, with Pillow 11: python3 test/datasets/generate-formats.py > test/datasets/formats.json
The rows of PNG files are written here, because Pillow writes few of their kinds; their pixels follow from the samples.
"""

import base64
import io
import json
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

WIDTH, HEIGHT = 9, 7
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([X * 28, Y * 40, (X + Y) * 16], -1).astype(np.uint8)
GRAY = (X * 20 + Y * 10).astype(np.uint8)
RANDOM = np.random.RandomState(1)

cases = []


def add(name, file, pixels, tolerance=0):
    pixels = np.asarray(pixels, dtype=np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    height, width, _ = pixels.shape
    encoded = {"file": file, "pixels": pixels.tobytes()}
    encoded = {key: base64.b64encode(value).decode() for key, value in encoded.items()}
    cases.append({"name": name, "height": height, "width": width, "tolerance": tolerance, **encoded})


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(file):
    return Image.open(io.BytesIO(file))


def pixels_of(file):
    return np.asarray(opened(file).convert("RGB"))


def on_white(file):
    image = opened(file).convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def packed(samples, depth):
    """Rows [h, w, channels] without filters."""
    out = b""
    for row in samples:
        values = row.reshape(-1)
        if depth == 16:
            body = values.astype(">u2").tobytes()
        else:
            bits = "".join(format(int(value), f"0{depth}b") for value in values)
            bits += "0" * (-len(bits) % 8)
            body = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        out += b"\0" + body
    return out


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, depth, color, interlaced, palette=None, transparent=None):
    height, width, _ = samples.shape
    parts = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [samples]
    rows = b"".join(packed(part, depth) for part in parts if part.size > 0)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    if palette is not None:
        out += chunk(b"PLTE", palette.tobytes())
    if transparent is not None:
        out += chunk(b"tRNS", transparent)
    return out + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def draw(limit, channels=1):
    return RANDOM.randint(0, limit, (HEIGHT, WIDTH, channels))


def add_pngs(interlaced):
    kind = ", interlaced" if interlaced else ""
    for depth in (1, 2, 4, 8, 16):
        samples = draw(2**depth)
        white = 2**depth - 1
        levels = samples[..., 0] >> 8 if depth == 16 else samples[..., 0] * 255 // white
        add(f"PNG gray {depth} bits{kind}", png(samples, depth, 0, interlaced), levels)
        if depth == 16:
            continue
        samples = draw(2**depth)
        key = samples[0, 0, 0]
        levels = np.where(samples[..., 0] == key, 255, samples[..., 0] * 255 // white)
        file = png(samples, depth, 0, interlaced, transparent=struct.pack(">H", key))
        add(f"PNG gray {depth} bits, tRNS{kind}", file, levels)
        colors = min(2**depth, 16)
        palette = RANDOM.randint(0, 256, (colors, 3)).astype(np.uint8)
        samples = draw(colors)
        wanted = palette[samples[..., 0]]
        add(f"PNG palette {depth} bits{kind}", png(samples, depth, 3, interlaced, palette), wanted)
        alpha = np.array([0, 255] * 8, dtype=np.uint8)[:colors]
        wanted = np.where(alpha[samples] == 0, 255, wanted)
        file = png(samples, depth, 3, interlaced, palette, alpha.tobytes())
        add(f"PNG palette {depth} bits, tRNS{kind}", file, wanted)
    for depth in (8, 16):
        samples = draw(2**depth, 3)
        add(f"PNG RGB {depth} bits{kind}", png(samples, depth, 2, interlaced), samples >> (depth - 8))
        for color, channels, name in ((4, 2, "gray and alpha"), (6, 4, "RGBA")):
            samples = draw(2**depth, channels)
            opaque = draw(2)
            samples[..., -1:] = opaque * (2**depth - 1)
            wanted = np.where(opaque == 1, samples[..., :-1] >> (depth - 8), 255)
            wanted = np.broadcast_to(wanted, (HEIGHT, WIDTH, 3))
            add(f"PNG {name} {depth} bits{kind}", png(samples, depth, color, interlaced), wanted)
    samples = draw(256, 3)
    key = samples[2, 3]
    wanted = np.where((samples == key).all(-1, keepdims=True), 255, samples)
    file = png(samples, 8, 2, interlaced, transparent=struct.pack(">HHH", *map(int, key)))
    add(f"PNG RGB 8 bits, tRNS{kind}", file, wanted)


def add_jpegs(image):
    for name, options in {
        "4:4:4": {"subsampling": 0},
        "4:2:2": {"subsampling": 1},
        "4:2:0": {"subsampling": 2},
        "progressive": {"progressive": True},
        "restart markers": {"restart_marker_blocks": 1},
        "RGB without a transform": {"keep_rgb": True, "subsampling": 0},
        "tables of its own": {"optimize": True},
    }.items():
        file = saved(image, "JPEG", quality=90, **options)
        add(f"JPEG {name}", file, pixels_of(file))
    file = saved(Image.fromarray(GRAY), "JPEG", quality=90)
    add("JPEG gray", file, pixels_of(file))


def add_orientations(image):
    for value in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = value
        for kind, options in {
            "PNG": {},
            "JPEG": {"quality": 90, "subsampling": 0},
            "WebP": {"lossless": True},
            "TIFF": {},
        }.items():
            file = saved(image, kind, exif=exif, **options)
            upright = ImageOps.exif_transpose(opened(file)).convert("RGB")
            add(f"{kind} orientation {value}", file, np.asarray(upright))


def add_others(image):
    alpha = np.where((X + Y) % 2 == 0, 255, 0).astype(np.uint8)
    transparent = Image.fromarray(np.dstack([RGB, alpha]))
    palette = image.convert("P", palette=Image.ADAPTIVE, colors=32)
    file = saved(image, "WebP", lossless=True, exact=True)
    add("WebP lossless", file, pixels_of(file))
    file = saved(image, "WebP", quality=90)
    add("WebP lossy", file, pixels_of(file), 1)
    file = saved(transparent, "WebP", lossless=True, exact=True)
    add("WebP alpha", file, on_white(file))
    for name, options in {
        "palette": {},
        "interlaced": {"interlace": 1},
        "transparent": {"transparency": int(np.asarray(palette)[0, 0])},
        "animation": {"save_all": True, "append_images": [Image.fromarray(255 - RGB).convert("P")]},
    }.items():
        file = saved(palette, "GIF", **options)
        add(f"GIF {name}", file, on_white(file))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        file = saved(image, "TIFF", compression=compression)
        add(f"TIFF {compression}", file, pixels_of(file))
    add("TIFF gray", saved(Image.fromarray(GRAY), "TIFF"), GRAY)
    add("TIFF 1 bit, group 4", saved(Image.fromarray(GRAY > 100), "TIFF", compression="group4"), (GRAY > 100) * 255)
    file = saved(palette, "TIFF")
    add("TIFF palette", file, pixels_of(file))
    deep = (X * 7000 + Y * 900).astype(np.uint16)
    add("TIFF gray 16 bits", saved(Image.fromarray(deep), "TIFF"), deep >> 8)
    file = saved(transparent, "TIFF")
    add("TIFF alpha", file, on_white(file))


def ink_files():
    """JPEG files of one color in CMYK and in YCCK. Readers differ in their profiles, but not between the two."""
    red, green, blue, black = 200, 120, 60, 220
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402

    def file_of(stored):
        # Pillow stores the complements.
        color = tuple(255 - round(sample) for sample in stored)
        return saved(Image.new("CMYK", (WIDTH, HEIGHT), color), "JPEG", quality=100)

    cmyk = file_of((255 - red, 255 - green, 255 - blue, black))
    ycck = bytearray(file_of((luma, *chroma, black)))
    ycck[ycck.index(b"Adobe") + 11] = 2  # the transform
    return {"cmyk": base64.b64encode(cmyk).decode(), "ycck": base64.b64encode(bytes(ycck)).decode()}


source = Image.fromarray(RGB)
add_jpegs(source)
for interlaced in (False, True):
    add_pngs(interlaced)
add_orientations(source)
add_others(source)
json.dump({**ink_files(), "cases": cases}, sys.stdout, indent=2)
