import { describe, expect, it } from "vitest";
import cases from "../../../../tests/widgets/lab.json";
import { trace, type Pass } from "./answers";
import { lessonOf, type Marks, type WireLesson } from "./lesson";
import { LabPart } from "./part";
import { question } from "./quiz";
import { answer, forward, go, play } from "./stepping";
import { lastStep, shownDown, shownUp, stepOf } from "./steps";
import { equation, pythonOf } from "./words";

const wires = (cases as unknown as { lesson: WireLesson; marks: Marks }[]).map(({ lesson, marks }) => ({ ...lesson, marks }));
const coins = lessonOf(wires.find(({ title }) => title === "two coins")!);

function opened(lessons: WireLesson[] = wires): { part: LabPart; sent: Record<string, unknown>[] } {
  const sent: Record<string, unknown>[] = [];
  const part = new LabPart((body) => void sent.push(body));
  const bytes = new TextEncoder().encode(JSON.stringify(lessons));
  part.receive({ kind: "lessons", token: "t", state: { lesson: 0, marks: {} } }, [new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)]);
  return { part, sent };
}

const traceOf = (part: LabPart) => trace(part.lesson!, part.state.marks, part.state.pass, part.output, part.state.seed, part.state.row);

describe("steps", () => {
  it("show each layer once on the way up, and once on the way down", () => {
    const last = lastStep(coins);
    const visited = Array.from({ length: last }, (_, i) => stepOf(coins, i + 1)).map(({ way, layer }) => `${way} ${layer}`);
    expect(visited).toEqual(["up 0", "up 1", "up 2", "down 2", "down 1", "down 0"]);
    for (let at = 0; at <= last; at++)
      for (let layer = 0; layer < 3; layer++) {
        expect(shownUp(at, layer)).toBe(at > layer);
        expect(shownDown(coins, at, layer)).toBe(at >= 6 - layer);
      }
  });

  it("start at the top, and stay within their ends", () => {
    const { part } = opened();
    expect(part.state.at).toBe(3);
    go(part, 99);
    expect(part.state.at).toBe(6);
    forward(part, traceOf(part));
    expect(part.state.at).toBe(6);
    go(part, -4);
    expect(part.state.at).toBe(0);
    play(part, false);
    expect(part.state.playing).toBe(true);
    play(part, false);
    play(part, true); // without motion: the end at once
    expect([part.state.at, part.state.playing]).toEqual([6, false]);
  });
});

describe("quizzes", () => {
  const numbers = ["flows", "mpe", "sample"] as Pass[];

  it("have one right answer that the pass confirms, and wrong ones that differ", () => {
    let asked = 0;
    for (const wire of wires) {
      const lesson = lessonOf(wire);
      for (const pass of numbers) {
        const found = trace(lesson, wire.marks, pass, lesson.outputs[0], 0, 0);
        for (let at = 1; at <= lastStep(lesson); at++) {
          const next = question(lesson, wire.marks, found, pass, at);
          if (!next) continue;
          asked++;
          expect(next.options.filter((option) => option.right)).toHaveLength(1);
          expect(new Set(next.options.map((option) => option.text)).size).toBe(next.options.length);
          expect(next.options.length).toBeGreaterThan(1);
          const { way } = stepOf(lesson, at);
          const right = next.options.find((option) => option.right)!.text;
          const value = Math.exp(found.up[next.node]);
          if (way === "up") expect(Math.abs(Number(right.replace("−", "-")) - value)).toBeLessThan(1e-3 * value + 1e-12);
        }
      }
    }
    expect(asked).toBeGreaterThan(200);
  });

  it("ask before the step, count the first answer, and then go on", () => {
    const { part } = opened();
    part.set({ quiz: true, marks: { x1: { kind: "value", value: 1 } } });
    go(part, 2);
    forward(part, traceOf(part));
    expect(part.state.at).toBe(2);
    const { options } = part.state.asked!.question;
    expect(options.map((option) => option.text)).toEqual(["0.54", "0.6", "0.66", "1.2"]); // 0.6 · 0.9 + 0.4 · 0.3
    answer(part, 0);
    answer(part, options.findIndex((option) => option.right));
    expect(part.state.score).toEqual({ right: 0, of: 1 });
    forward(part, traceOf(part));
    expect([part.state.at, part.state.asked]).toEqual([3, null]);
  });
});

describe("the part", () => {
  it("takes Python's evidence, and forgets answers about other evidence", () => {
    const { part } = opened();
    part.set({ samples: { count: 1, rows: [], means: [], counts: null } });
    part.receive({ kind: "state", state: { marks: { x2: { kind: "value", value: 0 } } } }, []);
    expect([part.state.marks, part.state.samples]).toEqual([{ x2: { kind: "value", value: 0 } }, null]);
    part.mark("x2", null);
    expect(part.state.marks).toEqual({});
    part.choose(1);
    expect([part.state.lesson, part.state.marks, part.state.at]).toEqual([1, wires[1].marks, 3]);
  });

  it("asks the kernel about a large circuit, one question at a time, and again when the evidence has changed", async () => {
    const { part, sent } = opened([{ ...wires[0], small: false }]);
    const asks = () => sent.filter((body) => body.kind === "result");
    expect(asks()).toHaveLength(1);
    part.mark("x1", { kind: "value", value: 1 });
    part.mark("x2", { kind: "value", value: 1 });
    expect(asks()).toHaveLength(1);
    part.receive({ kind: "result", ask: asks()[0].ask, ok: true, log: -1, posteriors: [] }, []);
    await Promise.resolve();
    await Promise.resolve();
    expect(asks()).toHaveLength(2);
    expect(asks()[1].marks).toEqual(part.state.marks);
    expect(part.state.waiting).toBe(true);
    expect(part.have()).toEqual({}); // a sync now brings everything, in case the question was lost
    part.receive({ kind: "result", ask: asks()[1].ask, ok: false, text: "no" }, []);
    await Promise.resolve();
    await Promise.resolve();
    expect([part.state.error, part.state.waiting]).toEqual(["no", false]);
    expect(part.have()).toEqual({ token: "t" });
  });

  it("asks for the path of a large circuit, shows the newest answer, and none of another question", async () => {
    const { part, sent } = opened([{ ...wires[0], small: false }]);
    const asks = () => sent.filter((body) => body.kind === "path");
    const numbers = (...values: number[]) => new DataView(Float64Array.from(values).buffer);
    await part.askPath();
    expect(asks()).toHaveLength(0); // flows are no path
    part.set({ pass: "sample", row: 2, seed: 5 });
    void part.askPath();
    part.set({ row: 3 });
    void part.askPath();
    expect(asks().map((body) => [body.pass, body.row, body.seed])).toEqual([["sample", 2, 5], ["sample", 3, 5]]);
    part.receive({ kind: "path", ask: asks()[1].ask, ok: true, dice: [[1, 0.25, 0]], state: [1, 0] }, [numbers(0, -1), numbers(1, 1), numbers(1), numbers(0, 3)]);
    part.receive({ kind: "path", ask: asks()[0].ask, ok: true, dice: [], state: [0, 0] }, [numbers(0, -9), numbers(1, 0), numbers(0), numbers(0, -1)]);
    await Promise.resolve();
    await Promise.resolve();
    const { pass, trace } = part.state.path!;
    expect([pass, trace.state, [...trace.up], [...trace.down.node], [...trace.down.edge]]).toEqual(["sample", [1, 0], [0, -1], [1, 1], [1]]);
    expect([...trace.down.unit!]).toEqual([0, 3]);
    expect(trace.down.dice.get(1)).toEqual({ u: 0.25, edge: 0 });
    part.set({ pass: "mpe" });
    void part.askPath();
    expect(part.state.path).toBeNull();
    part.ended(true);
    await Promise.resolve();
    await Promise.resolve();
    expect(part.state.error).toContain("kernel is gone");
  });
});

describe("words", () => {
  it("write a node's equation with its numbers", () => {
    const marks: Marks = { x1: { kind: "value", value: 1 }, x2: { kind: "soft", weights: [0.2, 0.8] } };
    const found = trace(coins, marks, "flows", 6, 0, 0);
    const text = (i: number) => {
      const { symbols, numbers } = equation(coins, i, marks, found, "flows");
      return `${symbols} = ${numbers}`;
    };
    expect(text(6)).toBe("0.6 · a + 0.4 · b = 0.6·0.288 + 0.4·0.186");
    expect(text(2)).toBe("x1|a · x2|a = 0.9 · 0.32");
    expect(text(1)).toBe("Σ over x2 of s(v)·p(v) = 0.2·0.8 + 0.8·0.2");
    expect(text(0)).toBe("p(x1 = 1) = ");
  });

  it("write the question in Python", () => {
    const marks: Marks = { x1: { kind: "value", value: 1 }, x2: { kind: "query" } };
    const text = pythonOf({ ...coins, source: "import pcbench\nimport torch\ncircuit = …" }, marks, 6, 5, 2);
    expect(text).toContain("torch.tensor([[1, 0]]),\n    observed=torch.tensor([[True, False]]),");
    expect(text).toContain('pcbench.conditional(model, evidence, ["x2"])');
    expect(text).toContain("pcbench.sample(model, 5, evidence, seed=2)");
  });
});
