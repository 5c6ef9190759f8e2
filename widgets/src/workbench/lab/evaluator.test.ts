// The evaluator against the fixture that Python's tests hold pcbench against: tests/widgets/lab.json.

import { describe, expect, it } from "vitest";
import cases from "../../../../tests/widgets/lab.json";
import { best, result, samples, trace } from "./answers";
import { worlds } from "./brute";
import { lessonOf, type Lesson, type Marks, type WireLesson } from "./lesson";
import { normal, uniform } from "./noise";
import { bestTree, drawTree, flows, logSum, marksByVariable, stateLog, upward } from "./passes";

interface Case {
  lesson: WireLesson;
  marks: Marks;
  expected: {
    up: (number | null)[];
    flows: number[];
    best: (number | null)[];
    posteriors?: Record<string, number[]>;
    most?: number;
  };
  samples: { seed: number; rows: number[][] };
}
const CASES = (cases as unknown as Case[]).map((each) => [each.lesson.title, each, lessonOf(each.lesson)] as const);

function close(found: ArrayLike<number>, expected: readonly (number | null)[]): void {
  expect(found.length).toBe(expected.length);
  expected.forEach((value, i) => {
    if (value === null) expect(found[i]).toBe(-Infinity);
    else expect(Math.abs(found[i] - value)).toBeLessThan(1e-9);
  });
}

describe.each(CASES)("%s", (_, { marks, expected, samples: drawn }, lesson) => {
  const known = marksByVariable(lesson, marks);
  const output = lesson.outputs[0];
  const up = upward(lesson, known);

  it("climbs as Python does", () => {
    close(up, expected.up);
    close(upward(lesson, known, "max"), expected.best);
  });

  it("lets flows down that add up to their parents'", () => {
    const down = flows(lesson, up, output);
    close(down.node, expected.flows);
    const into = new Float64Array(lesson.nodes.length);
    if (up[output] > -Infinity) into[output] = 1;
    down.edge.forEach((flow, e) => (into[lesson.child[e]] += flow));
    close(into, [...down.node]);
  });

  it("draws the samples that pcbench draws", () => {
    drawn.rows.forEach((row, i) => {
      const { state } = drawTree(lesson, up, known, output, drawn.seed, i)!;
      row.forEach((value, v) => expect(state[v]).toBeCloseTo(value, 9));
    });
  });

  it("answers as all worlds do", () => {
    const answer = result(lesson, marks, output);
    if (answer.worlds) expect(Math.abs(answer.worlds.total - answer.log) || 0).toBeLessThan(1e-9); // −∞ − −∞ is NaN
    for (const [name, probabilities] of Object.entries(expected.posteriors ?? {})) {
      const posterior = answer.posteriors.find(({ variable }) => lesson.variables[variable].name === name)!;
      close(posterior.probabilities!, probabilities);
      close(posterior.checked!, probabilities);
    }
  });

  it("finds the most probable state, and the best tree is a lower bound", () => {
    const found = best(lesson, marks, output, worlds(lesson, marks, output));
    if (up[output] === -Infinity) return expect(found).toBeNull();
    const tree = bestTree(lesson, upward(lesson, known, "max"), known, output)!;
    expect(found!.log).toBeGreaterThanOrEqual(stateLog(lesson, known, tree.state, output) - 1e-12);
    if (expected.most === undefined) return;
    expect(found!.exact).toBe(true);
    expect(Math.abs(found!.log - expected.most)).toBeLessThan(1e-9);
    expect(Math.abs(stateLog(lesson, known, found!.state, output) - expected.most)).toBeLessThan(1e-9);
  });
});

const named = (title: string): [Lesson, Marks] => {
  const [, found, lesson] = CASES.find(([each]) => each === title)!;
  return [lesson, found.marks];
};

describe("wrong circuits", () => {
  const leaf = (variable: number, heads: number) => ({ kind: "input" as const, name: "", block: 0, variable, logs: [Math.log(1 - heads), Math.log(heads)] });
  const circuit = (nodes: WireLesson["nodes"]): Lesson =>
    lessonOf({
      title: "", summary: "", small: true, nodes, outputs: [nodes.length - 1], violations: [{ node: nodes.length - 1, text: "" }], deterministic: false,
      random: false, source: null, marks: {}, variables: [{ name: "x", size: 2 }, { name: "y", size: 2 }],
    });

  it("lacks smoothness: the pass says 0.66, the worlds say 0.78", () => {
    const lesson = circuit([
      leaf(0, 0.9), leaf(1, 0.2), { kind: "product", name: "", block: 2, children: [0, 1] }, leaf(0, 0.3),
      { kind: "sum", name: "", block: 4, children: [2, 3], weights: [0.6, 0.4] },
    ]);
    const marks: Marks = { x: { kind: "value", value: 1 } };
    const answer = result(lesson, marks, 4);
    expect(Math.exp(answer.log)).toBeCloseTo(0.66, 12);
    expect(Math.exp(answer.worlds!.total)).toBeCloseTo(0.78, 12);
    expect(trace(lesson, marks, "flows", 4, 0, 0).down.node.some((flow) => flow > 0)).toBe(false);
  });

  it("lacks decomposability: the pass says 1, the worlds say 0.34", () => {
    const lesson = circuit([leaf(0, 0.9), leaf(0, 0.3), { kind: "product", name: "", block: 2, children: [0, 1] }]);
    const answer = result(lesson, {}, 2);
    expect(answer.log).toBe(0);
    expect(Math.exp(answer.worlds!.total)).toBeCloseTo(0.34, 12);
  });
});

describe("samples", () => {
  it("count worlds as often as they should come", () => {
    const [lesson, marks] = named("naive Bayes");
    const drawn = samples(lesson, marks, lesson.outputs[0], 10_000, 3)!;
    const all = worlds(lesson, marks, lesson.outputs[0])!;
    expect(drawn.counts!.reduce((a, b) => a + b)).toBe(10_000);
    // The same worlds in the same order: within five standard deviations each.
    drawn.counts!.forEach((count, w) => {
      const p = Math.exp(all.logs[w] - all.total);
      expect(Math.abs(count - 10_000 * p)).toBeLessThanOrEqual(5 * Math.sqrt(10_000 * p * (1 - p)) + 1e-9);
    });
    expect(samples(lesson, marks, lesson.outputs[0], 10_000, 3)).toEqual(drawn);
    expect(samples(lesson, marks, lesson.outputs[0], 10_000, 4)!.counts).not.toEqual(drawn.counts);
  });

  it("are not drawn from the impossible", () => {
    const [lesson, marks] = named("grown 5, marked 19");
    expect(samples(lesson, marks, lesson.outputs[0], 3, 0)).toBeNull();
    expect(result(lesson, marks, lesson.outputs[0]).posteriors).toEqual([]);
  });
});

describe("numbers", () => {
  it("hash as 64-bit integers do", () => {
    const mask = (1n << 64n) - 1n;
    const mix = (x: bigint) => {
      x = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
      x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & mask;
      return x ^ (x >> 31n);
    };
    const golden = 0x9e3779b97f4a7c15n;
    for (const [seed, row, place] of [[0, 0, 0], [7, 3, 11], [4_294_967_296, 9_999, 599], [123_456_789_012, 1, 2]]) {
      let state = mix((BigInt(seed) * golden + golden) & mask);
      state = mix((state + BigInt(row) * golden + 1n) & mask);
      state = mix(state ^ ((BigInt(place) * golden + 0xbf58476d1ce4e5b9n) & mask));
      expect(uniform(seed, row, place)).toBe((Number(state >> 12n) + 0.5) * 2 ** -52);
    }
  });

  it("invert the normal distribution", () => {
    // Φ⁻¹ as in the tables.
    for (const [u, x] of [[0.5, 0], [0.975, 1.959963984540054], [0.025, -1.959963984540054], [0.999, 3.090232306167813], [1e-9, -5.997807015007687]])
      expect(Math.abs(normal(u) - x)).toBeLessThan(1e-12 * Math.max(1, Math.abs(x)));
    expect(logSum([-Infinity, -Infinity])).toBe(-Infinity);
    expect(logSum([-1000, -1000])).toBeCloseTo(-1000 + Math.log(2), 12);
  });
});
