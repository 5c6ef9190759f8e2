// Paints a weight map: tiles in the colour of what they show, lines between blocks, values in cells, and marks.

import type { Size } from "../hooks";
import type { Palette } from "../theme";
import { spansOf } from "./links";
import { cellsInView, levelOf, SIDE, tilesInView, WRITTEN, type Region, type View } from "./lod";
import type { MapInfo, Mode, Numbers } from "./part";
import type { Tile, TileCache } from "./tiles";

/** Screen pixels of a block's side, from which on lines between blocks help more than they hide. */
const LINED = 20;

export interface Picture {
  map: MapInfo;
  mode: Mode;
  view: View;
  size: Size;
  palette: Palette;
  tiles: TileCache;
  key: string;
  /** What is under the pointer or the cursor, in pixels of a level. */
  marked: { level: number; row: number; col: number } | null;
  pin: { row: number; col: number } | null;
  numbers: Numbers | null;
  /** Blocks under the pointer, in whichever pane. */
  lit: ReadonlySet<number>;
}

export function colorOf(mode: Mode, palette: Palette): string {
  const [blue, orange, green, purple] = palette.series;
  return { occupancy: blue, weight: purple, flow: green, padding: orange }[mode];
}

/** The matrix on the screen, on whole device pixels: nothing is painted beside it. */
export function frameOf({ map, view }: Pick<Picture, "map" | "view">, ratio: number): { x: number; y: number; width: number; height: number } {
  const snap = (value: number) => Math.round(value * ratio) / ratio;
  const [x, y] = [snap(view.x), snap(view.y)];
  return { x, y, width: Math.max(1 / ratio, snap(view.x + map.cols * view.scale) - x), height: Math.max(1 / ratio, snap(view.y + map.rows * view.scale) - y) };
}

export function paint(context: CanvasRenderingContext2D, picture: Picture, ratio: number): void {
  const { map, view, size, palette } = picture;
  context.clearRect(0, 0, size.width, size.height);
  const frame = frameOf(picture, ratio);
  context.save();
  context.beginPath();
  context.rect(frame.x, frame.y, frame.width, frame.height);
  context.clip();
  context.fillStyle = palette.background;
  context.fillRect(frame.x, frame.y, frame.width, frame.height);
  paintTiles(context, picture);
  if (map.tile * view.scale >= LINED && map.tile > 1) lines(context, picture, map.tile, palette.muted, 0.35);
  if (view.scale >= WRITTEN / 2) lines(context, picture, 1, palette.muted, 0.25);
  if (view.scale >= WRITTEN) write(context, picture);
  for (const [from, to] of spansOf(map, picture.lit)) band(context, picture, from, to);
  if (picture.pin) outline(context, picture, { level: 0, ...picture.pin }, palette.foreground, 3);
  if (picture.marked) outline(context, picture, picture.marked, palette.accent, 1.5);
  const own = picture.lit.has(map.parent);
  context.strokeStyle = own ? palette.accent : palette.muted;
  context.lineWidth = own ? 3 : 1;
  context.strokeRect(frame.x + 0.5, frame.y + 0.5, frame.width - 1, frame.height - 1);
  context.restore();
}

function paintTiles(context: CanvasRenderingContext2D, { map, mode, view, size, palette, tiles, key }: Picture): void {
  context.imageSmoothingEnabled = false;
  const level = levelOf(view.scale, map.levels);
  const color = colorOf(mode, palette);
  const pixel = 2 ** level * view.scale;
  for (const at of tilesInView(view, size, map, level)) {
    const tile = tiles.best(key, at, map.levels);
    if (!tile) continue;
    const image = imageOf(tile, color);
    const up = tile.level - level;
    // Of a tile some levels above, the part that covers this one.
    const part = SIDE / 2 ** up;
    const [sx, sy] = [at.col * part - tile.col * SIDE, at.row * part - tile.row * SIDE];
    const [width, height] = [Math.min(part, tile.width - sx), Math.min(part, tile.height - sy)];
    if (width <= 0 || height <= 0) continue;
    const grown = pixel * 2 ** up;
    context.drawImage(image, sx, sy, width, height, view.x + at.col * SIDE * pixel, view.y + at.row * SIDE * pixel, width * grown, height * grown);
  }
}

/** Shades become opacity: 0 is the paper, and the least that is something can still be seen on it. */
function imageOf(tile: Tile, color: string): HTMLCanvasElement {
  if (tile.image && tile.painted === color) return tile.image;
  const canvas = tile.image ?? document.createElement("canvas");
  [canvas.width, canvas.height] = [tile.width, tile.height];
  const context = canvas.getContext("2d")!;
  context.fillStyle = color;
  context.fillRect(0, 0, tile.width, tile.height);
  const data = context.getImageData(0, 0, tile.width, tile.height);
  tile.shades.forEach((shade, i) => (data.data[4 * i + 3] = opacity(shade)));
  context.putImageData(data, 0, 0);
  tile.image = canvas;
  tile.painted = color;
  return canvas;
}

export function opacity(shade: number): number {
  return shade === 0 ? 0 : Math.round(30 + (225 * shade) / 255);
}

/** The columns of a child that is pointed at: a bar along the edge, and a tint where that hides nothing one is reading. */
function band(context: CanvasRenderingContext2D, { map, view, palette, marked }: Picture, from: number, to: number): void {
  const [left, right] = [view.x + from * view.scale, view.x + to * view.scale];
  context.fillStyle = palette.accent;
  context.globalAlpha = marked ? 0 : 0.14;
  context.fillRect(left, view.y, right - left, map.rows * view.scale);
  context.globalAlpha = 1;
  context.fillRect(left, Math.max(0, view.y), right - left, 3);
}

function lines(context: CanvasRenderingContext2D, { map, view, size }: Picture, step: number, color: string, alpha: number): void {
  const cells = cellsInView(view, size, map);
  if (!cells) return;
  context.globalAlpha = alpha;
  context.fillStyle = color;
  for (let col = Math.ceil(cells.left / step) * step; col <= cells.right; col += step)
    context.fillRect(Math.round(view.x + col * view.scale), 0, 1, size.height);
  for (let row = Math.ceil(cells.top / step) * step; row <= cells.bottom; row += step)
    context.fillRect(0, Math.round(view.y + row * view.scale), size.width, 1);
  context.globalAlpha = 1;
}

function outline(context: CanvasRenderingContext2D, { view, map }: Picture, at: { level: number; row: number; col: number }, color: string, width: number): void {
  const step = 2 ** at.level;
  const [row, col] = [at.row * step, at.col * step];
  const [high, wide] = [Math.min(step, map.rows - row) * view.scale, Math.min(step, map.cols - col) * view.scale];
  // Something of a pixel's size would be overlooked: the mark is never smaller than eight pixels.
  const [w, h] = [Math.max(8, wide), Math.max(8, high)];
  context.strokeStyle = color;
  context.lineWidth = width;
  context.strokeRect(view.x + col * view.scale + (wide - w) / 2, view.y + row * view.scale + (high - h) / 2, w, h);
}

/** The cells whose values are written: those on the screen and some around them. */
export function writtenRegion(view: View, size: Size, map: MapInfo): Region | null {
  if (view.scale < WRITTEN) return null;
  const cells = cellsInView(view, size, map);
  if (!cells) return null;
  const [row, col] = [Math.max(0, cells.top - 4), Math.max(0, cells.left - 4)];
  return { level: 0, row, col, height: Math.min(map.rows, cells.bottom + 5) - row, width: Math.min(map.cols, cells.right + 5) - col };
}

export function covers(numbers: Numbers | null, view: View, size: Size, map: MapInfo, mode: Mode, rev: number): boolean {
  const cells = cellsInView(view, size, map);
  if (!cells) return true;
  if (!numbers || numbers.level !== 0 || numbers.mode !== mode || numbers.rev !== rev) return false;
  return numbers.row <= cells.top && numbers.col <= cells.left && numbers.row + numbers.height > cells.bottom && numbers.col + numbers.width > cells.right;
}

function write(context: CanvasRenderingContext2D, { map, mode, view, size, palette, numbers }: Picture): void {
  const cells = cellsInView(view, size, map);
  if (!cells || !numbers || numbers.level !== 0 || numbers.mode !== mode) return;
  context.font = `10px ${palette.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = Math.max(cells.top, numbers.row); row <= Math.min(cells.bottom, numbers.row + numbers.height - 1); row++)
    for (let col = Math.max(cells.left, numbers.col); col <= Math.min(cells.right, numbers.col + numbers.width - 1); col++) {
      const i = (row - numbers.row) * numbers.width + col - numbers.col;
      const text = cellText(numbers, i);
      const [x, y] = [view.x + (col + 0.5) * view.scale, view.y + (row + 0.5) * view.scale];
      const wide = context.measureText(text).width;
      // On paper of its own: a word on a colour that means something cannot be read on all of them.
      context.fillStyle = palette.background;
      context.globalAlpha = 0.82;
      context.fillRect(x - wide / 2 - 2, y - 7, wide + 4, 14);
      context.globalAlpha = 1;
      context.fillStyle = numbers.edges[i] ? palette.foreground : palette.muted;
      context.fillText(text, x, y);
    }
}

export function cellText(numbers: Numbers, i: number): string {
  if (!numbers.edges[i]) return numbers.storesAll ? "pad" : "–";
  const valued = numbers.mode === "weight" || numbers.mode === "flow";
  return valued && numbers.values ? short(numbers.sums[i]) : "edge";
}

/** Three digits that fit into a cell. */
export function short(value: number): string {
  if (value === 0) return "0";
  return value >= 0.001 && value < 1000 ? value.toPrecision(3).replace(/^0\./, ".") : value.toExponential(1).replace("e-", "e−");
}
