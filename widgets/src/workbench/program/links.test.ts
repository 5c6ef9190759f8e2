import { expect, test } from "vitest";
import { blocksAt, spansOf } from "./links";

const map = { parent: 7, children: [[1, 4], [2, 1], [3, 8]] as [number, number][] };

test("lit children are spans of columns, from the left", () => {
  expect(spansOf(map, new Set([3, 1, 7, 99]))).toEqual([[0, 4], [5, 13]]);
  expect(spansOf(map, new Set())).toEqual([]);
});

test("a cell belongs to the sum and to one child", () => {
  expect([0, 3, 4, 5, 12].map((col) => blocksAt(map, { level: 0, row: 0, col })[1])).toEqual([1, 1, 2, 3, 3]);
});

test("a pixel of a higher level belongs to every child that it covers", () => {
  expect(blocksAt(map, { level: 1, row: 0, col: 2 })).toEqual([7, 2, 3]);
  expect(blocksAt(map, { level: 4, row: 0, col: 0 })).toEqual([7, 1, 2, 3]);
});
