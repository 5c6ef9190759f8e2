import { expect, it } from "vitest";
import { History } from "../history";
import { scoreLines, sight, steps, withOthers } from "./charts";
import { TrainingPart, unlike, variables } from "./part";

const buffer = (values: number[]) => new DataView(Float64Array.from(values).buffer);

/** The message of one run: at each step, `train_ll` is −10 × step; bits follow from the number of variables. */
function message(steps: number[], dimensions: number): [Record<string, unknown>, DataView[]] {
  const bits = steps.map((step) => (10 * step) / (dimensions * Math.LN2));
  const body = steps.flatMap((step, i) => [...Array(4).fill(bits[i]), ...Array(4).fill(-10 * step)]);
  const head = steps.flatMap((step, i) => [i + 1, i + 1, step, 0, i]);
  return [{ name: "earlier", state: "saved", columns: ["train_bpd", "train_ll"], count: steps.length }, [buffer(head), buffer(body)]];
}

function received(...runs: [number[], number][]): TrainingPart {
  const part = new TrainingPart();
  const messages = runs.map(([steps, dimensions]) => message(steps, dimensions));
  part.receive({ rev: 3, runs: messages.map(([run]) => run) }, messages.flatMap(([, buffers]) => buffers));
  return part;
}

it("holds what came, and says which revision", () => {
  const part = received([[1, 2], 784], [[5], 784]);
  expect(part.have()).toEqual({ rev: 3 });
  expect(part.store.getState().others.map(({ history }) => [...history.x()])).toEqual([[1, 2], [5]]);
});

it("tells runs of other data, and runs without a step, in words", () => {
  const [own, like, smaller, empty] = received([[1, 2], 784], [[1], 784], [[1], 12], [[], 12]).store.getState().others;
  expect(variables(own.history)).toBe(784);
  expect(unlike(like, own.history)).toBe("");
  expect(unlike(smaller, own.history)).toContain("12 variables, this run's 784");
  expect(unlike(empty, own.history)).toContain("nothing to compare");
  expect(unlike(like, new History())).toBe("");
});

it("puts curves with other steps on the union of them", () => {
  const [own, other] = received([[1, 3], 784], [[2, 3, 9], 784]).store.getState().others;
  const seen = sight(own.history, null);
  const drawn = withOthers({ x: steps(seen), lines: scoreLines(seen, "nats") }, [null, other], null, [["train_ll", "mean"]]);
  expect(drawn.x).toEqual([1, 2, 3, 9]);
  const [mine, theirs] = ["train", "earlier"].map((label) => drawn.lines.find((line) => line.label === label)!);
  expect(mine.values.filter((value) => value != null)).toEqual([-10, -30]);
  expect([...theirs.values].slice(1)).toEqual([-20, -30, -90]);
  expect([theirs.color, theirs.dash]).toEqual([3, [9, 3, 2, 3]]);
});
