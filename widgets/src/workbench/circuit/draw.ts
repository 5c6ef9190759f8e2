// Draws a circuit on a canvas. Detail follows the zoom: points, then shapes, then symbols, then words.

import type { Circuit, Kind } from "../protocol";
import type { Palette } from "../theme";
import type { Camera } from "../stage/camera";
import type { Placement } from "./layout";

export interface Scene {
  circuit: Circuit;
  placement: Placement;
  camera: Camera;
  palette: Palette;
  selection: ReadonlySet<number>;
  /** Ids, as in `selection`. */
  hovered: ReadonlySet<number>;
  focused: number | null;
  width: number;
  height: number;
}

export const SYMBOL: Record<Kind, string> = { input: "ƒ", product: "×", sum: "+" };
const CURVES_UP_TO = 6000;

/** Grows with the number of nodes, slowly: a block of 256 must not hide its neighbours. */
export function radius(nodes: number): number {
  return 14 + Math.min(8, Math.log2(Math.max(1, nodes)));
}

/** Position of the block under a point of the layout, or null. */
export function hit(circuit: Circuit, placement: Placement, x: number, y: number, slack: number): number | null {
  let best: number | null = null;
  let closest = Infinity;
  for (let i = 0; i < circuit.blocks.length; i++) {
    const distance = Math.hypot(placement.x[i] - x, placement.y[i] - y);
    if (distance < closest && distance <= radius(circuit.blocks[i].nodes) + slack) {
      closest = distance;
      best = i;
    }
  }
  return best;
}

export function trace(context: CanvasRenderingContext2D, kind: Kind, x: number, y: number, r: number): void {
  if (kind === "sum") {
    context.moveTo(x + r, y);
    context.arc(x, y, r, 0, 2 * Math.PI);
  } else if (kind === "product") {
    const s = 0.88 * r;
    context.roundRect(x - s, y - s, 2 * s, 2 * s, 0.28 * r);
  } else {
    const [w, h] = [1.02 * r, 0.9 * r];
    context.moveTo(x, y - h * 1.08); // a house: leaves stand on the ground
    context.lineTo(x + w, y - 0.2 * h);
    context.lineTo(x + w * 0.82, y + h);
    context.lineTo(x - w * 0.82, y + h);
    context.lineTo(x - w, y - 0.2 * h);
    context.closePath();
  }
}

function visible(scene: Scene, i: number, margin: number): boolean {
  const { camera, placement } = scene;
  const x = placement.x[i] * camera.scale + camera.x;
  const y = placement.y[i] * camera.scale + camera.y;
  return x > -margin && y > -margin && x < scene.width + margin && y < scene.height + margin;
}

function edgePath(context: CanvasRenderingContext2D, scene: Scene, child: number, parent: number, curved: boolean): void {
  const { placement, circuit } = scene;
  const fromY = placement.y[child] - radius(circuit.blocks[child].nodes);
  const toY = placement.y[parent] + radius(circuit.blocks[parent].nodes);
  context.moveTo(placement.x[child], fromY);
  if (!curved) return context.lineTo(placement.x[parent], toY);
  const middle = (fromY + toY) / 2;
  context.bezierCurveTo(placement.x[child], middle, placement.x[parent], middle, placement.x[parent], toY);
}

function drawEdges(context: CanvasRenderingContext2D, scene: Scene): void {
  const { circuit, camera, palette, selection, hovered } = scene;
  const { edges, blocks } = circuit;
  const curved = edges.length / 2 <= CURVES_UP_TO && camera.scale > 0.12;
  const lit: number[] = [];
  context.lineWidth = Math.max(1.2, 0.8 / camera.scale); // never thinner than the screen can show
  context.strokeStyle = palette.muted;
  context.globalAlpha = selection.size ? Math.max(0.08, Math.min(0.22, 16 / Math.sqrt(edges.length + 1))) : Math.max(0.14, Math.min(0.55, 40 / Math.sqrt(edges.length + 1)));
  context.beginPath();
  for (let e = 0; e < edges.length; e += 2) {
    const [child, parent] = [edges[e], edges[e + 1]];
    const [below, above] = [blocks[child].id, blocks[parent].id];
    if (selection.has(below) || selection.has(above) || hovered.has(below) || hovered.has(above)) lit.push(e);
    else if (visible(scene, child, 2000) || visible(scene, parent, 2000)) edgePath(context, scene, child, parent, curved);
  }
  context.stroke();
  context.globalAlpha = 0.85;
  context.strokeStyle = palette.accent;
  context.beginPath();
  for (const e of lit) edgePath(context, scene, edges[e], edges[e + 1], curved);
  context.stroke();
  context.globalAlpha = 1;
}

function drawShapes(context: CanvasRenderingContext2D, scene: Scene, shown: number[]): void {
  const { circuit, placement, palette, selection, camera } = scene;
  const dim = selection.size > 0;
  for (const i of shown) {
    const block = circuit.blocks[i];
    const r = radius(block.nodes);
    const chosen = selection.has(block.id);
    const over = scene.hovered.has(block.id);
    context.globalAlpha = dim && !chosen && !over ? 0.32 : 1;
    context.beginPath();
    trace(context, block.kind, placement.x[i], placement.y[i], r);
    context.fillStyle = palette.kinds[block.kind];
    context.fill();
    if (chosen || over || i === scene.focused) {
      context.beginPath();
      trace(context, block.kind, placement.x[i], placement.y[i], r + 4.5);
      context.lineWidth = Math.max(2.5, 1.6 / camera.scale);
      context.strokeStyle = i === scene.focused ? palette.foreground : palette.accent;
      context.setLineDash(i === scene.focused ? [4, 3] : []);
      context.stroke();
      context.setLineDash([]);
    }
    if (camera.scale > 0.24) {
      context.fillStyle = palette.background;
      context.font = `600 ${Math.round(r * (block.kind === "input" ? 0.95 : 1.3))}px ${palette.font}`;
      context.fillText(SYMBOL[block.kind], placement.x[i], placement.y[i] + (block.kind === "input" ? 3 : 1.5));
    }
  }
  context.globalAlpha = 1;
}

function clip(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** A label with the paper's colour around each letter: lines may run behind it. */
function outlined(context: CanvasRenderingContext2D, text: string, x: number, y: number): void {
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
}

function drawLabels(context: CanvasRenderingContext2D, scene: Scene, shown: number[]): void {
  const { circuit, placement, palette, selection } = scene;
  context.lineJoin = "round";
  context.lineWidth = 4;
  context.strokeStyle = palette.background;
  for (const i of shown) {
    const block = circuit.blocks[i];
    const below = placement.y[i] + radius(block.nodes) + 10;
    context.globalAlpha = selection.size && !selection.has(block.id) ? 0.4 : 1;
    context.font = `600 11px ${palette.font}`;
    context.fillStyle = palette.foreground;
    outlined(context, clip(block.name, 15), placement.x[i], below);
    context.font = `10px ${palette.font}`;
    context.fillStyle = palette.muted;
    outlined(context, `${block.nodes} × ${clip(block.scope, 12)}`, placement.x[i], below + 13);
  }
  context.globalAlpha = 1;
}

/** Far away a block is a few pixels: rectangles in one path a kind are all that is needed. */
function drawPoints(context: CanvasRenderingContext2D, scene: Scene, shown: number[]): void {
  const { circuit, placement, palette, selection, hovered, camera } = scene;
  const lit = (id: number) => selection.has(id) || hovered.has(id);
  const size = Math.max(2.6 / camera.scale, 24);
  for (const kind of ["input", "product", "sum"] as const) {
    for (const chosen of [false, true]) {
      context.fillStyle = chosen ? palette.accent : palette.kinds[kind];
      context.globalAlpha = selection.size && !chosen ? 0.45 : 1;
      const grown = chosen ? Math.max(1.5 * size, 5 / camera.scale) : size;
      for (const i of shown) {
        const block = circuit.blocks[i];
        if (block.kind !== kind || lit(block.id) !== chosen) continue;
        context.fillRect(placement.x[i] - grown / 2, placement.y[i] - grown / 2, grown, grown);
      }
    }
  }
  context.globalAlpha = 1;
}

export function draw(context: CanvasRenderingContext2D, scene: Scene): void {
  const { camera } = scene;
  context.clearRect(0, 0, scene.width, scene.height);
  context.save();
  context.translate(camera.x, camera.y);
  context.scale(camera.scale, camera.scale);
  context.textAlign = "center";
  context.textBaseline = "middle";
  drawEdges(context, scene);
  const shown: number[] = [];
  for (let i = 0; i < scene.circuit.blocks.length; i++) if (visible(scene, i, 60)) shown.push(i);
  if (camera.scale < 0.1) drawPoints(context, scene, shown);
  else drawShapes(context, scene, shown);
  if (camera.scale > 0.62) drawLabels(context, scene, shown);
  context.restore();
}
