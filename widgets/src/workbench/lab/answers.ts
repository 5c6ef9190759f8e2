// What is asked of a circuit, and what it answers. Small circuits are answered here, large ones by the kernel, alike.

import { posteriorOf, withValue, worlds, type Worlds } from "./brute";
import { valid, type Lesson, type Marks } from "./lesson";
import { bestTree, drawTree, flows, marksByVariable, stateLog, upward, type Down } from "./passes";

export interface Posterior {
  variable: number;
  probabilities?: number[];
  /** The same by all worlds. */
  checked?: number[];
  /** Of a real variable. */
  mean?: number;
  deviation?: number;
}

export interface Result {
  /** log p(evidence) in nats. */
  log: number;
  posteriors: Posterior[];
  worlds: Worlds | null;
}

export interface Best {
  state: (number | null)[];
  log: number;
  exact: boolean;
  note: string;
}

export interface Samples {
  count: number;
  /** The first few. */
  rows: (number | null)[][];
  /** Mean of each variable over all of them. */
  means: number[];
  /** How often each world was drawn; null where worlds are too many to be listed. */
  counts: number[] | null;
}

export type Pass = "flows" | "mpe" | "sample";
export const PASSES: readonly Pass[] = ["flows", "mpe", "sample"];

/** Everything that a pass puts on the nodes: log values on the way up, what comes down, and the state at its end. */
export interface Trace {
  up: Float64Array;
  down: Down;
  state: (number | null)[] | null;
}

export function result(lesson: Lesson, marks: Marks, output: number): Result {
  const known = marksByVariable(lesson, marks);
  const up = upward(lesson, known);
  const log = up[output];
  const found = worlds(lesson, marks, output);
  const posteriors: Posterior[] = [];
  lesson.variables.forEach(({ name, size }, variable) => {
    if (marks[name]?.kind !== "query" || log === -Infinity) return;
    if (size === null) return void posteriors.push({ variable, ...moments(lesson, up, output, variable) });
    const probabilities = Array.from({ length: size }, (_, value) =>
      Math.exp(upward(lesson, marksByVariable(lesson, withValue(marks, name, value)))[output] - log),
    );
    posteriors.push({ variable, probabilities, checked: found ? posteriorOf(found, variable, size) : undefined });
  });
  return { log, posteriors, worlds: found };
}

/** Mean and deviation of a real variable: a mixture of its leaves, weighed by their flows. */
function moments(lesson: Lesson, up: Float64Array, output: number, variable: number): { mean: number; deviation: number } {
  const down = flows(lesson, up, output);
  let [mean, square] = [0, 0];
  lesson.nodes.forEach((node, i) => {
    if (node.variable !== variable) return;
    mean += down.node[i] * node.mean!;
    square += down.node[i] * (node.variance! + node.mean! ** 2);
  });
  return { mean, deviation: Math.sqrt(Math.max(0, square - mean * mean)) };
}

function tried(worlds: number): string {
  return worlds === 1 ? "everything was observed" : `all ${worlds} worlds were tried`;
}

/** `found` is what `worlds` gives: it is at hand when this is asked. */
export function best(lesson: Lesson, marks: Marks, output: number, found: Worlds | null): Best | null {
  const known = marksByVariable(lesson, marks);
  const tree = bestTree(lesson, upward(lesson, known, "max"), known, output);
  if (!tree) return null;
  const log = stateLog(lesson, known, tree.state, output);
  const soft = Object.values(marks).some((mark) => mark.kind === "soft");
  if (found && found.logs[found.best] > log + 1e-9) {
    const note = `${tried(found.logs.length)}. The best tree alone finds another state, of probability ${Math.exp(log).toPrecision(4)}: a sum mixes its children, and a maximum sees only one`;
    return { state: found.states[found.best], log: found.logs[found.best], exact: true, note };
  }
  if (found) return { state: tree.state, log, exact: true, note: `the best tree finds it, and ${tried(found.logs.length)}` };
  if (lesson.deterministic && !soft) return { state: tree.state, log, exact: true, note: "the circuit is deterministic, so that the best tree is the best state" };
  return { state: tree.state, log, exact: false, note: "a lower bound: the circuit was not shown to be deterministic, and worlds are too many to try" };
}

const SHOWN = 5;
export const MOST_LISTED = 64;

export function samples(lesson: Lesson, marks: Marks, output: number, count: number, seed: number): Samples | null {
  const known = marksByVariable(lesson, marks);
  const up = upward(lesson, known);
  const found = worlds(lesson, marks, output);
  const counts = found && found.logs.length <= MOST_LISTED ? new Array<number>(found.logs.length).fill(0) : null;
  const rows: (number | null)[][] = [];
  const means = lesson.variables.map(() => 0);
  for (let row = 0; row < count; row++) {
    const tree = drawTree(lesson, up, known, output, seed, row);
    if (!tree) return null;
    if (row < SHOWN) rows.push(tree.state);
    tree.state.forEach((value, v) => (means[v] += (value ?? 0) / count));
    if (counts) counts[found!.open.reduce((at, v) => at * lesson.variables[v].size! + tree.state[v]!, 0)]++;
  }
  return { count, rows, means, counts };
}

/** The whole pass, both ways; without a way down for a circuit whose passes mean nothing, or impossible evidence. */
export function trace(lesson: Lesson, marks: Marks, pass: Pass, output: number, seed: number, row: number): Trace {
  const known = marksByVariable(lesson, marks);
  const up = upward(lesson, known, pass === "mpe" ? "max" : "sum");
  const none: Down = { node: new Float64Array(up.length), edge: new Float64Array(lesson.child.length), dice: new Map() };
  if (!valid(lesson)) return { up, down: none, state: null };
  if (pass === "flows") return { up, down: flows(lesson, up, output), state: null };
  const tree = pass === "mpe" ? bestTree(lesson, up, known, output) : drawTree(lesson, up, known, output, seed, row);
  return { up, down: tree?.down ?? none, state: tree?.state ?? null };
}
