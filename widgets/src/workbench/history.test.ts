import { describe, expect, it } from "vitest";
import { between, carry, decimate, History } from "./history";
import { HEAD, type Points } from "./protocol";

/** Points `first` … `last`, whose one metric is 10 × its number. */
function points(first: number, last: number, options: Partial<Points> & { metric?: string } = {}): Points {
  const count = last - first + 1;
  const head = new Float64Array(count * HEAD);
  const body = new Float64Array(count * 4);
  for (let i = 0; i < count; i++) {
    const n = first + i;
    head.set([n, n, n, 0, n / 10], i * HEAD);
    body.set([10 * n - 1, 10 * n + 1, 10 * n, 10 * n], 4 * i);
  }
  return { run: 1, reset: false, columns: [options.metric ?? "train_ll"], count, head, body, ...options };
}

describe("history", () => {
  it("appends what follows and counts", () => {
    const history = new History();
    expect(history.append(points(1, 3))).toBe("appended");
    expect(history.append(points(4, 5))).toBe("appended");
    expect(history.seq).toBe(5);
    expect([...history.series("train_ll", "mean")]).toEqual([10, 20, 30, 40, 50]);
    expect([...history.x()]).toEqual([1, 2, 3, 4, 5]);
  });

  it("takes nothing when points are missing in between, and says so", () => {
    const history = new History();
    history.append(points(1, 3));
    expect(history.append(points(5, 6))).toBe("gap");
    expect(history.length).toBe(3);
  });

  it("drops what it knows and takes the rest of an overlapping message", () => {
    const history = new History();
    history.append(points(1, 3));
    expect(history.append(points(2, 3))).toBe("known");
    expect(history.append(points(2, 5))).toBe("appended");
    expect([...history.series("train_ll", "last")]).toEqual([10, 20, 30, 40, 50]);
  });

  it("starts over for another run and on a reset", () => {
    const history = new History();
    history.append(points(1, 3));
    history.append(points(1, 2, { run: 2 }));
    expect(history.length).toBe(2);
    history.append(points(1, 4, { run: 2, reset: true }));
    expect(history.length).toBe(4);
  });

  it("knows no past of a metric that starts later, and keeps its latest value", () => {
    const history = new History();
    history.append(points(1, 2));
    history.append(points(3, 3, { metric: "valid_ll" }));
    history.append(points(4, 4));
    expect([...history.series("valid_ll", "last")]).toEqual([NaN, NaN, 30, NaN]);
    expect(history.latest("valid_ll")).toBe(30);
    expect(history.latest("nothing")).toBeNull();
  });

  it("grows past its first size without losing anything", () => {
    const history = new History();
    history.append(points(1, 700));
    expect(history.series("train_ll", "min")[699]).toBe(6999);
    expect(history.length).toBe(700);
  });

  it("counts what was missing", () => {
    const history = new History();
    history.append(points(1, 3));
    history.append(points(5, 6));
    history.append(points(4, 6));
    expect([history.gaps, history.seq]).toEqual([1, 6]);
  });

  it("stays bounded, keeps one step's spike of 100,000, every step's weight, and the newest points one by one", () => {
    const history = new History(1024);
    for (let n = 1; n <= 100_000; n += 25) {
      const message = points(n, n + 24);
      if (n === 54_001) message.body.fill(-1e9, 4 * 10, 4 * 10 + 1); // step 54,011, its minimum only
      history.append(message);
    }
    const x = history.x();
    expect(history.length).toBeLessThanOrEqual(1024);
    expect([history.seq, x.at(-1), x.at(-2)]).toEqual([100_000, 100_000, 99_999]);
    expect(x.every((step, i) => i === 0 || step > x[i - 1])).toBe(true);
    const least = [...history.series("train_ll", "min")];
    expect(least.filter((value) => value === -1e9)).toHaveLength(1);
    expect(x[least.indexOf(-1e9)]).toBeGreaterThanOrEqual(54_011);
    expect(x[least.indexOf(-1e9) - 1]).toBeLessThan(54_011);
    expect(Math.max(...history.series("train_ll", "max"))).toBe(1_000_001);
    expect(Math.max(...x.map((step, i) => step - (i ? x[i - 1] : 0)))).toBeLessThan(400);
    const mean = history.series("train_ll", "mean");
    const total = x.reduce((sum, step, i) => sum + (step - (i ? x[i - 1] : 0)) * mean[i], 0);
    expect(total / 1e5).toBeCloseTo(10 * 50_000.5, 3);
  });

  it("joins points in which a metric was absent", () => {
    const history = new History(4);
    history.append(points(1, 1));
    history.append(points(2, 2, { metric: "valid_ll" }));
    history.append(points(3, 5));
    expect([...history.series("valid_ll", "last")].slice(0, 2)).toEqual([20, NaN]);
    expect([...history.series("train_ll", "mean")].slice(0, 2)).toEqual([20, 40]);
  });
});

it("between finds the steps of a range and a neighbour on each side", () => {
  const x = Float64Array.from([10, 20, 30, 40, 50]);
  expect(between(x, 20, 30)).toEqual([0, 3]);
  expect(between(x, 21, 29)).toEqual([1, 3]);
  expect(between(x, 0, 99)).toEqual([0, 5]);
  expect(between(x, 60, 70)).toEqual([4, 5]);
  expect(between(new Float64Array(0), 1, 2)).toEqual([0, 0]);
});

describe("decimate", () => {
  const values = Float64Array.from({ length: 100_000 }, (_, i) => (i === 65_432 ? -1e6 : 1));
  it("keeps a one-step spike in the minimum and the calm in the maximum", () => {
    const least = decimate(values, "min", 500);
    expect(least.length).toBeLessThanOrEqual(500);
    expect(least.filter((value) => value === -1e6)).toHaveLength(1);
    expect(decimate(values, "max", 500).every((value) => value === 1)).toBe(true);
  });
  it("leaves short series alone and writes null for what is absent", () => {
    expect(decimate(Float64Array.from([1, NaN, 3]), "mean", 10)).toEqual([1, null, 3]);
    expect(decimate(Float64Array.from([NaN, 2, NaN, NaN]), "last", 2)).toEqual([2, null]);
  });
});

it("carry repeats the last known value and invents none before the first", () => {
  expect([...carry(Float64Array.from([NaN, 1, NaN, 2, NaN]))]).toEqual([NaN, 1, 1, 2, 2]);
});
