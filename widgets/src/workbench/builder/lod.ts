// Level of detail: what is drawn how. Far away bands of colour, then shapes, then cards in the DOM, then numbers in them.
// The DOM never holds more than a few cards, whatever the size of the circuit.

import { toWorld, type Box, type Camera } from "../stage/camera";
import { CARD } from "./places";
import type { Scene } from "./scene";

export const LEVELS = ["bands", "shapes", "cards", "numbers"] as const;
export type Level = (typeof LEVELS)[number];

export const MOST_CARDS = 140;
const [SHAPES_FROM, CARDS_FROM, NUMBERS_FROM] = [0.1, 0.66, 0.84];
/** More shapes than that are a carpet: bands are truer, and quicker. */
const MOST_SHAPES = 3000;
export const MOST_EDGES = 3500;

export function levelOf(scale: number, visible: number): Level {
  if (scale < SHAPES_FROM || visible > MOST_SHAPES) return "bands";
  if (scale < CARDS_FROM || visible > MOST_CARDS) return "shapes";
  return scale < NUMBERS_FROM ? "cards" : "numbers";
}

/** Nodes of which something is on the screen. */
export function visibleNodes(scene: Scene, camera: Camera, screen: Box): number[] {
  const from = toWorld(camera, 0, 0);
  const to = toWorld(camera, screen.width, screen.height);
  const [w, h] = [CARD.width / 2, CARD.height / 2];
  const out: number[] = [];
  const { x, y } = scene;
  for (let i = 0; i < scene.count; i++)
    if (x[i] > from.x - w && x[i] < to.x + w && y[i] > from.y - h && y[i] < to.y + h) out.push(i);
  return out;
}

const CHUNK = 128;

/**
 * The part of the picture for which cards are kept: the screen and a rim, in whole chunks. It changes seldom while one
 * pans, and so the browser seldom paints the cards again.
 */
export function rim(camera: Camera, screen: Box): { camera: Camera; screen: Box } {
  const from = (offset: number) => Math.floor((-offset - CHUNK / 2) / CHUNK) * CHUNK;
  const to = (offset: number, length: number) => Math.ceil((length - offset + CHUNK / 2) / CHUNK) * CHUNK;
  const [left, top] = [from(camera.x), from(camera.y)];
  return {
    camera: { x: -left, y: -top, scale: camera.scale },
    screen: { width: to(camera.x, screen.width) - left, height: to(camera.y, screen.height) - top },
  };
}

/**
 * Edges that may be on the screen (their box is), as offsets into `edges`; of too many an even sample, the same in
 * every frame, with the share that it is.
 */
export function visibleEdges(scene: Scene, camera: Camera, screen: Box): { list: number[]; share: number } {
  const from = toWorld(camera, 0, 0);
  const to = toWorld(camera, screen.width, screen.height);
  const { x, y, edges } = scene;
  const found: number[] = [];
  for (let e = 0; e < edges.length; e += 2) {
    const [a, b] = [edges[e], edges[e + 1]];
    if (Math.max(x[a], x[b]) < from.x || Math.min(x[a], x[b]) > to.x) continue;
    if (Math.max(y[a], y[b]) < from.y || Math.min(y[a], y[b]) > to.y) continue;
    found.push(e);
  }
  if (found.length <= MOST_EDGES) return { list: found, share: 1 };
  const step = found.length / MOST_EDGES;
  const list: number[] = [];
  for (let k = 0; k < MOST_EDGES; k++) list.push(found[Math.floor(k * step)]);
  return { list, share: 1 / step };
}

export interface Bands {
  columns: number;
  rows: number;
  /** Nodes of each kind in each cell: kinds × rows × columns. */
  counts: Uint16Array;
  /** The largest sum over kinds of one cell. */
  most: number;
}

/** How many nodes of each kind lie in each cell of the screen, `cell` pixels wide. */
export function bands(scene: Scene, nodes: readonly number[], camera: Camera, screen: Box, cell: number): Bands {
  const columns = Math.max(1, Math.ceil(screen.width / cell));
  const rows = Math.max(1, Math.ceil(screen.height / cell));
  const counts = new Uint16Array(4 * rows * columns);
  const totals = new Uint16Array(rows * columns);
  let most = 0;
  for (const i of nodes) {
    const column = Math.floor((scene.x[i] * camera.scale + camera.x) / cell);
    const row = Math.floor((scene.y[i] * camera.scale + camera.y) / cell);
    if (column < 0 || column >= columns || row < 0 || row >= rows) continue;
    const at = row * columns + column;
    counts[scene.kind[i] * rows * columns + at]++;
    most = Math.max(most, ++totals[at]);
  }
  return { columns, rows, counts, most };
}

/** The node whose card or shape is under a point of the picture, the topmost; null for none. */
export function hitNode(scene: Scene, x: number, y: number, level: Level, slack: number): number | null {
  const cards = level === "cards" || level === "numbers";
  const [w, h] = cards ? [CARD.width / 2, CARD.height / 2] : [22 + slack, 22 + slack];
  let best: number | null = null;
  let closest = Infinity;
  for (let i = 0; i < scene.count; i++) {
    const [dx, dy] = [Math.abs(scene.x[i] - x), Math.abs(scene.y[i] - y)];
    if (dx > w || dy > h) continue;
    if (dx + dy <= closest) {
      closest = dx + dy;
      best = i;
    }
  }
  return best;
}

/** A camera that shows a box whole. */
export function fitBounds(bounds: { left: number; top: number; right: number; bottom: number }, screen: Box, foot: number): Camera {
  const [width, height] = [Math.max(1, bounds.right - bounds.left), Math.max(1, bounds.bottom - bounds.top)];
  const margin = 26;
  const scale = Math.max(
    0.004,
    Math.min(1.3, (screen.width - 2 * margin) / width, (screen.height - 2 * margin - foot) / height),
  );
  return {
    scale,
    x: screen.width / 2 - (bounds.left + width / 2) * scale,
    y: (screen.height - foot) / 2 - (bounds.top + height / 2) * scale,
  };
}
