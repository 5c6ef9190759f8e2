// Where an arrow key leads: up to a parent, down to a child, left and right along the row.

import type { Circuit } from "../protocol";
import type { Placement } from "./layout";

export type Direction = "up" | "down" | "left" | "right";

function nearest(candidates: number[], x: number, placement: Placement): number | null {
  let best: number | null = null;
  for (const i of candidates)
    if (best === null || Math.abs(placement.x[i] - x) < Math.abs(placement.x[best] - x)) best = i;
  return best;
}

/** The next block, or the same one where there is none in that direction; the first root when nothing is chosen. */
export function neighbour(circuit: Circuit, placement: Placement, from: number | null, to: Direction): number | null {
  if (from === null) {
    const top = placement.rows[placement.rows.length - 1];
    return top?.[0] ?? null;
  }
  if (to === "left" || to === "right") {
    const row = placement.rows[placement.layer[from]];
    return row[row.indexOf(from) + (to === "right" ? 1 : -1)] ?? from;
  }
  const [near, far] = to === "up" ? [0, 1] : [1, 0];
  const candidates: number[] = [];
  for (let e = 0; e < circuit.edges.length; e += 2)
    if (circuit.edges[e + near] === from) candidates.push(circuit.edges[e + far]);
  return nearest(candidates, placement.x[from], placement) ?? from;
}
