import { describe, expect, it } from "vitest";
import { carry, decimate, History } from "./history";
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
});

describe("decimate", () => {
  const values = Float64Array.from({ length: 10_000 }, (_, i) => (i === 6543 ? -1e6 : 1));
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
