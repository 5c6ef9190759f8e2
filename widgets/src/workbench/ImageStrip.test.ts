import { expect, it } from "vitest";
import { rowsOf } from "./ImageStrip";
import type { ImageGroup } from "./protocol";

function group(...captions: string[]): ImageGroup {
  return { id: 1, title: "", images: captions.map((caption) => ({ caption, width: 1, height: 1, png: new Uint8Array() })) };
}

it("puts pictures with one caption into one row", () => {
  const rows = rowsOf(group("given", "given", "drawn", "drawn"));
  expect(rows).toEqual([
    { from: 0, to: 2, shared: "given" },
    { from: 2, to: 4, shared: "drawn" },
  ]);
});

it("leaves pictures with captions of their own, or with none, side by side", () => {
  expect(rowsOf(group("a", "b", "c"))).toEqual([{ from: 0, to: 3, shared: null }]);
  expect(rowsOf(group("", "", ""))).toEqual([{ from: 0, to: 3, shared: null }]);
});
