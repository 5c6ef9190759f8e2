// All worlds of a small circuit, one after another: what every answer must agree with, and where wrong circuits are found out.

import type { Lesson, Mark, Marks } from "./lesson";
import { logSum, marksByVariable, stateLog } from "./passes";

export const MOST_WORLDS = 4096;
/** Nodes and edges visited in all worlds together; a click must answer within a twentieth of a second. */
const MOST_WORK = 400_000;

export interface Worlds {
  /** Variables that are not observed, the last one counting fastest. */
  open: number[];
  states: (number | null)[][];
  /** log of what the circuit gives each world, weighed by soft evidence. */
  logs: Float64Array;
  /** log Σ over worlds. */
  total: number;
  /** Position of the most probable world. */
  best: number;
}

/** Null where there are too many, or an open variable is real. */
export function worlds(lesson: Lesson, marks: Marks, output: number): Worlds | null {
  const known = marksByVariable(lesson, marks);
  const open = lesson.scope.filter((v) => known[v]?.kind !== "value");
  let count = 1;
  for (const v of open) count *= lesson.variables[v].size ?? Infinity;
  if (count > MOST_WORLDS || count * (lesson.nodes.length + lesson.child.length) > MOST_WORK) return null;
  const state: (number | null)[] = known.map((mark) => (mark?.kind === "value" ? mark.value : null));
  const states: (number | null)[][] = [];
  const logs = new Float64Array(count);
  for (let world = 0; world < count; world++) {
    let rest = world;
    for (let k = open.length - 1; k >= 0; k--) {
      const size = lesson.variables[open[k]].size!;
      state[open[k]] = rest % size;
      rest = Math.floor(rest / size);
    }
    states.push([...state]);
    logs[world] = stateLog(lesson, known, state, output);
  }
  let best = 0;
  for (let world = 1; world < count; world++) if (logs[world] > logs[best]) best = world;
  return { open, states, logs, total: logSum(logs), best };
}

/** Probabilities of a variable's values given the evidence, by adding worlds up. */
export function posteriorOf(found: Worlds, variable: number, size: number): number[] {
  return Array.from({ length: size }, (_, value) =>
    Math.exp(logSum(found.logs.filter((_, world) => found.states[world][variable] === value)) - found.total),
  );
}

/** The marks with one variable observed. */
export function withValue(marks: Marks, name: string, value: number): Marks {
  const mark: Mark = { kind: "value", value };
  return { ...marks, [name]: mark };
}
