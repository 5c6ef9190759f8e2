// The passes over a small circuit, in the log domain and float64. The same formulas as pcbench.execute, node by node.

import type { Lesson, Mark, Marks } from "./lesson";
import { normal, uniform } from "./noise";

export type Semantics = "sum" | "max";

/** log Σ exp; −∞ for nothing but −∞. */
export function logSum(logs: ArrayLike<number>): number {
  let peak = -Infinity;
  for (let i = 0; i < logs.length; i++) peak = Math.max(peak, logs[i]);
  if (peak === -Infinity) return peak;
  let sum = 0;
  for (let i = 0; i < logs.length; i++) sum += Math.exp(logs[i] - peak);
  return peak + Math.log(sum);
}

export function marksByVariable(lesson: Lesson, marks: Marks): (Mark | undefined)[] {
  return lesson.variables.map(({ name }) => marks[name]);
}

/** Log density of a normal leaf. */
function density(x: number, mean: number, variance: number): number {
  return -0.5 * ((x - mean) ** 2 / variance + Math.log(2 * Math.PI * variance));
}

/** Log value of a leaf: of what is observed, of the weighted values, or 0 where it is summed out (its mode's, where maximised). */
export function leafValue(lesson: Lesson, i: number, mark: Mark | undefined, semantics: Semantics): number {
  const node = lesson.nodes[i];
  const table = lesson.tables[i];
  if (table === null) {
    const [mean, variance] = [node.mean!, node.variance!];
    if (mark?.kind === "value") return density(mark.value, mean, variance);
    return semantics === "max" ? density(mean, mean, variance) : 0;
  }
  if (mark?.kind === "value") return table[mark.value];
  if (mark?.kind === "soft") {
    const weighed = table.map((log, value) => log + Math.log(mark.weights[value]));
    return semantics === "max" ? Math.max(...weighed) : logSum(weighed);
  }
  return semantics === "max" ? table.reduce((a, b) => Math.max(a, b), -Infinity) : 0;
}

/** Log value of every node: [nodes]. */
export function upward(lesson: Lesson, known: (Mark | undefined)[], semantics: Semantics = "sum"): Float64Array {
  const { nodes, start, child, weight } = lesson;
  const out = new Float64Array(nodes.length);
  for (let i = 0; i < nodes.length; i++) {
    const { kind, variable } = nodes[i];
    if (kind === "input") {
      out[i] = leafValue(lesson, i, known[variable!], semantics);
      continue;
    }
    let [peak, total] = [-Infinity, 0];
    for (let e = start[i]; e < start[i + 1]; e++) {
      total += out[child[e]];
      peak = Math.max(peak, weight[e] + out[child[e]]);
    }
    if (kind === "product") out[i] = total;
    else if (semantics === "max" || peak === -Infinity) out[i] = peak;
    else {
      let sum = 0;
      for (let e = start[i]; e < start[i + 1]; e++) sum += Math.exp(weight[e] + out[child[e]] - peak);
      out[i] = peak + Math.log(sum);
    }
  }
  return out;
}

/** What comes down from the output: through every node and every edge. For one path it is 0 or 1. */
export interface Down {
  node: Float64Array;
  edge: Float64Array;
  /** The die at each sum of a sampled path. */
  dice: Map<number, { u: number; edge: number }>;
  /** Which of a block's nodes is on the path, −1 where none is; of circuits that are shown block by block. */
  unit?: Float64Array;
}

function nothing(lesson: Lesson): Down {
  return { node: new Float64Array(lesson.nodes.length), edge: new Float64Array(lesson.child.length), dice: new Map() };
}

/** Flows: the probability that a node, or an edge, is part of the tree that explains the evidence. */
export function flows(lesson: Lesson, up: Float64Array, output: number): Down {
  const { nodes, start, child, weight } = lesson;
  const down = nothing(lesson);
  if (up[output] > -Infinity) down.node[output] = 1;
  for (let i = nodes.length - 1; i >= 0; i--) {
    const flow = down.node[i];
    if (flow === 0) continue;
    for (let e = start[i]; e < start[i + 1]; e++) {
      down.edge[e] = nodes[i].kind === "sum" ? flow * Math.exp(weight[e] + up[child[e]] - up[i]) : flow;
      down.node[child[e]] += down.edge[e];
    }
  }
  return down;
}

/** One child at each active sum, all children of each active product. */
function descend(lesson: Lesson, output: number, pick: (i: number, down: Down) => number): Down {
  const { nodes, start, child } = lesson;
  const down = nothing(lesson);
  down.node[output] = 1;
  const follow = (e: number) => {
    down.edge[e] = 1;
    down.node[child[e]] = 1;
  };
  for (let i = output; i >= 0; i--) {
    if (!down.node[i]) continue;
    if (nodes[i].kind === "sum") follow(pick(i, down));
    else for (let e = start[i]; e < start[i + 1]; e++) follow(e);
  }
  return down;
}

export interface Tree {
  down: Down;
  /** A value for each variable; null where no active leaf speaks of it. */
  state: (number | null)[];
}

/** The best tree under the values of a max-product pass; null where the evidence is impossible. */
export function bestTree(lesson: Lesson, up: Float64Array, known: (Mark | undefined)[], output: number): Tree | null {
  if (up[output] === -Infinity) return null;
  const down = descend(lesson, output, (i) => {
    let best = lesson.start[i];
    for (let e = best; e < lesson.start[i + 1]; e++)
      if (lesson.weight[e] + up[lesson.child[e]] > lesson.weight[best] + up[lesson.child[best]]) best = e;
    return best;
  });
  const state = decode(lesson, known, down, (i, scores) =>
    scores === null ? lesson.nodes[i].mean! : scores.indexOf(scores.reduce((a, b) => Math.max(a, b), -Infinity)),
  );
  return { down, state };
}

/** Sample `row` of a seed: the one that `pcbench.sample` draws, too. Null where the evidence is impossible. */
export function drawTree(
  lesson: Lesson, up: Float64Array, known: (Mark | undefined)[], output: number, seed: number, row: number,
): Tree | null {
  if (up[output] === -Infinity) return null;
  const { nodes, start, child, weight } = lesson;
  const down = descend(lesson, output, (i, below) => {
    const u = uniform(seed, row, nodes[i].block);
    const scores = Array.from({ length: start[i + 1] - start[i] }, (_, k) => Math.exp(weight[start[i] + k] + up[child[start[i] + k]] - up[i]));
    const edge = start[i] + invert(scores, u);
    below.dice.set(i, { u, edge });
    return edge;
  });
  const state = decode(lesson, known, down, (i, scores) => {
    const u = uniform(seed, row, nodes[i].block);
    if (scores === null) return nodes[i].mean! + Math.sqrt(nodes[i].variance!) * normal(u);
    return invert(Array.from(scores, Math.exp), u);
  });
  return { down, state };
}

/** Index whose share of [0, total) holds u · total. */
function invert(scores: readonly number[], u: number): number {
  const total = scores.reduce((sum, score) => sum + score, 0);
  let below = 0;
  for (let i = 0; i < scores.length; i++) {
    below += scores[i];
    if (below > u * total) return i;
  }
  return scores.length - 1;
}

/** Values of the active leaves; `choose` is given log scores of the values, or null for a real leaf. */
function decode(
  lesson: Lesson, known: (Mark | undefined)[], down: Down, choose: (leaf: number, scores: Float64Array | null) => number,
): (number | null)[] {
  const state: (number | null)[] = known.map((mark) => (mark?.kind === "value" ? mark.value : null));
  for (let i = 0; i < lesson.nodes.length; i++) {
    const { kind, variable } = lesson.nodes[i];
    if (kind !== "input" || !down.node[i] || known[variable!]?.kind === "value") continue;
    const mark = known[variable!];
    const table = lesson.tables[i];
    const scores = table && mark?.kind === "soft" ? table.map((log, value) => log + Math.log(mark.weights[value])) : table;
    state[variable!] = choose(i, scores);
  }
  return state;
}

/** log of what the circuit gives a complete state, weighed by soft evidence. */
export function stateLog(lesson: Lesson, known: (Mark | undefined)[], state: readonly (number | null)[], output: number): number {
  const all = state.map((value, v): Mark | undefined => (value === null ? known[v] : { kind: "value", value }));
  let soft = 0;
  known.forEach((mark, v) => {
    if (mark?.kind === "soft" && state[v] !== null) soft += Math.log(mark.weights[state[v]]);
  });
  return upward(lesson, all)[output] + soft;
}
