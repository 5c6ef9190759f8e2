import { expect, it } from "vitest";
import type { Circuit } from "../protocol";
import { fit, reveal, toWorld, zoom } from "../stage/camera";
import { layout } from "./layout";
import { neighbour } from "./walk";

const edges = Int32Array.from([0, 2, 1, 2, 2, 3]);
const blocks = Array.from({ length: 4 }, (_, id) => ({
  id, kind: "sum" as const, name: String(id), nodes: 1, level: 0, parameters: 0, scopeSize: 1, scope: "", detail: "",
}));
const circuit: Circuit = { blocks, edges, roots: [3], variables: 2 };
const placement = layout({ count: 4, edges });

it("walks from the root down, along the row and up again", () => {
  const root = neighbour(circuit, placement, null, "down");
  expect(root).toBe(3);
  const product = neighbour(circuit, placement, root, "down");
  expect(product).toBe(2);
  const leaf = neighbour(circuit, placement, product, "down")!;
  const other = leaf === 0 ? 1 : 0;
  expect(neighbour(circuit, placement, leaf, placement.x[other] > placement.x[leaf] ? "right" : "left")).toBe(other);
  expect(neighbour(circuit, placement, other, "up")).toBe(2);
  expect(neighbour(circuit, placement, 3, "up")).toBe(3);
});

it("zooms about a fixed point and fits everything", () => {
  const camera = { x: 10, y: 20, scale: 0.5 };
  const before = toWorld(camera, 100, 80);
  const after = toWorld(zoom(camera, 2, { x: 100, y: 80 }), 100, 80);
  expect(after.x).toBeCloseTo(before.x);
  expect(after.y).toBeCloseTo(before.y);
  const fitted = fit({ width: 4000, height: 300 }, { width: 500, height: 400 });
  expect(4000 * fitted.scale + fitted.x).toBeLessThan(500);
  const shown = reveal(fitted, { x: 90_000, y: 0 }, { width: 500, height: 400 });
  expect(90_000 * shown.scale + shown.x).toBeLessThan(500);
});
