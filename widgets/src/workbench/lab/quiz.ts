// « Predict first »: before a step shows its numbers, one of them is asked for, among the answers of usual mistakes.

import type { Pass, Trace } from "./answers";
import type { Lesson, Mark, Marks } from "./lesson";
import { stepOf } from "./steps";
import { exact, plain } from "./words";

export interface Option {
  text: string;
  right: boolean;
  /** What whoever chose it has in mind. */
  why: string;
}

export interface Question {
  node: number;
  text: string;
  options: Option[];
}

type Guess = [value: number, why: string];
const MOST_OPTIONS = 4;

/** Numbers in order, each once; null where no mistake would show. */
function numeric(node: number, text: string, right: Guess, wrong: Guess[]): Question | null {
  const kept = new Map([[plain(right[0]), { value: right[0], right: true, why: right[1] }]]);
  for (const [value, why] of wrong) {
    if (kept.size === MOST_OPTIONS) break;
    if (Number.isFinite(value) && !kept.has(plain(value))) kept.set(plain(value), { value, right: false, why });
  }
  if (kept.size < 2) return null;
  const options = [...kept].sort(([, a], [, b]) => a.value - b.value).map(([text, { right, why }]) => ({ text, right, why }));
  return { node, text, options };
}

function leafQuestion(lesson: Lesson, i: number, mark: Mark | undefined, max: boolean, value: number): Question | null {
  const table = lesson.tables[i];
  if (!table) return null;
  const { name } = lesson.variables[lesson.nodes[i].variable!];
  const masses = Array.from(table, Math.exp);
  const others = (why: string): Guess[] => masses.map((mass) => [mass, why]);
  if (mark?.kind === "value")
    return numeric(i, `${name} = ${mark.value} is observed. What is ${lesson.nodes[i].name}?`, [value, "a leaf gives the probability of what is observed"], [
      ...others("that is the probability of another value"),
      [1, "1 would be right if the variable were summed out"],
    ]);
  if (mark?.kind === "soft") {
    const weighed = masses.map((mass, v) => mass * mark.weights[v]);
    const sum = weighed.reduce((a, b) => a + b, 0);
    return numeric(i, `${name} has soft evidence. What is ${lesson.nodes[i].name}?`, [value, max ? "the best weighted value" : "the weighted sum over its values"], [
      [max ? sum : Math.max(...weighed), max ? "a maximum takes one value, not their sum" : "all values count, not only the best"],
      [1, "1 would be right without any evidence"],
    ]);
  }
  const right: Guess = [value, max ? "an open leaf takes its mode" : "nothing is known: its values add up to 1"];
  return numeric(i, `Nothing is known about ${name}. What is ${lesson.nodes[i].name}?`, right, [
    [max ? 1 : Math.max(...masses), max ? "1 is the sum over all values; a maximum takes the best" : "that is only one of its values"],
    [Math.min(...masses), "that is only one of its values"],
    [1 / masses.length, "that would be a guess that ignores the leaf"],
  ]);
}

function innerQuestion(lesson: Lesson, i: number, trace: Trace, max: boolean): Question | null {
  const { nodes, start, child, weight } = lesson;
  const edges = Array.from({ length: start[i + 1] - start[i] }, (_, k) => start[i] + k);
  if (edges.length < 2) return null;
  const values = edges.map((e) => Math.exp(trace.up[child[e]]));
  const weighed = edges.map((e, k) => Math.exp(weight[e]) * values[k]);
  const sum = (list: number[]) => list.reduce((a, b) => a + b, 0);
  const product = values.reduce((a, b) => a * b, 1);
  const value = Math.exp(trace.up[i]);
  const text = `What will ${nodes[i].name} be?`;
  if (nodes[i].kind === "product")
    return numeric(i, text, [value, "a product multiplies its children"], [
      [sum(values), "a product multiplies; it does not add"],
      [Math.min(...values), "the smallest child is only an upper bound"],
      [sum(values) / values.length, "that is the mean of the children"],
    ]);
  if (max)
    return numeric(i, text, [value, "the largest of weight times child"], [
      [sum(weighed), "that is the sum; here only the best child counts"],
      [Math.max(...values), "the weight counts, too"],
    ]);
  return numeric(i, text, [value, "a sum adds weight times child"], [
    [sum(values) / values.length, "that gives all children the same weight"],
    [sum(values), "the weights are missing"],
    [Math.max(...weighed), "all children count, not only the best"],
    [product, "a sum adds; it does not multiply"],
  ]);
}

function flowQuestion(lesson: Lesson, i: number, trace: Trace): Question | null {
  const { nodes, parent, child, weight, start } = lesson;
  const e = child.findIndex((to, edge) => to === i && nodes[parent[edge]].kind === "sum" && trace.down.node[parent[edge]] > 0);
  if (e < 0) return null;
  const above = parent[e];
  const flow = trace.down.node[above];
  const siblings = start[above + 1] - start[above];
  const text = `${nodes[above].name} has a flow of ${plain(flow)}. How much goes on to ${nodes[i].name} from there?`;
  return numeric(i, text, [trace.down.edge[e], "its share of the sum: weight · child / sum, times the flow"], [
    [flow * Math.exp(weight[e]), "that is the weight alone: before the evidence"],
    [flow / siblings, "that shares the flow out evenly"],
    [flow * Math.exp(trace.up[i]), "that forgets the weight, and to divide by the sum"],
    [flow, "only one child of a sum is active at a time"],
  ]);
}

function pathQuestion(lesson: Lesson, layer: number[], trace: Trace, pass: Pass): Question | null {
  const { nodes, start, child, weight } = lesson;
  const within = new Set(layer);
  const named = (e: number) => nodes[child[e]].name;
  for (let i = nodes.length - 1; i >= 0; i--) {
    if (nodes[i].kind !== "sum" || !trace.down.node[i] || start[i + 1] - start[i] < 2) continue;
    const edges = Array.from({ length: start[i + 1] - start[i] }, (_, k) => start[i] + k);
    if (!edges.some((e) => within.has(child[e]) && trace.down.edge[e])) continue;
    const score = (e: number) => exact(weight[e] + trace.up[child[e]]);
    const taken = edges.find((e) => trace.down.edge[e])!;
    const others = edges.filter((e, k) => named(e) !== named(taken) && edges.findIndex((other) => named(other) === named(e)) === k);
    if (!others.length) continue;
    const options = [taken, ...others].slice(0, MOST_OPTIONS).sort((a, b) => a - b);
    const die = trace.down.dice.get(i);
    const text = pass === "mpe"
      ? `Which child of ${nodes[i].name} does the best path take?`
      : `The die at ${nodes[i].name} shows ${die!.u.toFixed(3)}, and its children have ${edges.slice(0, MOST_OPTIONS).map((e) => `${named(e)} ${plain(Math.exp(weight[e] + trace.up[child[e]] - trace.up[i]))}`).join(", ")}. Which is taken?`;
    return {
      node: i,
      text,
      options: options.map((e) => ({
        text: named(e),
        right: e === taken,
        why: pass === "mpe" ? `weight · child is ${score(e)}` : e === taken ? "the die falls into its share" : "the die falls outside of its share",
      })),
    };
  }
  return null;
}

/** What is asked before the step to position `at`; null where there is nothing to ask. */
export function question(lesson: Lesson, marks: Marks, trace: Trace, pass: Pass, at: number): Question | null {
  const { way, layer } = stepOf(lesson, at);
  if (way === "start" || !lesson.small) return null;
  const nodes = lesson.layers[layer];
  if (way === "down" && pass !== "flows") return pathQuestion(lesson, nodes, trace, pass);
  // Nodes with more children ask for more, and leaves with evidence; among equals the step picks, not always the first.
  const told = (i: number) => Number(marks[lesson.variables[lesson.nodes[i].variable ?? -1]?.name] !== undefined);
  const interest = (i: number) => lesson.start[i + 1] - lesson.start[i] + told(i);
  const order = nodes.map((_, k) => nodes[(k + at) % nodes.length]).sort((a, b) => interest(b) - interest(a));
  for (const i of order) {
    const node = lesson.nodes[i];
    const found =
      way === "down"
        ? flowQuestion(lesson, i, trace)
        : node.kind === "input"
          ? leafQuestion(lesson, i, marks[lesson.variables[node.variable!].name], pass === "mpe", Math.exp(trace.up[i]))
          : innerQuestion(lesson, i, trace, pass === "mpe");
    if (found) return found;
  }
  return null;
}
