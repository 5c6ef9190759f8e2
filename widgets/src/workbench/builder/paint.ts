// Draws a scene on a canvas: edges and region frames always, blocks as bands or shapes as long as they are no cards.

import type { Camera } from "../stage/camera";
import { SYMBOL, trace } from "../circuit/draw";
import type { Palette } from "../theme";
import { bands, visibleEdges, type Level } from "./lod";
import { CARD, STEP } from "./places";
import { NODE_KINDS, type Scene } from "./scene";

export interface Picture {
  scene: Scene;
  camera: Camera;
  level: Level;
  visible: readonly number[];
  palette: Palette;
  /** Nodes, not blocks. */
  selected: ReadonlySet<number>;
  hovered: ReadonlySet<number>;
  focused: number | null;
  /** Nodes that a connection may end at, while one is drawn. */
  legal: ReadonlySet<number> | null;
  bad: number | null;
  /** A connection being drawn: from a node to a point of the picture. */
  wire: { from: number; up: boolean; x: number; y: number; legal: boolean | null } | null;
  box: { x0: number; y0: number; x1: number; y1: number } | null;
  label: (node: number) => [string, string];
  width: number;
  height: number;
}

const CELL = 3;
const RADIUS = 20;
const MOST_LABELS = 260;
const LABELS_FROM = 0.34;
const [MOST_CURVES, MOST_WIDE] = [600, 200];

export function paint(context: CanvasRenderingContext2D, picture: Picture): void {
  const { camera, level } = picture;
  context.clearRect(0, 0, picture.width, picture.height);
  if (level !== "bands") dots(context, picture);
  context.save();
  context.translate(camera.x, camera.y);
  context.scale(camera.scale, camera.scale);
  context.textAlign = "center";
  context.textBaseline = "middle";
  regions(context, picture);
  edges(context, picture);
  if (level === "shapes") shapes(context, picture);
  if (picture.wire) wire(context, picture);
  context.restore();
  if (level === "bands") density(context, picture);
  if (picture.box) rubber(context, picture);
}

/** A faint grid, so that panning an empty canvas is felt. */
function dots(context: CanvasRenderingContext2D, { camera, palette, width, height }: Picture): void {
  let step = 32 * camera.scale;
  while (step < 18) step *= 2;
  context.fillStyle = palette.border;
  const [x0, y0] = [((camera.x % step) + step) % step, ((camera.y % step) + step) % step];
  for (let x = x0; x < width; x += step) for (let y = y0; y < height; y += step) context.fillRect(x, y, 1.2, 1.2);
}

function regions(context: CanvasRenderingContext2D, { scene, camera, palette }: Picture): void {
  for (const region of scene.regions) {
    if (region.node !== null) continue;
    context.beginPath();
    context.roundRect(region.left, region.top, region.right - region.left, region.bottom - region.top, 14);
    context.fillStyle = palette.muted;
    context.globalAlpha = 0.06;
    context.fill();
    context.globalAlpha = 0.55;
    context.lineWidth = 1 / camera.scale;
    context.setLineDash([6 / camera.scale, 4 / camera.scale]);
    context.strokeStyle = palette.muted;
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }
}

/** How far an edge starts from the middle of a node. */
export const reach = (level: Level): number => (level === "cards" || level === "numbers" ? CARD.height / 2 : level === "shapes" ? RADIUS : 0);

function edges(context: CanvasRenderingContext2D, picture: Picture): void {
  const { scene, camera, palette, selected, hovered, level } = picture;
  const { list, share } = visibleEdges(scene, camera, picture);
  const off = reach(level);
  const curved = level !== "bands" && list.length < MOST_CURVES;
  const lit: number[] = [];
  const path = (e: number) => {
    const [child, parent] = [scene.edges[e], scene.edges[e + 1]];
    const [x0, y0, x1, y1] = [scene.x[child], scene.y[child] - off, scene.x[parent], scene.y[parent] + off];
    context.moveTo(x0, y0);
    if (!curved) return context.lineTo(x1, y1);
    const bend = Math.max(Math.abs(y1 - y0) / 2, 18);
    context.bezierCurveTo(x0, y0 - bend, x1, y1 + bend, x1, y1);
  };
  // One pixel and no more: without a GPU a browser draws hairlines ten times as fast as anything wider.
  const hairline = 1 / (camera.scale * (window.devicePixelRatio || 1));
  context.lineWidth = hairline;
  context.strokeStyle = palette.muted;
  const density = list.length / share;
  context.globalAlpha = Math.max(0.1, Math.min(0.62, 42 / Math.sqrt(density + 1)));
  context.beginPath();
  for (const e of list) {
    const [child, parent] = [scene.edges[e], scene.edges[e + 1]];
    if (selected.has(child) || selected.has(parent) || hovered.has(child) || hovered.has(parent)) lit.push(e);
    else path(e);
  }
  context.stroke();
  context.globalAlpha = 0.9;
  context.strokeStyle = palette.accent;
  context.lineWidth = lit.length < MOST_WIDE ? Math.max(1.6, 1.2 / camera.scale) : hairline;
  context.beginPath();
  lit.forEach(path);
  context.stroke();
  context.globalAlpha = 1;
}

function outline(context: CanvasRenderingContext2D, { scene }: Picture, i: number, r: number): void {
  const kind = NODE_KINDS[scene.kind[i]];
  if (kind === "region") context.roundRect(scene.x[i] - 1.5 * r, scene.y[i] - r, 3 * r, 2 * r, 8);
  else trace(context, kind, scene.x[i], scene.y[i], r);
}

function shapes(context: CanvasRenderingContext2D, picture: Picture): void {
  const { scene, camera, palette, visible, selected, legal } = picture;
  // Of a few pixels each: squares are all that can be seen, and many times quicker.
  const tiny = RADIUS * camera.scale < 4;
  for (const i of visible) {
    const kind = NODE_KINDS[scene.kind[i]];
    const marked = selected.has(i) || picture.hovered.has(i) || i === picture.focused || i === picture.bad || legal?.has(i);
    if (tiny && !marked) {
      context.globalAlpha = legal ? 0.3 : 1;
      context.fillStyle = kind === "region" ? palette.muted : palette.kinds[kind];
      context.fillRect(scene.x[i] - 0.85 * RADIUS, scene.y[i] - 0.85 * RADIUS, 1.7 * RADIUS, 1.7 * RADIUS);
      continue;
    }
    context.globalAlpha = legal && !legal.has(i) ? 0.3 : 1;
    context.beginPath();
    outline(context, picture, i, RADIUS);
    context.fillStyle = kind === "region" ? palette.muted : palette.kinds[kind];
    context.fill();
    if (marked) {
      context.beginPath();
      outline(context, picture, i, RADIUS + 5);
      context.lineWidth = Math.max(3, 1.8 / camera.scale);
      context.strokeStyle = i === picture.focused ? palette.foreground : legal?.has(i) ? palette.kinds.input : palette.accent;
      context.setLineDash(i === picture.focused ? [5, 3] : []);
      context.stroke();
      context.setLineDash([]);
    }
    if (camera.scale > 0.2) {
      context.fillStyle = palette.background;
      context.font = `600 ${kind === "input" ? 19 : 26}px ${palette.font}`;
      context.fillText(kind === "region" ? "▸" : SYMBOL[kind], scene.x[i], scene.y[i] + (kind === "input" ? 4 : 2));
    }
  }
  context.globalAlpha = 1;
  if (camera.scale >= LABELS_FROM && visible.length <= MOST_LABELS) labels(context, picture);
}

/** With the paper's colour around each letter: lines may run behind. */
function labels(context: CanvasRenderingContext2D, picture: Picture): void {
  const { scene, palette, visible, camera } = picture;
  const size = Math.min(20, 10 / camera.scale);
  context.lineJoin = "round";
  context.lineWidth = 4 / camera.scale;
  context.strokeStyle = palette.background;
  for (const i of visible) {
    // Edges leave an inner block downwards: its label stands to the right.
    const leaf = scene.kind[i] === 0;
    context.textAlign = leaf ? "center" : "left";
    const x = leaf ? scene.x[i] : scene.x[i] + RADIUS + 6;
    const y = leaf ? scene.y[i] + RADIUS + size * 0.9 : scene.y[i] - size * 0.6;
    const [name, rest] = picture.label(i);
    for (const [text, dy, weight, color] of [[name, 0, 600, palette.foreground], [rest, size * 1.15, 400, palette.muted]] as const) {
      context.font = `${weight} ${size}px ${palette.font}`;
      context.fillStyle = color;
      const most = Math.floor((STEP.x - (leaf ? 6 : 2 * RADIUS + 4)) / (0.5 * size)); // up to the neighbour
      const short = dy ? cut(text, most) : cut(text, most, 3); // names of a kind differ at their ends
      context.strokeText(short, x, y + dy);
      context.fillText(short, x, y + dy);
    }
  }
}

/** At most so many letters, the last ones of them from the end. */
export function cut(text: string, most: number, last = 0): string {
  if (text.length <= most) return text;
  const end = most > 2 * last ? last : 0;
  return `${text.slice(0, Math.max(1, most - end - 1))}…${end ? text.slice(-end) : ""}`;
}

const parsed = new Map<string, [number, number, number]>();

/** Any CSS colour as numbers: a canvas knows how to read all of them. */
function rgb(color: string): [number, number, number] {
  const known = parsed.get(color);
  if (known) return known;
  const context = new OffscreenCanvas(1, 1).getContext("2d")!;
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  parsed.set(color, [r, g, b]);
  return [r, g, b];
}

let scratch: OffscreenCanvas | null = null;

/** Each cell in the mean colour of what lies in it, the fuller the stronger. */
function density(context: CanvasRenderingContext2D, picture: Picture): void {
  const { scene, visible, camera, palette } = picture;
  const { columns, rows, counts, most } = bands(scene, visible, camera, picture, CELL);
  scratch ??= new OffscreenCanvas(1, 1);
  if (scratch.width !== columns || scratch.height !== rows) [scratch.width, scratch.height] = [columns, rows];
  const target = scratch.getContext("2d")!;
  const image = target.createImageData(columns, rows);
  const colors = NODE_KINDS.map((kind) => rgb(kind === "region" ? palette.muted : palette.kinds[kind]));
  const cells = rows * columns;
  for (let at = 0; at < cells; at++) {
    let total = 0;
    const mix = [0, 0, 0];
    for (let kind = 0; kind < 4; kind++) {
      const count = counts[kind * cells + at];
      if (!count) continue;
      total += count;
      for (let c = 0; c < 3; c++) mix[c] += count * colors[kind][c];
    }
    if (!total) continue;
    for (let c = 0; c < 3; c++) image.data[4 * at + c] = mix[c] / total;
    image.data[4 * at + 3] = 140 + 115 * Math.sqrt(total / most);
  }
  target.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(scratch, 0, 0, columns * CELL, rows * CELL);
  marks(context, picture);
}

/** What is selected, focused or wrong must be seen from any distance. */
function marks(context: CanvasRenderingContext2D, { scene, camera, palette, selected, focused, hovered, bad }: Picture): void {
  const at = (i: number): [number, number] => [scene.x[i] * camera.scale + camera.x, scene.y[i] * camera.scale + camera.y];
  context.fillStyle = palette.accent;
  for (const i of selected) {
    const [x, y] = at(i);
    context.fillRect(x - 2.5, y - 2.5, 5, 5);
  }
  for (const i of [...hovered, focused, bad]) {
    if (i === null) continue;
    const [x, y] = at(i);
    context.strokeStyle = i === focused ? palette.foreground : palette.accent;
    context.lineWidth = 1.5;
    context.strokeRect(x - 6, y - 6, 12, 12);
  }
}

function wire(context: CanvasRenderingContext2D, { scene, wire, palette, camera, level }: Picture): void {
  const { from, up, x, y, legal } = wire!;
  const off = up ? -reach(level) : reach(level);
  const [x0, y0] = [scene.x[from], scene.y[from] + off];
  const bend = (up ? -1 : 1) * Math.max(30, Math.abs(y - y0) / 2);
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(x0, y0 + bend, x, y - bend, x, y);
  context.lineWidth = 2.2 / Math.min(1, camera.scale);
  context.strokeStyle = legal === null ? palette.muted : legal ? palette.kinds.input : palette.accent;
  context.setLineDash(legal ? [] : [6, 4]);
  context.stroke();
  context.setLineDash([]);
}

function rubber(context: CanvasRenderingContext2D, { box, palette }: Picture): void {
  const { x0, y0, x1, y1 } = box!;
  context.fillStyle = palette.accent;
  context.globalAlpha = 0.12;
  context.fillRect(x0, y0, x1 - x0, y1 - y0);
  context.globalAlpha = 1;
  context.strokeStyle = palette.accent;
  context.lineWidth = 1;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}
