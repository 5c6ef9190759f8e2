// What a person can do with the document, as plain functions: a button, a key and a gesture call the same one.

import { whyNot } from "./rules";
import { childrenOf, labelOf, Refusal, type DraftBlock } from "./draft";
import { arrange, placeOf, spotFor, STEP, type Place } from "./places";
import type { BuilderPart } from "./part";
import { blocksOf, type Scene } from "./scene";

export type Direction = "up" | "down" | "left" | "right";

/** The first of x1, x2, … that is no variable yet. */
export function freeVariable(part: BuilderPart): string {
  for (let i = 1; ; i++) if (!part.draft.variables.has(`x${i}`)) return `x${i}`;
}

function add(part: BuilderPart, kind: string, args: Record<string, unknown>, children: number[], at?: Place): boolean {
  const [x, y] = spotFor(part.draft, part.places, children, at);
  const id = part.session.freeId();
  if (!part.edit(kind, { id, ...args, x, y })) return false;
  part.choose(id);
  part.reveal([id]);
  return true;
}

/** A leaf over a new variable, of the family and size of the leaf that was made last. */
export function addInput(part: BuilderPart, at?: Place): boolean {
  const leaves = [...part.draft.blocks.values()].filter((block) => block.kind === "input");
  const last = leaves[leaves.length - 1];
  const distribution = last?.distribution ?? { name: "bernoulli" };
  return add(part, "add_input", { variable: freeVariable(part), distribution, nodes: last?.nodes ?? 1 }, [], at);
}

/** A product or a sum above what is selected, from left to right. */
export function addAbove(part: BuilderPart, kind: "product" | "sum", at?: Place): boolean {
  const children = inOrder(part, part.state.selection);
  return add(part, `add_${kind}`, { children }, children, at);
}

function inOrder(part: BuilderPart, ids: Iterable<number>): number[] {
  const x = (id: number) => placeOf(part.draft.get(id), part.places)?.[0] ?? 0;
  return [...ids].sort((a, b) => x(a) - x(b) || a - b);
}

/** The same block once more: a leaf over the same variable, or an inner block over the same children. */
export function duplicate(part: BuilderPart): boolean {
  const id = part.state.focus ?? [...part.state.selection][0];
  if (id === undefined) return false;
  const block = part.draft.get(id);
  const [x, y] = placeOf(block, part.places) ?? [0, 0];
  const at: Place = [x + STEP.x, y];
  const { variable, distribution, nodes = 1 } = block;
  const args = block.kind === "input" ? { variable, distribution, nodes } : { children: childrenOf(block), nodes };
  return add(part, `add_${block.kind}`, args, [], at);
}

export function remove(part: BuilderPart): boolean {
  return part.state.selection.size > 0 && part.edit("remove", { ids: [...part.state.selection] });
}

export function nudge(part: BuilderPart, dx: number, dy: number): boolean {
  return moveBy(part, part.state.selection, dx, dy);
}

export function moveBy(part: BuilderPart, ids: Iterable<number>, dx: number, dy: number): boolean {
  const moves: [number, number, number][] = [];
  for (const id of ids) {
    const [x, y] = placeOf(part.draft.get(id), part.places) ?? [0, 0];
    moves.push([id, Math.round(x + dx), Math.round(y + dy)]);
  }
  return moves.length > 0 && part.edit("move", { moves });
}

/** A fresh picture of everything; one step of undo. */
export function tidy(part: BuilderPart): boolean {
  const fresh = arrange(part.draft, [...part.draft.blocks.keys()]);
  const done = fresh.size > 0 && part.edit("move", { moves: [...fresh].map(([id, [x, y]]) => [id, x, y]) });
  if (done) part.reveal(null);
  return done;
}

/** Makes the selected blocks the roots; where they are, whatever has no parent is again. */
export function toggleRoot(part: BuilderPart): boolean {
  const ids = inOrder(part, part.state.selection);
  if (!ids.length) return false;
  const are = ids.length === part.draft.roots.length && ids.every((id) => part.draft.roots.includes(id));
  return part.edit("set_root", { ids: are ? [] : ids });
}

/** The selected blocks become a region; where they are one, it is dissolved. */
export function toggleRegion(part: BuilderPart): boolean {
  const ids = [...part.state.selection];
  if (!ids.length) return false;
  const name = part.draft.get(ids[0]).group;
  if (name !== undefined && ids.every((id) => part.draft.get(id).group === name)) return part.edit("group", { ids, name: null });
  const taken = new Set([...part.draft.blocks.values()].map((block) => block.group));
  let i = 1;
  while (taken.has(`region ${i}`)) i++;
  return part.edit("group", { ids, name: `region ${i}` });
}

/** Folds or unfolds the region of what is selected. */
export function toggleFold(part: BuilderPart): boolean {
  const [first] = part.state.selection;
  const name = first === undefined ? undefined : part.draft.get(first).group;
  if (name === undefined) return false;
  part.fold(name);
  return true;
}

export function selectAll(part: BuilderPart): void {
  part.select(part.draft.blocks.keys(), part.state.focus);
}

export interface Connecting {
  from: number;
  /** Which end is sought. */
  wants: "parent" | "child";
}

export function endsOf(connecting: Connecting, other: number): { parent: number; child: number } {
  const { from, wants } = connecting;
  return wants === "parent" ? { parent: other, child: from } : { parent: from, child: other };
}

/** Null where the connection is legal, else why it is not. */
export function reasonAgainst(part: BuilderPart, connecting: Connecting, other: number): string | null {
  const { parent, child } = endsOf(connecting, other);
  try {
    return whyNot(part.draft, parent, child);
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

export function connect(part: BuilderPart, connecting: Connecting, other: number): boolean {
  return part.edit("connect", { ...endsOf(connecting, other) });
}

/** One of two selected blocks is a child of the other: no longer. */
export function disconnect(part: BuilderPart): boolean {
  const ids = [...part.state.selection];
  if (ids.length !== 2) return false;
  const [a, b] = ids;
  const parent = childrenOf(part.draft.get(a)).includes(b) ? a : b;
  return part.edit("disconnect", { parent, child: parent === a ? b : a });
}

/** Where an arrow key leads: up and down along edges where there are some, else to the nearest block on that side. */
export function neighbour(part: BuilderPart, scene: Scene, from: number | null, to: Direction, edges = true): number | null {
  const start = from === null ? undefined : scene.index.get(from);
  if (start === undefined) return topmost(part, scene);
  if (edges && (to === "up" || to === "down")) {
    const linked: number[] = [];
    for (let e = 0; e < scene.edges.length; e += 2) {
      const [child, parent] = [scene.edges[e], scene.edges[e + 1]];
      if (to === "up" ? child === start : parent === start) linked.push(to === "up" ? parent : child);
    }
    const nearest = least(linked, (i) => Math.abs(scene.x[i] - scene.x[start]));
    if (nearest !== null) return blocksOf(scene, nearest)[0];
  }
  const [ux, uy] = { up: [0, -1], down: [0, 1], left: [-1, 0], right: [1, 0] }[to];
  const ahead: number[] = [];
  for (let i = 0; i < scene.count; i++)
    if ((scene.x[i] - scene.x[start]) * ux + (scene.y[i] - scene.y[start]) * uy > 1) ahead.push(i);
  const found = least(ahead, (i) => {
    const [dx, dy] = [scene.x[i] - scene.x[start], scene.y[i] - scene.y[start]];
    return Math.abs(dx * ux + dy * uy) + 3 * Math.abs(dx * uy - dy * ux);
  });
  return found === null ? from : blocksOf(scene, found)[0];
}

function topmost(part: BuilderPart, scene: Scene): number | null {
  const tops = part.draft.tops();
  if (!tops.length) return null;
  const best = least(tops.map((id) => scene.index.get(id)!), (i) => scene.y[i]);
  return best === null ? null : blocksOf(scene, best)[0];
}

function least(nodes: Iterable<number>, cost: (node: number) => number): number | null {
  let best: number | null = null;
  let lowest = Infinity;
  for (const i of nodes) {
    const value = cost(i);
    if (value < lowest) [best, lowest] = [i, value];
  }
  return best;
}

/** For the screen reader: a block in one sentence. */
export function sentence(part: BuilderPart, block: DraftBlock): string {
  const { draft } = part;
  const scope = draft.scope.get(block.id)!;
  const { names, more } = draft.chips(scope, 4);
  const nodes = draft.nodes.get(block.id)!;
  const over = names.length ? ` over ${names.join(", ")}${more ? ` and ${more} more` : ""}` : "";
  const children = block.kind === "input" ? "" : `, ${childrenOf(block).length} children`;
  return `${labelOf(block)}: ${block.kind}${over}, ${nodes} ${nodes === 1 ? "node" : "nodes"}${children}`;
}
