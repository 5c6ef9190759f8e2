import { expect, it } from "vitest";
import { bytes, count, moment, percent, plural, score, seconds } from "./format";

it("writes numbers as people read them", () => {
  expect([0, 512, 1536, 10 * 2 ** 20].map(bytes)).toEqual(["0 B", "512 B", "1.50 KiB", "10 MiB"]);
  expect([0, 999, 13_640_000, 2e9].map(count)).toEqual(["0", "999", "13.6 M", "2 G"]);
  expect([0, 0.004, 0.5, 1].map(percent)).toEqual(["0 %", "0.4 %", "50 %", "100 %"]);
  expect([0, 2e-5, 0.0217, 3.5, 75, 7260].map(seconds)).toEqual(["0 s", "20 µs", "21.7 ms", "3.50 s", "1 min 15 s", "2 h 01 min"]);
  expect([score(null), score(-1.23456)]).toEqual(["–", "-1.235"]);
  expect([plural(1, "layer"), plural(1200, "layer")]).toEqual(["1 layer", "1,200 layers"]);
});

it("says the day only where it is another", () => {
  const now = new Date(2026, 10, 25, 18, 0);
  const at = (...args: [number, number, number, number, number]) => moment(new Date(...args).getTime() / 1000, now);
  expect(at(2026, 10, 25, 14, 3)).toBe("14:03");
  expect(at(2026, 10, 24, 9, 30)).toBe("24 Nov, 09:30");
  expect(at(2025, 0, 2, 0, 5)).toBe("2 Jan 2025, 00:05");
});
