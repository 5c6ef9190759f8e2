// Draws a pass on the circuit: values under the nodes that were reached, flows as widths, paths and dice.

import { trace as shape, SYMBOL } from "../circuit/draw";
import type { Camera } from "../stage/camera";
import type { Palette } from "../theme";
import type { Pass, Trace } from "./answers";
import type { Lesson } from "./lesson";
import { shownDown, shownUp, type Step } from "./steps";
import { exact, plain } from "./words";

export const RADIUS = 17;
/** Zoomed out further than this, or with more edges, words would lie over each other. */
const [WORDS_FROM, MOST_WEIGHTS] = [0.5, 160];
const BAND = 62;

export interface Picture {
  lesson: Lesson;
  trace: Trace | null;
  pass: Pass;
  at: number;
  step: Step;
  camera: Camera;
  palette: Palette;
  node: number | null;
  hovered: ReadonlySet<number>;
  /** 0 … 1 while numbers travel along the edges; 1 at rest. */
  travelled: number;
  wrong: ReadonlySet<number>;
  bad: string;
  width: number;
  height: number;
}

export function paint(context: CanvasRenderingContext2D, picture: Picture): void {
  const { camera, width, height } = picture;
  context.clearRect(0, 0, width, height);
  context.save();
  context.translate(camera.x, camera.y);
  context.scale(camera.scale, camera.scale);
  context.textAlign = "center";
  context.textBaseline = "middle";
  band(context, picture);
  edges(context, picture);
  const seen = visible(picture);
  nodes(context, picture, seen);
  if (camera.scale > WORDS_FROM) {
    weights(context, picture);
    words(context, picture, seen);
  }
  travellers(context, picture);
  context.restore();
}

function visible({ lesson, camera, width, height }: Picture): number[] {
  const { x, y } = lesson.placement;
  const margin = 80;
  return lesson.nodes.flatMap((_, i) => {
    const [sx, sy] = [x[i] * camera.scale + camera.x, y[i] * camera.scale + camera.y];
    return sx > -margin && sy > -margin && sx < width + margin && sy < height + margin ? [i] : [];
  });
}

/** The layer of the current step. */
function band(context: CanvasRenderingContext2D, { lesson, step, camera, palette, width }: Picture): void {
  if (step.layer < 0) return;
  const rows = lesson.layers[step.layer].map((i) => lesson.placement.y[i]);
  const [top, bottom] = [Math.min(...rows) - 28, Math.max(...rows) + RADIUS + (BAND - RADIUS) * growth(camera)];
  context.globalAlpha = 0.09;
  context.fillStyle = step.way === "up" ? palette.kinds.sum : palette.accent;
  context.fillRect(-camera.x / camera.scale, top, width / camera.scale, bottom - top);
  context.globalAlpha = 1;
}

/** Words shrink less than the picture, to stay legible. */
function growth({ scale }: Camera): number {
  return Math.max(1, Math.min(1.4, 0.95 / scale));
}

/** Edges begin under the parent's words, while there are words. */
function ends({ lesson, camera, pass }: Picture, e: number): [number, number, number, number] {
  const { x, y } = lesson.placement;
  const [from, to] = [lesson.child[e], lesson.parent[e]];
  return [x[from], y[from] - RADIUS - 2, x[to], y[to] + RADIUS + (camera.scale > WORDS_FROM ? (pass === "flows" ? 47 : 33) * growth(camera) : 0)];
}

function line(context: CanvasRenderingContext2D, picture: Picture, e: number): void {
  const [x0, y0, x1, y1] = ends(picture, e);
  const middle = (y0 + y1) / 2;
  context.moveTo(x0, y0);
  context.bezierCurveTo(x0, middle, x1, middle, x1, y1);
}

function comesDown(picture: Picture, e: number): boolean {
  const { lesson, at } = picture;
  return picture.trace !== null && shownDown(lesson, at, lesson.placement.layer[lesson.child[e]]);
}

function edges(context: CanvasRenderingContext2D, picture: Picture): void {
  const { lesson, palette, camera, trace } = picture;
  context.lineCap = "round";
  context.strokeStyle = palette.muted;
  context.globalAlpha = Math.max(0.16, Math.min(0.6, 20 / Math.sqrt(lesson.child.length + 1)));
  context.lineWidth = Math.max(1.1, 0.8 / camera.scale);
  context.beginPath();
  const lit: number[] = [];
  for (let e = 0; e < lesson.child.length; e++) {
    if (comesDown(picture, e) && trace!.down.edge[e] > 1e-4) lit.push(e);
    else line(context, picture, e);
  }
  context.stroke();
  context.strokeStyle = palette.accent;
  for (const e of lit) {
    const flow = trace!.down.edge[e];
    context.globalAlpha = 0.35 + 0.5 * flow;
    context.lineWidth = Math.max(1.4, (1 + 7 * flow) * (picture.pass === "flows" ? 1 : 0.6));
    context.beginPath();
    line(context, picture, e);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function nodes(context: CanvasRenderingContext2D, picture: Picture, seen: number[]): void {
  const { lesson, palette, at, step, camera } = picture;
  const { x, y, layer } = lesson.placement;
  for (const i of seen) {
    const { kind } = lesson.nodes[i];
    const reached = shownUp(at, layer[i]);
    const aside = picture.pass !== "flows" && shownDown(lesson, at, layer[i]) && !picture.trace?.down.node[i];
    context.beginPath();
    shape(context, kind, x[i], y[i], RADIUS);
    context.fillStyle = palette.background;
    context.fill();
    context.globalAlpha = aside ? 0.3 : reached ? 1 : 0.16;
    context.fillStyle = palette.kinds[kind];
    context.fill();
    context.globalAlpha = aside ? 0.55 : 1;
    context.strokeStyle = palette.kinds[kind];
    context.lineWidth = 1.5;
    context.stroke();
    context.globalAlpha = 1;
    const current = layer[i] === step.layer;
    if (picture.wrong.has(i)) ring(context, picture, i, picture.bad, []);
    if (i === picture.node || picture.hovered.has(i)) ring(context, picture, i, palette.accent, i === picture.node ? [] : [3, 3]);
    else if (current && !picture.wrong.has(i)) ring(context, picture, i, palette.foreground, [4, 3]);
    if (camera.scale < 0.24) continue;
    context.fillStyle = reached && !aside ? palette.background : palette.kinds[kind];
    context.font = `600 ${kind === "input" ? 16 : 21}px ${palette.font}`;
    context.fillText(SYMBOL[kind], x[i], y[i] + (kind === "input" ? 3 : 1.5));
  }
}

function ring(context: CanvasRenderingContext2D, { lesson, camera }: Picture, i: number, color: string, dash: number[]): void {
  context.beginPath();
  shape(context, lesson.nodes[i].kind, lesson.placement.x[i], lesson.placement.y[i], RADIUS + 4.5);
  context.setLineDash(dash);
  context.lineWidth = Math.max(2, 1.4 / camera.scale);
  context.strokeStyle = color;
  context.stroke();
  context.setLineDash([]);
}

function clip(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** With the paper's colour around each letter: lines may run behind it. */
function outlined(context: CanvasRenderingContext2D, palette: Palette, text: string, x: number, y: number, color: string): void {
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = palette.background;
  context.strokeText(text, x, y);
  context.fillStyle = color;
  context.fillText(text, x, y);
}

function weights(context: CanvasRenderingContext2D, picture: Picture): void {
  const { lesson, palette } = picture;
  if (!lesson.small || lesson.child.length > MOST_WEIGHTS) return;
  const size = 10.5 * growth(picture.camera);
  context.font = `${size}px ${palette.font}`;
  for (let e = 0; e < lesson.child.length; e++) {
    if (lesson.nodes[lesson.parent[e]].kind !== "sum") continue;
    const [x0, y0, x1, y1] = ends(picture, e);
    const [text, x, y] = [exact(lesson.weight[e]), 0.5 * (x0 + x1), 0.5 * (y0 + y1)];
    // An outline would let a wide edge show between the digits.
    const width = context.measureText(text).width + 4;
    context.fillStyle = palette.background;
    context.fillRect(x - 0.5 * width, y - 0.6 * size, width, 1.2 * size);
    outlined(context, palette, text, x, y, palette.muted);
  }
}

function words(context: CanvasRenderingContext2D, picture: Picture, seen: number[]): void {
  const { lesson, palette, at, trace, pass } = picture;
  const { x, y, layer } = lesson.placement;
  const grown = growth(picture.camera);
  for (const i of seen) {
    const below = y[i] + RADIUS + 12 * grown;
    const node = lesson.nodes[i];
    const many = node.units !== undefined && node.units > 1;
    context.font = `${11 * grown}px ${palette.font}`;
    const unit = trace && many && shownDown(lesson, at, layer[i]) ? (trace.down.unit?.[i] ?? -1) : -1;
    outlined(context, palette, clip(node.name, 15) + (unit >= 0 ? `[${unit}]` : many ? ` ×${node.units}` : ""), x[i], below, palette.muted);
    if (!trace) continue;
    const up = shownUp(at, layer[i]) ? (many ? "≤ " : "") + exact(trace.up[i]) : "?";
    const down = shownDown(lesson, at, layer[i]) && pass === "flows" ? plain(trace.down.node[i]) : "";
    context.font = `700 ${12 * grown}px ${palette.font}`;
    outlined(context, palette, up, x[i], below + 14 * grown, palette.foreground);
    if (down) outlined(context, palette, `↓ ${down}`, x[i], below + 28 * grown, palette.accent);
    const die = shownDown(lesson, at, layer[i]) ? trace.down.dice.get(i) : undefined;
    if (die) {
      context.textAlign = "left";
      outlined(context, palette, `⚄ ${die.u.toFixed(3)}`, x[i] + RADIUS + 8, y[i] - 2, palette.accent);
      context.textAlign = "center";
    }
  }
}

/** Dots that carry a step's numbers from layer to layer. */
function travellers(context: CanvasRenderingContext2D, picture: Picture): void {
  const { lesson, step, travelled, palette, trace } = picture;
  if (travelled >= 1 || step.layer < 0) return;
  const { layer } = lesson.placement;
  context.fillStyle = step.way === "up" ? palette.kinds.sum : palette.accent;
  for (let e = 0; e < lesson.child.length; e++) {
    const end = step.way === "up" ? lesson.parent[e] : lesson.child[e];
    if (layer[end] !== step.layer || (step.way === "down" && !(trace && trace.down.edge[e] > 1e-4))) continue;
    const [x0, y0, x1, y1] = ends(picture, e);
    const t = step.way === "up" ? travelled : 1 - travelled;
    const s = 1 - t;
    // The same curve as the edge: its inner points share the ends' x and lie half way up.
    const x = x0 * (s * s * s + 3 * s * s * t) + x1 * (3 * s * t * t + t * t * t);
    const y = y0 * s * s * s + 1.5 * (y0 + y1) * (s * s * t + s * t * t) + y1 * t * t * t;
    context.beginPath();
    context.arc(x, y, 4.5, 0, 2 * Math.PI);
    context.fill();
  }
}
