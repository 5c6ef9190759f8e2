import { describe, expect, it } from "vitest";
import { assignLayers, crossings, GAP_X, layout, type Graph } from "./layout";

function graph(count: number, pairs: [child: number, parent: number][]): Graph {
  return { count, edges: Int32Array.from(pairs.flat()) };
}

/** A full binary tree; block 0 is the root, the children of i are 2i + 1 and 2i + 2. */
function tree(levels: number): Graph {
  const count = 2 ** levels - 1;
  return graph(
    count,
    Array.from({ length: count - 1 }, (_, i) => [i + 1, i >> 1]),
  );
}

/** Layers of a few thousand blocks with random edges, always the same. */
function large(layers: number, width: number, fan: number): Graph {
  let seed = 7;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const pairs: [number, number][] = [];
  for (let l = 1; l < layers; l++)
    for (let i = 0; i < width; i++)
      for (let f = 0; f < fan; f++) pairs.push([(l - 1) * width + Math.floor(random() * width), l * width + i]);
  return graph(layers * width, pairs);
}

describe("layers", () => {
  it("puts every parent above all of its children", () => {
    const g = large(8, 40, 3);
    const layer = assignLayers(g);
    for (let e = 0; e < g.edges.length; e += 2) expect(layer[g.edges[e + 1]]).toBeGreaterThan(layer[g.edges[e]]);
  });

  it("moves a leaf up to just below its lowest parent", () => {
    // 0 → 1 → 2 → 3 is a chain; leaf 4 hangs on 3 only, leaf 5 on 2 and on 3.
    const layer = assignLayers(graph(6, [[0, 1], [1, 2], [2, 3], [4, 3], [5, 2], [5, 3]]));
    expect([...layer]).toEqual([0, 1, 2, 3, 2, 1]);
  });

  it("refuses a cycle", () => {
    expect(() => assignLayers(graph(3, [[0, 1], [1, 2], [2, 1]]))).toThrow(/cycle/);
  });
});

describe("placement", () => {
  it("draws a tree without a crossing, each parent in the middle of its children", () => {
    const g = tree(4);
    const p = layout(g);
    expect(crossings(g, p.layer, p.x)).toBe(0);
    for (let i = 0; i < 7; i++) expect(p.x[i]).toBeCloseTo((p.x[2 * i + 1] + p.x[2 * i + 2]) / 2, 0);
  });

  it("puts the root on top and keeps neighbours apart", () => {
    const p = layout(tree(4));
    expect(Math.min(...p.y)).toBe(p.y[0]);
    for (const row of p.rows)
      for (let i = 1; i < row.length; i++) expect(p.x[row[i]] - p.x[row[i - 1]]).toBeGreaterThan(GAP_X - 1e-6);
  });

  it("untangles what sweeps can untangle", () => {
    // Three parents over three leaves, each leaf under one parent, given in the reverse order.
    const g = graph(7, [[0, 5], [1, 4], [2, 3], [3, 6], [4, 6], [5, 6]]);
    const p = layout(g);
    expect(crossings(g, p.layer, p.x)).toBe(0);
  });

  it("folds a very wide row, so that the picture stays broader than high but not a line", () => {
    const leaves = 784;
    const g = graph(leaves + 1, Array.from({ length: leaves }, (_, i) => [i, leaves] as [number, number]));
    const p = layout(g);
    expect(p.width / p.height).toBeLessThan(12);
    const places = new Set(Array.from(p.x, (x, i) => `${x.toFixed(2)},${p.y[i].toFixed(2)}`));
    expect(places.size).toBe(leaves + 1);
  });

  it("gives the same picture twice", () => {
    expect(layout(large(6, 30, 2)).x).toEqual(layout(large(6, 30, 2)).x);
  });

  it("takes an empty graph", () => {
    expect(layout(graph(0, []))).toMatchObject({ width: 0, height: 0 });
  });

  it("lays out 20,000 blocks in a moment", () => {
    const g = large(40, 500, 2);
    const start = performance.now();
    const p = layout(g);
    expect(performance.now() - start).toBeLessThan(4000);
    expect(p.x.every(Number.isFinite)).toBe(true);
  });
});

describe("crossings", () => {
  it("counts by brute force the same", () => {
    const g = large(2, 25, 2);
    const layer = assignLayers(g);
    const position = Float64Array.from({ length: g.count }, (_, i) => (i * 37) % 101);
    let expected = 0;
    for (let a = 0; a < g.edges.length; a += 2)
      for (let b = a + 2; b < g.edges.length; b += 2) {
        if (layer[g.edges[a]] !== layer[g.edges[b]] || layer[g.edges[a + 1]] !== layer[g.edges[b + 1]]) continue;
        const low = position[g.edges[a]] - position[g.edges[b]];
        const high = position[g.edges[a + 1]] - position[g.edges[b + 1]];
        if (low * high < 0) expected++;
      }
    expect(expected).toBeGreaterThan(0);
    expect(crossings(g, layer, position)).toBe(expected);
  });
});
