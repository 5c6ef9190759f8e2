// What of a weight map is on the screen, and at which level of its pyramid: a pixel of level k covers 2^k × 2^k cells.

import type { Size } from "../hooks";

/** Pixels of a tile's side, as in pcbench/execute/weight_map.py. */
export const SIDE = 256;
/** Screen pixels of a cell's side: the most that one can zoom in, and from where cells carry their values. */
export const LARGEST = 72;
export const WRITTEN = 44;
const MARGIN = 12;

/** screen = cell · scale + (x, y), in CSS pixels; rows run downward, columns to the right. */
export interface View {
  x: number;
  y: number;
  scale: number;
}

export interface Extent {
  rows: number;
  cols: number;
}

export interface Matrix extends Extent {
  levels: number;
}

export interface TileAt {
  level: number;
  row: number;
  col: number;
}

/** Pixels of one level, the lower right one excluded. */
export interface Region {
  level: number;
  row: number;
  col: number;
  height: number;
  width: number;
}

export function fitView(matrix: Extent, size: Size): View {
  const wide = Math.max(1, size.width - 2 * MARGIN);
  const high = Math.max(1, size.height - 2 * MARGIN);
  const scale = Math.min(LARGEST, wide / matrix.cols, high / matrix.rows);
  return { scale, x: (size.width - matrix.cols * scale) / 2, y: (size.height - matrix.rows * scale) / 2 };
}

/** Zooms about a point of the screen, which stays where it is; no further out than the whole matrix, no closer than a cell. */
export function zoomView(view: View, factor: number, at: { x: number; y: number }, matrix: Extent, size: Size): View {
  const least = Math.min(fitView(matrix, size).scale, LARGEST);
  const scale = Math.min(LARGEST, Math.max(least, view.scale * factor));
  const ratio = scale / view.scale;
  return keepInside({ scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio }, matrix, size);
}

/** A matrix smaller than the screen is in its middle, a larger one covers it: nobody gets lost beside it. */
export function keepInside(view: View, matrix: Extent, size: Size): View {
  const axis = (at: number, extent: number, screen: number) => {
    const room = screen - extent * view.scale;
    return room >= 2 * MARGIN ? room / 2 : Math.min(MARGIN, Math.max(room - MARGIN, at));
  };
  return { ...view, x: axis(view.x, matrix.cols, size.width), y: axis(view.y, matrix.rows, size.height) };
}

/** The finest level whose pixels are still a screen pixel wide: nothing finer could be seen. */
export function levelOf(scale: number, levels: number): number {
  return Math.min(levels - 1, Math.max(0, Math.ceil(-Math.log2(scale) - 1e-6)));
}

/** The cells on the screen: first and last row and column; null where the matrix is not. */
export function cellsInView(view: View, size: Size, matrix: Extent): { top: number; left: number; bottom: number; right: number } | null {
  const first = (at: number) => Math.max(0, Math.floor(-at / view.scale));
  const last = (at: number, screen: number, extent: number) => Math.min(extent, Math.ceil((screen - at) / view.scale)) - 1;
  const [top, left] = [first(view.y), first(view.x)];
  const [bottom, right] = [last(view.y, size.height, matrix.rows), last(view.x, size.width, matrix.cols)];
  return bottom < top || right < left ? null : { top, left, bottom, right };
}

export function tilesInView(view: View, size: Size, matrix: Matrix, level: number): TileAt[] {
  const cells = cellsInView(view, size, matrix);
  if (!cells) return [];
  const span = SIDE * 2 ** level;
  const out: TileAt[] = [];
  for (let row = Math.floor(cells.top / span); row <= Math.floor(cells.bottom / span); row++)
    for (let col = Math.floor(cells.left / span); col <= Math.floor(cells.right / span); col++) out.push({ level, row, col });
  return out;
}

/** The tile that covers the same cells some levels higher. */
export function ancestor(tile: TileAt, up: number): TileAt {
  return { level: tile.level + up, row: tile.row >> up, col: tile.col >> up };
}

/** The pixel beneath a point of the screen, at the level that is shown; null beside the matrix. */
export function pixelAt(view: View, point: { x: number; y: number }, matrix: Matrix): { level: number; row: number; col: number } | null {
  const row = Math.floor((point.y - view.y) / view.scale);
  const col = Math.floor((point.x - view.x) / view.scale);
  if (row < 0 || col < 0 || row >= matrix.rows || col >= matrix.cols) return null;
  const level = levelOf(view.scale, matrix.levels);
  return { level, row: row >> level, col: col >> level };
}

/** What the table shows of a view: the same cells in at most so many rows and columns of pixels of one level. */
export function tableOf(view: View, size: Size, matrix: Extent, rows: number, cols: number): Region | null {
  const cells = cellsInView(view, size, matrix);
  if (!cells) return null;
  for (let level = 0; ; level++) {
    const [row, col] = [cells.top >> level, cells.left >> level];
    const [height, width] = [(cells.bottom >> level) - row + 1, (cells.right >> level) - col + 1];
    if (height <= rows && width <= cols) return { level, row, col, height, width };
  }
}

/** Scrolls just far enough to bring a cell, and some of its surroundings, on the screen. */
export function revealCell(view: View, row: number, col: number, matrix: Extent, size: Size): View {
  const inside = (at: number, cell: number, screen: number) => {
    const [first, last] = [cell * view.scale + at, (cell + 1) * view.scale + at];
    return at + (first < MARGIN ? MARGIN - first : last > screen - MARGIN ? screen - MARGIN - last : 0);
  };
  return keepInside({ ...view, x: inside(view.x, col, size.width), y: inside(view.y, row, size.height) }, matrix, size);
}
