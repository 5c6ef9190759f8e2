// Where blocks stand. A block that was moved carries its place; the others are placed here, once, and stay: an edit must
// not shake the picture. Python keeps these places, so that a reload and a file show the same picture.

import { GAP_X, GAP_Y, layout } from "../circuit/layout";
import { childrenOf, type Draft, type DraftBlock } from "./draft";

export type Place = readonly [x: number, y: number];
export type Places = ReadonlyMap<number, Place>;

/** A block as a card, in units of the picture. */
export const CARD = { width: 126, height: 60 };
export const STEP = { x: 142, y: 112 };
const [SPREAD_X, SPREAD_Y] = [STEP.x / GAP_X, STEP.y / GAP_Y];
const AIR = 8;
/** So many new blocks are placed one by one, each beside what it belongs to; more are laid out as a whole. */
const FEW = 4;

export function placeOf(block: DraftBlock, places: Places): Place | undefined {
  return block.x !== undefined && block.y !== undefined ? [block.x, block.y] : places.get(block.id);
}

/** A picture of some blocks from scratch, roots on top, its upper left corner at 0, 0. */
export function arrange(draft: Draft, ids: readonly number[]): Map<number, Place> {
  const index = new Map(ids.map((id, i) => [id, i]));
  const edges: number[] = [];
  for (const id of ids)
    for (const child of childrenOf(draft.get(id))) {
      const at = index.get(child);
      if (at !== undefined) edges.push(at, index.get(id)!);
    }
  const placed = layout({ count: ids.length, edges: Int32Array.from(edges) });
  return new Map(ids.map((id, i) => [id, [round(placed.x[i] * SPREAD_X), round(placed.y[i] * SPREAD_Y)]]));
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Places for the blocks that have none. */
export function settle(draft: Draft, places: Places): Map<number, Place> {
  const missing = [...draft.blocks.values()].filter((block) => !placeOf(block, places)).map((block) => block.id);
  if (!missing.length) return new Map();
  const known = missing.length < draft.blocks.size;
  if (missing.length > FEW || !known) {
    const fresh = arrange(draft, missing);
    if (known) {
      const all = taken(draft, places);
      const right = all.reduce((most, [x]) => Math.max(most, x), -Infinity);
      const top = all.reduce((least, [, y]) => Math.min(least, y), Infinity);
      for (const [id, [x, y]] of fresh) fresh.set(id, [x + right + 1.5 * STEP.x, y + top]);
    }
    return fresh;
  }
  const fresh = new Map<number, Place>();
  const all = new Map(places);
  for (const id of bottomUp(draft, missing)) {
    const spot = freeSpot(taken(draft, all), wish(draft, all, childrenOf(draft.get(id))));
    fresh.set(id, spot);
    all.set(id, spot);
  }
  return fresh;
}

function bottomUp(draft: Draft, ids: readonly number[]): number[] {
  const set = new Set(ids);
  const out: number[] = [];
  const visit = (id: number): void => {
    if (!set.delete(id)) return;
    childrenOf(draft.get(id)).forEach(visit);
    out.push(id);
  };
  ids.forEach(visit);
  return out;
}

function taken(draft: Draft, places: Places): Place[] {
  const out: Place[] = [];
  for (const block of draft.blocks.values()) {
    const place = placeOf(block, places);
    if (place) out.push(place);
  }
  return out;
}

/** Above the middle of the children; without children at the right end of the lowest row. */
export function wish(draft: Draft, places: Places, children: readonly number[]): Place {
  const below = children.map((id) => placeOf(draft.get(id), places)).filter((place) => place !== undefined);
  if (below.length) {
    const middle = below.reduce((sum, [x]) => sum + x, 0) / below.length;
    return [middle, Math.min(...below.map(([, y]) => y)) - STEP.y];
  }
  const all = taken(draft, places);
  if (!all.length) return [0, 0];
  const lowest = all.reduce((most, [, y]) => Math.max(most, y), -Infinity);
  const row = all.filter(([, y]) => Math.abs(y - lowest) < STEP.y / 2);
  return [row.reduce((most, [x]) => Math.max(most, x), -Infinity) + STEP.x, lowest];
}

/** The place nearest to the wished one, to its right or left, on which no block lies. */
export function freeSpot(blocks: readonly Place[], [x, y]: Place): Place {
  const near = blocks.filter((place) => Math.abs(place[1] - y) < CARD.height + AIR).map((place) => place[0]);
  const free = (at: number): boolean => near.every((other) => Math.abs(other - at) >= CARD.width + AIR);
  for (let step = 0; ; step++)
    for (const at of step ? [x + step * (STEP.x / 2), x - step * (STEP.x / 2)] : [x]) if (free(at)) return [round(at), round(y)];
}

export function spotFor(draft: Draft, places: Places, children: readonly number[], at?: Place): Place {
  return freeSpot(taken(draft, places), at ?? wish(draft, places, children));
}
