// Numbers, equations and questions as people read them.

import type { Pass, Trace } from "./answers";
import type { Lesson, Mark, Marks } from "./lesson";

const MOST_TERMS = 6;

/** Four digits of a probability given as its log: 0.6600, or 1.234e-9; −∞ is 0. */
export function exact(log: number): string {
  return plain(Math.exp(log), log);
}

export function plain(value: number, log = Math.log(value)): string {
  if (value === 0) return log === -Infinity ? "0" : `e^${log.toFixed(1).replace("-", "−")}`;
  if (value >= 1e4 || value < 1e-3) return value.toExponential(3).replace("-", "−");
  return String(Number(value.toPrecision(4)));
}

export function nats(log: number): string {
  return log === -Infinity ? "−∞" : log.toFixed(6).replace("-", "−");
}

export function valueText(value: number | null): string {
  return value === null ? "–" : Number.isInteger(value) ? String(value) : value.toFixed(3);
}

function listed(terms: string[], by: string): string {
  return terms.slice(0, MOST_TERMS).join(by) + (terms.length > MOST_TERMS ? `${by}… (${terms.length} terms)` : "");
}

/** p(x1 = 1, x2 ~ soft): what the marks say, in order; empty when nothing is known. */
export function knownText(lesson: Lesson, marks: Marks): string {
  const parts = lesson.variables.flatMap(({ name }) => {
    const mark = marks[name];
    return mark?.kind === "value" ? [`${name} = ${valueText(mark.value)}`] : mark?.kind === "soft" ? [`${name} ~ soft`] : [];
  });
  return listed(parts, ", ");
}

export interface Equation {
  /** With the names of what goes in. */
  symbols: string;
  /** With their numbers. */
  numbers: string;
  /** log of the value. */
  log: number;
}

function leafEquation(lesson: Lesson, i: number, mark: Mark | undefined, max: boolean): [string, string] {
  const { name, size } = lesson.variables[lesson.nodes[i].variable!];
  const table = lesson.tables[i];
  if (mark?.kind === "value") return [`${size === null ? "density" : "p"}(${name} = ${valueText(mark.value)})`, ""];
  if (mark?.kind === "soft" && table) {
    const terms = Array.from(table, (log, value) => `${plain(mark.weights[value])}·${exact(log)}`);
    return max ? [`max over ${name} of s(v)·p(v)`, `max(${listed(terms, ", ")})`] : [`Σ over ${name} of s(v)·p(v)`, listed(terms, " + ")];
  }
  if (max) return [`the best p(${name})`, table ? `max(${listed(Array.from(table, exact), ", ")})` : "at the mean"];
  return [`${name} is summed out`, table ? listed(Array.from(table, exact), " + ") : "the density's whole area"];
}

/** How a node's value comes about on the way up. */
export function equation(lesson: Lesson, i: number, marks: Marks, trace: Trace, pass: Pass): Equation {
  const { nodes, start, child, weight } = lesson;
  const node = nodes[i];
  const log = trace.up[i];
  const max = pass === "mpe";
  if (!lesson.small) return { symbols: node.units === 1 ? "its value" : `the largest of ${node.units} node values`, numbers: "", log };
  if (node.kind === "input") {
    const [symbols, numbers] = leafEquation(lesson, i, marks[lesson.variables[node.variable!].name], max);
    return { symbols, numbers, log };
  }
  const [names, numbers]: [string[], string[]] = [[], []];
  for (let e = start[i]; e < start[i + 1]; e++) {
    const [name, value] = [nodes[child[e]].name, exact(trace.up[child[e]])];
    names.push(node.kind === "sum" ? `${exact(weight[e])} · ${name}` : name);
    numbers.push(node.kind === "sum" ? `${exact(weight[e])}·${value}` : value);
  }
  if (node.kind === "product") return { symbols: listed(names, " · "), numbers: listed(numbers, " · "), log };
  return max
    ? { symbols: `max(${listed(names, ", ")})`, numbers: `max(${listed(numbers, ", ")})`, log }
    : { symbols: listed(names, " + "), numbers: listed(numbers, " + "), log };
}

/** Edges into a node from its parents. */
export function edgesInto(lesson: Lesson, i: number): number[] {
  const found: number[] = [];
  for (let e = 0; e < lesson.child.length; e++) if (lesson.child[e] === i) found.push(e);
  return found;
}

/** How what comes down to a node comes about, in a sentence. */
export function downText(lesson: Lesson, i: number, trace: Trace, pass: Pass, output: number): string {
  const { nodes, parent, weight, start, child } = lesson;
  const { down } = trace;
  const die = down.dice.get(i);
  const by = die && lesson.small ? `: ${shares(lesson, i, trace)}` : "";
  const thrown = die ? ` Die ${die.u.toFixed(3)}${by} → ${nodes[child[die.edge]].name}.` : "";
  const { variable } = nodes[i];
  const says = variable !== undefined && trace.state ? `: ${lesson.variables[variable].name} = ${valueText(trace.state[variable])}` : "";
  const which = down.unit && (nodes[i].units ?? 1) > 1 ? `, by its node ${down.unit[i]} of ${nodes[i].units}` : "";
  if (pass !== "flows") return `on the path${which}${says}.${thrown}`;
  const terms = edgesInto(lesson, i).map((e) => {
    const above = parent[e];
    if (nodes[above].kind !== "sum" || !lesson.small) return `${plain(down.edge[e])} from ${nodes[above].name}`;
    const part = `${plain(down.node[above])} · ${exact(weight[e])}·${exact(trace.up[i])}/${exact(trace.up[above])}`;
    return down.node[above] > 0 ? `${part} from ${nodes[above].name}` : `0 from ${nodes[above].name}`;
  });
  if (i === output) terms.unshift("1 at the output");
  const rest = start[i] === start[i + 1] && nodes[i].kind !== "input" ? " (no children)" : "";
  return `flow = ${listed(terms, " + ") || "0: nothing above"} = ${plain(down.node[i])}${rest}`;
}

/** The interval of [0, 1) that each child of a sum has. */
function shares(lesson: Lesson, i: number, trace: Trace): string {
  let from = 0;
  const parts: string[] = [];
  for (let e = lesson.start[i]; e < lesson.start[i + 1]; e++) {
    const to = from + Math.exp(lesson.weight[e] + trace.up[lesson.child[e]] - trace.up[i]);
    parts.push(`${lesson.nodes[lesson.child[e]].name} [${from.toFixed(3)}, ${to.toFixed(3)})`);
    from = to;
  }
  return listed(parts, ", ");
}

/** The question in Python, after the circuit's own source. */
export function pythonOf(lesson: Lesson, marks: Marks, output: number, count: number, seed: number): string {
  const own = lesson.source ?? "# `model` is what the lab shows: bench.lab.subject, or Model.create of it";
  if (lesson.violations.length) return `${own}\nprint(pcbench.smooth(circuit))\nprint(pcbench.decomposable(circuit))\n`;
  const { variables } = lesson;
  const values = variables.map(({ name }) => (marks[name]?.kind === "value" ? marks[name].value : 0));
  const observed = variables.map(({ name }) => (marks[name]?.kind === "value" ? "True" : "False"));
  const soft = variables.flatMap(({ name }, v) => {
    const mark = marks[name];
    return mark?.kind === "soft" ? [`${v}: torch.tensor([${mark.weights.join(", ")}], dtype=torch.float64)`] : [];
  });
  const asked = variables.flatMap(({ name }) => (marks[name]?.kind === "query" ? [JSON.stringify(name)] : []));
  const real = variables.some(({ size }) => size === null);
  const number = (value: number) => (real && Number.isInteger(value) ? `${value}.0` : String(value));
  const at = lesson.outputs.indexOf(output);
  const which = at > 0 ? `, output=${at}` : "";
  const imports = own.includes("import torch") ? [] : ["import torch"];
  return [
    ...imports,
    own,
    ...(lesson.source ? ["model = pcbench.Model.create(pcbench.compile(circuit, dtype=torch.float64))"] : ["import pcbench"]),
    "evidence = pcbench.Evidence(",
    `    torch.tensor([[${values.map(number).join(", ")}]]${real ? ", dtype=torch.float64" : ""}),`,
    `    observed=torch.tensor([[${observed.join(", ")}]]),`,
    ...(soft.length ? [`    soft={${soft.join(", ")}},`] : []),
    ")",
    `print(pcbench.log_likelihood(model, evidence)${lesson.outputs.length > 1 ? `[:, ${at}]` : ""})`,
    ...(asked.length
      ? [`for name, posterior in pcbench.conditional(model, evidence, [${asked.join(", ")}]${which}).items():`, "    print(name, posterior.probabilities if posterior.probabilities is not None else posterior.mean)"]
      : []),
    `print(pcbench.mpe(model, evidence${which}))`,
    `print(pcbench.sample(model, ${count}, evidence, seed=${seed}${which}))`,
    "",
  ].join("\n");
}
