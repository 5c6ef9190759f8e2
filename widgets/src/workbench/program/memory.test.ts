import { expect, it } from "vitest";
import { blocksIn, NO_SPANS, rangesOf, spansOf } from "./memory";

// Two tied blocks at 0, one at 100 with a long span, one inside of it, and a far one.
const spans = spansOf(new Float64Array([1, 0, 100, 2, 0, 100, 3, 100, 900, 4, 300, 10, 1, 5000, 8]));

it("finds whose bytes lie in a range, long spans that begin far before it too", () => {
  expect(blocksIn(spans, 50, 60)).toEqual([1, 2]);
  expect(blocksIn(spans, 99, 101)).toEqual([1, 2, 3]);
  expect(blocksIn(spans, 305, 306)).toEqual([3, 4]);
  expect(blocksIn(spans, 990, 991)).toEqual([3]);
  expect(blocksIn(spans, 1000, 5000)).toEqual([]);
  expect(blocksIn(spans, 5000, 5001)).toEqual([1]);
  expect(blocksIn(NO_SPANS, 0, 1e9)).toEqual([]);
});

it("finds where blocks lie, and joins what looks like one", () => {
  expect(rangesOf(spans, new Set([1]), 5008)).toEqual([[0, 100], [5000, 5008]]);
  expect(rangesOf(spans, new Set([2, 3]), 5008)).toEqual([[0, 1000]]);
  expect(rangesOf(spans, new Set([1, 4]), 5008)).toEqual([[0, 100], [300, 310], [5000, 5008]]);
  expect(rangesOf(spans, new Set([1, 4]), 10_000_000)).toEqual([[0, 5008]]);
  expect(rangesOf(spans, new Set([9]), 5008)).toEqual([]);
});
