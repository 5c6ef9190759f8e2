"""Pictures of the documentation as PNG of at most 256 colours: a third of the bytes, and hardly to be told apart."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

COLOURS = 256
#: The browser decodes what it encoded: RGB of every pixel, row by row.
_PIXELS = """async data => {
  const image = await createImageBitmap(await (await fetch('data:image/png;base64,' + data)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const {data: rgba} = context.getImageData(0, 0, image.width, image.height);
  const parts = [];
  for (let at = 0; at < rgba.length; at += 32768) parts.push(String.fromCharCode(...rgba.subarray(at, at + 32768)));
  return [image.width, image.height, btoa(parts.join(''))];
}"""


def write(page: Page, picture: bytes, target: Path) -> None:
    """Writes a screenshot with at most 256 colours; `page` is any page of the browser that made it."""
    width, height, data = page.evaluate(_PIXELS, base64.b64encode(picture).decode())
    pixels = np.frombuffer(base64.b64decode(data), np.uint8).reshape(-1, 4)[:, :3]
    codes, where, counts = np.unique(_code(pixels), return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.uint8)
    chosen = palette(colours, counts)
    index = nearest(colours, chosen)[where].reshape(height, width)
    rows = np.concatenate([np.zeros((height, 1), np.uint8), index], 1)  # each row is led by its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"PLTE", chosen.tobytes()) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
    target.write_bytes(b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b""))


def palette(colours: NDArray[np.uint8], counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """At most 256 of them: the box of colours that is worst off is cut at its median, again and again (median cut)."""
    boxes = [np.arange(len(colours))]
    while len(boxes) < COLOURS:
        # A rare shade far away counts, too; were pixels counted as they are, paper would take all of it.
        loss = [float(np.ptp(colours[box], 0).max()) * float(np.sqrt(counts[box].sum())) for box in boxes]
        worst = int(np.argmax(loss))
        if loss[worst] == 0:
            break
        box = boxes.pop(worst)
        axis = int(np.argmax(np.ptp(colours[box], 0)))
        box = box[np.argsort(colours[box, axis], kind="stable")]
        total = np.cumsum(counts[box])
        cut = int(np.clip(np.searchsorted(total, total[-1] / 2), 1, len(box) - 1))
        boxes += [box[:cut], box[cut:]]
    # The commonest colour stands for its box: paper and text stay exactly what they are.
    return np.stack([colours[box[np.argmax(counts[box])]] for box in boxes])


def nearest(colours: NDArray[np.uint8], chosen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For each colour the place in the palette of the one that is closest."""
    out = np.empty(len(colours), np.uint8)
    for at in range(0, len(colours), 4096):
        apart = colours[at : at + 4096, None].astype(np.int32) - chosen[None].astype(np.int32)
        out[at : at + 4096] = (apart**2).sum(2).argmin(1)
    return out


def _code(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    red, green, blue = pixels.astype(np.int64).T
    return red << 16 | green << 8 | blue


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
