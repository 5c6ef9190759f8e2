// What stands on the canvas, as arrays that can be walked through in every frame: blocks, edges, regions. A folded
// region is one node in place of its blocks.

import type { Kind } from "../protocol";
import { childrenOf, type Draft } from "./draft";
import { CARD, placeOf, type Place, type Places } from "./places";

export const NODE_KINDS = ["input", "product", "sum", "region"] as const;
export type NodeKind = Kind | "region";

export interface Bounds {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface Region extends Bounds {
  name: string;
  ids: number[];
  /** Its place among the nodes when it is folded. */
  node: number | null;
}

export interface Scene {
  count: number;
  /** A block's id; −1 − r for the folded region r. */
  ids: Int32Array;
  /** The node of every block, folded ones that of their region. */
  index: ReadonlyMap<number, number>;
  x: Float64Array;
  y: Float64Array;
  /** Positions in `NODE_KINDS`. */
  kind: Uint8Array;
  units: Int32Array;
  /** Pairs (child, parent) of nodes. */
  edges: Int32Array;
  regions: Region[];
  bounds: Bounds;
}

const NOWHERE: Bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
const REGION_AIR = 18;
/** Painted labels of the lowest blocks lie below them. */
const LABEL = 24;

export function buildScene(draft: Draft, places: Places, folded: ReadonlySet<string>): Scene {
  const regions = findRegions(draft);
  const index = new Map<number, number>();
  const ids: number[] = [];
  regions.forEach((region, r) => {
    if (!folded.has(region.name)) return;
    region.node = ids.length;
    for (const id of region.ids) index.set(id, ids.length);
    ids.push(-1 - r);
  });
  for (const id of draft.blocks.keys())
    if (!index.has(id)) {
      index.set(id, ids.length);
      ids.push(id);
    }
  const count = ids.length;
  const scene: Scene = {
    count,
    ids: Int32Array.from(ids),
    index,
    x: new Float64Array(count),
    y: new Float64Array(count),
    kind: new Uint8Array(count),
    units: new Int32Array(count),
    edges: collectEdges(draft, index),
    regions,
    bounds: { ...NOWHERE },
  };
  ids.forEach((id, i) => {
    const region = id < 0 ? regions[-1 - id] : null;
    const block = region ? null : draft.get(id);
    const [x, y] = region ? middle(draft, places, region.ids) : (placeOf(block!, places) ?? [0, 0]);
    scene.x[i] = x;
    scene.y[i] = y;
    scene.kind[i] = region ? 3 : NODE_KINDS.indexOf(block!.kind);
    scene.units[i] = region ? region.ids.length : draft.nodes.get(id)!;
  });
  scene.bounds = boundsOf(scene, ids.keys());
  for (const region of regions) frame(region, draft, places, scene);
  return scene;
}

function findRegions(draft: Draft): Region[] {
  const byName = new Map<string, Region>();
  for (const block of draft.blocks.values()) {
    if (block.group === undefined) continue;
    const known = byName.get(block.group);
    if (known) known.ids.push(block.id);
    else byName.set(block.group, { name: block.group, ids: [block.id], node: null, ...NOWHERE });
  }
  return [...byName.values()];
}

function collectEdges(draft: Draft, index: ReadonlyMap<number, number>): Int32Array {
  const edges: number[] = [];
  const seen = new Set<number>();
  const size = draft.blocks.size + 1;
  for (const block of draft.blocks.values()) {
    const parent = index.get(block.id)!;
    for (const id of childrenOf(block)) {
      const child = index.get(id)!;
      const key = child * size + parent;
      if (child === parent || seen.has(key)) continue;
      seen.add(key);
      edges.push(child, parent);
    }
  }
  return Int32Array.from(edges);
}

function middle(draft: Draft, places: Places, ids: readonly number[]): Place {
  let [x, y] = [0, 0];
  for (const id of ids) {
    const place = placeOf(draft.get(id), places) ?? [0, 0];
    x += place[0];
    y += place[1];
  }
  return [x / ids.length, y / ids.length];
}

export function boundsOf(scene: Pick<Scene, "x" | "y">, nodes: Iterable<number>): Bounds {
  const bounds = { ...NOWHERE };
  for (const i of nodes) widen(bounds, scene.x[i], scene.y[i], 0);
  return bounds.left > bounds.right ? { left: 0, top: 0, right: 0, bottom: 0 } : bounds;
}

function widen(bounds: Bounds, x: number, y: number, air: number): void {
  bounds.left = Math.min(bounds.left, x - CARD.width / 2 - air);
  bounds.right = Math.max(bounds.right, x + CARD.width / 2 + air);
  bounds.top = Math.min(bounds.top, y - CARD.height / 2 - air);
  bounds.bottom = Math.max(bounds.bottom, y + CARD.height / 2 + air);
}

function frame(region: Region, draft: Draft, places: Places, scene: Scene): void {
  if (region.node !== null) return widen(region, scene.x[region.node], scene.y[region.node], 0);
  for (const id of region.ids) {
    const [x, y] = placeOf(draft.get(id), places) ?? [0, 0];
    widen(region, x, y, REGION_AIR);
  }
  region.bottom += LABEL;
}

/** The same scene with some nodes elsewhere, for as long as they are dragged. */
export function shifted(scene: Scene, nodes: ReadonlySet<number>, dx: number, dy: number): Scene {
  const x = scene.x.slice();
  const y = scene.y.slice();
  for (const i of nodes) {
    x[i] += dx;
    y[i] += dy;
  }
  return { ...scene, x, y };
}

/** The blocks behind a node: one, or all of a folded region. */
export function blocksOf(scene: Scene, node: number): number[] {
  const id = scene.ids[node];
  return id < 0 ? scene.regions[-1 - id].ids : [id];
}
