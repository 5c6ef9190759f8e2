// A layered layout of our own: longest path for the layers, barycentre sweeps for the order within them.
// Circuits are layered already, so this takes milliseconds where general graph layouts take minutes.

export interface Graph {
  count: number;
  /** Pairs (child, parent) of positions 0 … count − 1. */
  edges: Int32Array;
}

export interface Placement {
  x: Float64Array;
  y: Float64Array;
  /** Layer of every block, 0 at the bottom. */
  layer: Int32Array;
  /** Positions of the blocks of each layer, from left to right. */
  rows: number[][];
  width: number;
  height: number;
}

export const GAP_X = 92;
export const GAP_Y = 86;
const WRAP_GAP_Y = 66;
const SWEEPS = 6;
/** From so many edges on, sweeps cost more time than they save crossings that one could see. */
const [LARGE, SWEEPS_OF_LARGE] = [12_000, 2];

interface Adjacency {
  start: Int32Array;
  list: Int32Array;
}

/** Neighbours as offsets into one list: `side` 0 groups by child (gives parents), 1 by parent (gives children). */
function adjacency(graph: Graph, side: 0 | 1): Adjacency {
  const { count, edges } = graph;
  const start = new Int32Array(count + 1);
  for (let e = side; e < edges.length; e += 2) start[edges[e] + 1]++;
  for (let i = 0; i < count; i++) start[i + 1] += start[i];
  const cursor = start.slice(0, count);
  const list = new Int32Array(edges.length / 2);
  for (let e = 0; e < edges.length; e += 2) list[cursor[edges[e + side]]++] = edges[e + 1 - side];
  return { start, list };
}

/** Children before parents (Kahn); throws on a cycle, since a circuit has none. */
function topological(graph: Graph, parents: Adjacency): Int32Array {
  const waiting = new Int32Array(graph.count);
  for (let e = 1; e < graph.edges.length; e += 2) waiting[graph.edges[e]]++;
  const order = new Int32Array(graph.count);
  let filled = 0;
  for (let i = 0; i < graph.count; i++) if (waiting[i] === 0) order[filled++] = i;
  for (let head = 0; head < filled; head++) {
    const block = order[head];
    for (let k = parents.start[block]; k < parents.start[block + 1]; k++)
      if (--waiting[parents.list[k]] === 0) order[filled++] = parents.list[k];
  }
  if (filled !== graph.count) throw new Error("the circuit has a cycle");
  return order;
}

/** Longest path from the leaves; then every leaf moves up to just below its lowest parent, so that edges stay short. */
export function assignLayers(graph: Graph): Int32Array {
  const parents = adjacency(graph, 0);
  const children = adjacency(graph, 1);
  const layer = new Int32Array(graph.count);
  for (const block of topological(graph, parents))
    for (let k = parents.start[block]; k < parents.start[block + 1]; k++)
      layer[parents.list[k]] = Math.max(layer[parents.list[k]], layer[block] + 1);
  for (let block = 0; block < graph.count; block++) {
    const isLeaf = children.start[block] === children.start[block + 1];
    if (!isLeaf || parents.start[block] === parents.start[block + 1]) continue;
    let lowest = Infinity;
    for (let k = parents.start[block]; k < parents.start[block + 1]; k++)
      lowest = Math.min(lowest, layer[parents.list[k]]);
    layer[block] = lowest - 1;
  }
  return layer;
}

function mean(adjacent: Adjacency, block: number, position: Float64Array): number {
  const from = adjacent.start[block];
  const to = adjacent.start[block + 1];
  if (from === to) return position[block];
  let sum = 0;
  for (let k = from; k < to; k++) sum += position[adjacent.list[k]];
  return sum / (to - from);
}

/** The first order: depth first from the roots, so that a tree comes out without a crossing before any sweep. */
function initialRows(graph: Graph, layer: Int32Array, children: Adjacency, parents: Adjacency): number[][] {
  const depth = layer.reduce((most, value) => Math.max(most, value), -1) + 1;
  const rows: number[][] = Array.from({ length: depth }, () => []);
  const seen = new Uint8Array(graph.count);
  const stack: number[] = [];
  for (let i = graph.count - 1; i >= 0; i--) if (parents.start[i] === parents.start[i + 1]) stack.push(i);
  while (stack.length > 0) {
    const block = stack.pop()!;
    if (seen[block]) continue;
    seen[block] = 1;
    rows[layer[block]].push(block);
    for (let k = children.start[block + 1] - 1; k >= children.start[block]; k--) stack.push(children.list[k]);
  }
  return rows;
}

function sweep(rows: number[][], adjacent: Adjacency, position: Float64Array, upward: boolean): void {
  for (let step = 0; step < rows.length; step++) {
    const row = rows[upward ? step : rows.length - 1 - step];
    const wish = new Map(row.map((block) => [block, mean(adjacent, block, position)]));
    row.sort((a, b) => wish.get(a)! - wish.get(b)! || position[a] - position[b]);
    row.forEach((block, i) => (position[block] = (i + 0.5) / row.length)); // rows of all lengths share one scale
  }
}

/** Moves each block of a row towards its neighbours' middle, keeping the order and the least distance. */
function relax(row: number[], adjacent: Adjacency, x: Float64Array): void {
  const wish = row.map((block) => mean(adjacent, block, x));
  // Pool adjacent violators on (wish − i·gap): the least-squares solution under the distance constraint.
  const pools: { sum: number; size: number }[] = [];
  wish.forEach((value, i) => {
    pools.push({ sum: value - i * GAP_X, size: 1 });
    while (pools.length > 1) {
      const last = pools[pools.length - 1];
      const before = pools[pools.length - 2];
      if (before.sum / before.size <= last.sum / last.size) break;
      before.sum += last.sum;
      before.size += last.size;
      pools.pop();
    }
  });
  let i = 0;
  for (const pool of pools) for (let k = 0; k < pool.size; k++, i++) x[row[i]] = pool.sum / pool.size + i * GAP_X;
}

/** Very wide rows are folded into several lines, or a row of 784 pixels would make everything else invisible. */
function lines(row: number[], most: number): number {
  return Math.max(1, Math.ceil(row.length / most));
}

function place(rows: number[][], parents: Adjacency, children: Adjacency, count: number): Placement {
  const most = Math.max(24, Math.ceil(1.5 * Math.sqrt(count)));
  const x = new Float64Array(count);
  const y = new Float64Array(count);
  for (const row of rows) {
    const fold = lines(row, most);
    const columns = Math.ceil(row.length / fold);
    row.forEach((block, i) => (x[block] = (Math.floor(i / fold) - (columns - 1) / 2 + (i % fold) / fold) * GAP_X));
  }
  for (let round = 0; round < 5; round++) {
    // The last round looks down, so that a parent ends in the middle of its children.
    const adjacent = round % 2 === 0 ? children : parents;
    const order = round % 2 === 0 ? rows : [...rows].reverse();
    for (const row of order) if (lines(row, most) === 1) relax(row, adjacent, x);
  }
  let height = 0;
  for (let r = rows.length - 1; r >= 0; r--) {
    const fold = lines(rows[r], most);
    rows[r].forEach((block, i) => (y[block] = height + (i % fold) * WRAP_GAP_Y));
    height += (fold - 1) * WRAP_GAP_Y + (r > 0 ? GAP_Y : 0);
  }
  let left = Infinity;
  let right = -Infinity;
  for (const value of x) {
    left = Math.min(left, value);
    right = Math.max(right, value);
  }
  for (let i = 0; i < count; i++) x[i] -= left;
  return { x, y, layer: new Int32Array(0), rows, width: count ? right - left : 0, height };
}

/** Roots on top. The same graph always gives the same picture. */
export function layout(graph: Graph): Placement {
  const parents = adjacency(graph, 0);
  const children = adjacency(graph, 1);
  const layer = assignLayers(graph);
  const rows = initialRows(graph, layer, children, parents);
  const position = new Float64Array(graph.count);
  for (const row of rows) row.forEach((block, i) => (position[block] = (i + 0.5) / row.length));
  let best = rows.map((row) => [...row]);
  let fewest = crossings(graph, layer, position);
  const rounds = graph.edges.length / 2 > LARGE ? SWEEPS_OF_LARGE : SWEEPS;
  for (let round = 0; round < rounds && fewest > 0; round++) {
    sweep(rows, round % 2 === 0 ? children : parents, position, round % 2 === 0);
    const now = crossings(graph, layer, position);
    if (now < fewest) {
      fewest = now;
      best = rows.map((row) => [...row]);
    }
  }
  return { ...place(best, parents, children, graph.count), layer };
}

/** Crossings between edges of the same two layers, counted with a Fenwick tree: O(e log e). */
export function crossings(graph: Graph, layer: Int32Array, position: Float64Array): number {
  const bands = new Map<string, number[]>();
  for (let e = 0; e < graph.edges.length; e += 2) {
    const key = `${layer[graph.edges[e]]}:${layer[graph.edges[e + 1]]}`;
    const band = bands.get(key);
    if (band) band.push(e);
    else bands.set(key, [e]);
  }
  let total = 0;
  for (const band of bands.values()) total += bandCrossings(graph, band, position);
  return total;
}

function bandCrossings(graph: Graph, band: number[], position: Float64Array): number {
  const child = (e: number) => position[graph.edges[e]];
  const parent = (e: number) => position[graph.edges[e + 1]];
  const ranks = new Map([...new Set(band.map(parent))].sort((a, b) => a - b).map((value, i) => [value, i + 1]));
  const tree = new Int32Array(ranks.size + 1);
  const sorted = [...band].sort((a, b) => child(a) - child(b) || parent(a) - parent(b));
  let total = 0;
  sorted.forEach((e, seen) => {
    const rank = ranks.get(parent(e))!;
    let notAbove = 0;
    for (let i = rank; i > 0; i -= i & -i) notAbove += tree[i];
    total += seen - notAbove;
    for (let i = rank; i < tree.length; i += i & -i) tree[i]++;
  });
  return total;
}
