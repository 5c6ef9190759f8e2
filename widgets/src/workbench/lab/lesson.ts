// A circuit as Python's half of the lab sends it, and the same as arrays. Small ones come node by node with all numbers.

import { layout, type Placement } from "../circuit/layout";
import type { Kind } from "../protocol";

const STRETCH = 1.65;

export interface Variable {
  name: string;
  /** Number of values; null for a real variable. */
  size: number | null;
}

export interface WireNode {
  kind: Kind;
  name: string;
  block: number;
  /** Nodes of the block that this stands for, in a circuit that is too large to be shown node by node. */
  units?: number;
  children?: number[];
  weights?: number[];
  variable?: number;
  /** Log masses of the values 0, 1, …; null is the log of zero. */
  logs?: (number | null)[];
  mean?: number;
  variance?: number;
}

/** What is known about a variable; one that has no mark is summed out. */
export type Mark = { kind: "value"; value: number } | { kind: "soft"; weights: number[] } | { kind: "query" };
export type Marks = Readonly<Record<string, Mark>>;

export interface WireLesson {
  title: string;
  summary: string;
  small: boolean;
  variables: Variable[];
  nodes: WireNode[];
  outputs: number[];
  violations: { node: number; text: string }[];
  deterministic: boolean;
  random: boolean;
  source: string | null;
  marks: Marks;
}

export interface Lesson extends WireLesson {
  /** Edges of node i to its children: start[i] … start[i + 1] of `child` and `weight` (log; 0 below products). */
  start: Int32Array;
  child: Int32Array;
  weight: Float64Array;
  parent: Int32Array;
  /** Log masses with −∞ for impossible values; null for inner nodes and real leaves. */
  tables: (Float64Array | null)[];
  placement: Placement;
  /** Nodes layer by layer, leaves first; a step of a pass is one of them. */
  layers: number[][];
  /** Variables below the outputs: only they matter. */
  scope: number[];
}

export function lessonOf(wire: WireLesson): Lesson {
  const { nodes } = wire;
  const start = new Int32Array(nodes.length + 1);
  nodes.forEach((node, i) => (start[i + 1] = start[i] + (node.children?.length ?? 0)));
  const edges = start[nodes.length];
  const [child, parent, weight] = [new Int32Array(edges), new Int32Array(edges), new Float64Array(edges)];
  const pairs = new Int32Array(2 * edges);
  nodes.forEach((node, i) =>
    node.children?.forEach((to, k) => {
      const e = start[i] + k;
      child[e] = pairs[2 * e] = to;
      parent[e] = pairs[2 * e + 1] = i;
      weight[e] = node.weights ? Math.log(node.weights[k]) : 0;
    }),
  );
  const tables = nodes.map((node) => (node.logs ? Float64Array.from(node.logs, (log) => log ?? -Infinity) : null));
  const placement = spread(layout({ count: nodes.length, edges: pairs }));
  return { ...wire, start, child, weight, parent, tables, placement, layers: placement.rows, scope: scopeOf(wire) };
}

/** Room for a name and a number under each node, above its edges. */
function spread(placement: Placement): Placement {
  return { ...placement, y: placement.y.map((y) => STRETCH * y), height: STRETCH * placement.height };
}

function scopeOf({ nodes, outputs }: WireLesson): number[] {
  const seen = new Set<number>();
  const variables = new Set<number>();
  const stack = [...outputs];
  while (stack.length) {
    const i = stack.pop()!;
    if (seen.has(i)) continue;
    seen.add(i);
    if (nodes[i].variable !== undefined) variables.add(nodes[i].variable);
    stack.push(...(nodes[i].children ?? []));
  }
  return [...variables].sort((a, b) => a - b);
}

export function valid(lesson: Lesson): boolean {
  return lesson.violations.length === 0;
}
