import { describe, expect, it } from "vitest";
import { toWorld } from "../stage/camera";
import { Draft, type Change, type DraftBlock, type Pair } from "./draft";
import { bands, fitBounds, hitNode, levelOf, MOST_CARDS, MOST_EDGES, rim, visibleEdges, visibleNodes } from "./lod";
import { cut } from "./paint";
import { arrange, CARD, freeSpot, placeOf, settle, STEP, type Place } from "./places";
import { apply } from "./rules";
import { blocksOf, buildScene, shifted } from "./scene";

const bernoulli = { name: "bernoulli" };
const SCREEN = { width: 800, height: 500 };
const NONE: ReadonlySet<string> = new Set();

function put(draft: Draft, blocks: DraftBlock[], variables: string[]): void {
  const change: Change = {
    blocks: new Map(blocks.map((block): [number, Pair] => [block.id, [undefined, block]])),
    variables: [new Map(), new Map(variables.map((name) => [name, 2]))],
  };
  draft.put(change);
}

/** Pairs of inputs, products and sums in a binary tree of `width` leaves (a power of two). */
function tree(width: number): Draft {
  const draft = new Draft();
  const names = Array.from({ length: width }, (_, i) => `v${i}`);
  const blocks: DraftBlock[] = names.map((variable, id) => ({ id, kind: "input", variable, distribution: bernoulli }));
  let row = blocks.map((block) => block.id);
  while (row.length > 1) {
    const next: number[] = [];
    for (let i = 0; i < row.length; i += 2) {
      const product = blocks.length;
      blocks.push({ id: product, kind: "product", children: [row[i], row[i + 1]] });
      blocks.push({ id: product + 1, kind: "sum", children: [product] });
      next.push(product + 1);
    }
    row = next;
  }
  put(draft, blocks, names);
  return draft;
}

const overlap = (a: Place, b: Place) => Math.abs(a[0] - b[0]) < CARD.width && Math.abs(a[1] - b[1]) < CARD.height;

describe("places", () => {
  it("never lay two cards over one another, and parents stand above children", () => {
    const draft = tree(32);
    const places = settle(draft, new Map());
    const all = [...places.values()];
    all.forEach((a, i) => all.slice(i + 1).forEach((b) => expect(overlap(a, b)).toBe(false)));
    for (const block of draft.blocks.values())
      for (const child of block.children ?? []) expect(places.get(child)![1]).toBeGreaterThan(places.get(block.id)![1]);
  });

  it("stay when something is added", () => {
    const draft = tree(8);
    const places = settle(draft, new Map());
    apply(draft, "add_sum", { id: 100, children: [draft.tops()[0]] });
    const fresh = settle(draft, places);
    expect([...fresh.keys()]).toEqual([100]);
    const [x, y] = places.get(draft.get(100).children![0])!;
    expect(fresh.get(100)).toEqual([x, y - STEP.y]);
  });

  it("puts a whole template beside what is there", () => {
    const draft = tree(4);
    const places = settle(draft, new Map());
    for (let i = 0; i < 8; i++) apply(draft, "add_input", { id: 200 + i, variable: `n${i}`, distribution: bernoulli });
    const fresh = settle(draft, places);
    expect(fresh.size).toBe(8);
    for (const a of fresh.values()) for (const b of places.values()) expect(overlap(a, b)).toBe(false);
  });

  it("finds a free spot near the wished one", () => {
    const blocks: Place[] = [[0, 0], [CARD.width + 10, 0], [0, STEP.y]];
    const spot = freeSpot(blocks, [5, 4]);
    for (const block of blocks) expect(overlap(spot, block)).toBe(false);
    expect(freeSpot([], [3, 4])).toEqual([3, 4]);
  });

  it("prefers where a block was moved to", () => {
    expect(placeOf({ id: 1, kind: "sum", x: 4, y: 5 }, new Map([[1, [9, 9]]]))).toEqual([4, 5]);
    expect(placeOf({ id: 1, kind: "sum" }, new Map([[1, [9, 9]]]))).toEqual([9, 9]);
  });

  it("arranges the same blocks in the same way", () => {
    const draft = tree(16);
    const ids = [...draft.blocks.keys()];
    expect(arrange(draft, ids)).toEqual(arrange(draft, ids));
  });
});

describe("scene", () => {
  it("holds every block and every edge", () => {
    const draft = tree(16);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    expect(scene.count).toBe(draft.blocks.size);
    const edges = [...draft.blocks.values()].reduce((sum, block) => sum + (block.children?.length ?? 0), 0);
    expect(scene.edges.length).toBe(2 * edges);
  });

  it("folds a region to one node that keeps the edges to the outside", () => {
    const draft = tree(4);
    apply(draft, "group", { ids: [0, 1, 4, 5], name: "left" });
    const places = settle(draft, new Map());
    const open = buildScene(draft, places, NONE);
    const scene = buildScene(draft, places, new Set(["left"]));
    expect(scene.count).toBe(open.count - 3);
    const [region] = scene.regions;
    expect(blocksOf(scene, region.node!).sort()).toEqual([0, 1, 4, 5]);
    const touching = [...scene.edges.keys()].filter((e) => e % 2 === 0 && scene.edges[e] === region.node);
    expect(touching).toHaveLength(1); // to the product at the top, and none of the three inside
    expect(scene.edges).not.toContain(-1);
    for (const id of region.ids) expect(scene.index.get(id)).toBe(region.node);
  });

  it("frames a region around its blocks", () => {
    const draft = tree(4);
    apply(draft, "group", { ids: [0, 1], name: "leaves" });
    const places = settle(draft, new Map());
    const [region] = buildScene(draft, places, NONE).regions;
    for (const id of [0, 1]) {
      expect(places.get(id)![0] - CARD.width / 2).toBeGreaterThan(region.left);
      expect(places.get(id)![1] + CARD.height / 2).toBeLessThan(region.bottom);
    }
  });

  it("moves what is dragged and nothing else", () => {
    const draft = tree(4);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    const moved = shifted(scene, new Set([1]), 10, -5);
    expect(moved.x[1]).toBe(scene.x[1] + 10);
    expect(moved.y[0]).toBe(scene.y[0]);
  });
});

describe("level of detail", () => {
  it("goes from bands over shapes and cards to numbers", () => {
    expect([0.02, 0.3, 0.8, 1.6].map((scale) => levelOf(scale, 10))).toEqual(["bands", "shapes", "cards", "numbers"]);
    expect(levelOf(1, MOST_CARDS + 1)).toBe("shapes");
    expect(levelOf(0.5, 20_000)).toBe("bands");
  });

  it("never asks for more cards than the DOM takes, wherever one looks", () => {
    const draft = tree(1024);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    for (let scale = 0.01; scale < 3; scale *= 1.3)
      for (let x = 0; x < scene.bounds.right; x += 4000) {
        const camera = { x: -x * scale, y: -1000 * scale, scale };
        const shown = visibleNodes(scene, camera, { width: 2400, height: 1400 });
        const level = levelOf(scale, shown.length);
        if (level === "cards" || level === "numbers") expect(shown.length).toBeLessThanOrEqual(MOST_CARDS);
      }
  });

  it("finds exactly the nodes on the screen", () => {
    const draft = tree(64);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    const camera = { x: -900, y: -100, scale: 0.7 };
    const shown = new Set(visibleNodes(scene, camera, SCREEN));
    for (let i = 0; i < scene.count; i++) {
      const [x, y] = [scene.x[i] * camera.scale + camera.x, scene.y[i] * camera.scale + camera.y];
      const [w, h] = [(CARD.width / 2) * camera.scale, (CARD.height / 2) * camera.scale];
      const inside = x > -w && x < SCREEN.width + w && y > -h && y < SCREEN.height + h;
      expect(shown.has(i)).toBe(inside);
    }
  });

  it("counts every visible node in the bands, once, and none beside the screen", () => {
    const draft = tree(512);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    const camera = fitBounds(scene.bounds, SCREEN, 20);
    const shown = visibleNodes(scene, camera, SCREEN);
    const all = bands(scene, shown, camera, SCREEN, 3);
    expect(all.counts.reduce((sum, value) => sum + value, 0)).toBe(scene.count);
    const half = bands(scene, shown, { ...camera, x: camera.x - SCREEN.width }, SCREEN, 3);
    expect(half.counts.reduce((sum, value) => sum + value, 0)).toBe(0);
    expect(all.most).toBeGreaterThanOrEqual(1);
  });

  it("draws a bounded, even and stable sample of the edges", () => {
    const draft = tree(4096);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    const camera = fitBounds(scene.bounds, SCREEN, 20);
    const { list, share } = visibleEdges(scene, camera, SCREEN);
    expect(list).toHaveLength(MOST_EDGES);
    expect(share).toBeCloseTo(MOST_EDGES / (scene.edges.length / 2), 3);
    expect(new Set(list).size).toBe(list.length);
    expect(visibleEdges(scene, camera, SCREEN).list).toEqual(list);
  });

  it("fits a circuit of any size", () => {
    const draft = tree(256);
    const { bounds } = buildScene(draft, settle(draft, new Map()), NONE);
    const camera = fitBounds(bounds, SCREEN, 24);
    const from = toWorld(camera, 0, 0);
    const to = toWorld(camera, SCREEN.width, SCREEN.height);
    expect(from.x).toBeLessThan(bounds.left);
    expect(to.x).toBeGreaterThan(bounds.right);
    expect(to.y).toBeGreaterThan(bounds.bottom);
  });

  it("hits the card under the pointer", () => {
    const draft = tree(4);
    const scene = buildScene(draft, settle(draft, new Map()), NONE);
    expect(hitNode(scene, scene.x[2] + 50, scene.y[2] - 25, "cards", 0)).toBe(2);
    expect(hitNode(scene, scene.x[2] + 50, scene.y[2], "shapes", 0)).toBe(null);
    expect(hitNode(scene, -5000, 0, "cards", 0)).toBe(null);
  });
});

it("keeps the same cards for a while as one pans", () => {
  const sets = new Set<string>();
  for (let x = 0; x < 256; x += 4) {
    const { camera, screen } = rim({ x: -1000 - x, y: 30, scale: 1 }, SCREEN);
    expect(-camera.x).toBeLessThanOrEqual(1000 + x - 64);
    expect(-camera.x + screen.width).toBeGreaterThanOrEqual(1000 + x + SCREEN.width + 64);
    sets.add(`${camera.x},${camera.y},${screen.width},${screen.height}`);
  }
  expect(sets.size).toBeLessThanOrEqual(5);
});

it("lays 20,000 blocks out and walks through them in a moment", () => {
  const draft = tree(8192); // 24,574 blocks
  const start = performance.now();
  const scene = buildScene(draft, settle(draft, new Map()), NONE);
  const built = performance.now();
  const camera = fitBounds(scene.bounds, SCREEN, 20);
  for (let frame = 0; frame < 10; frame++) {
    bands(scene, visibleNodes(scene, camera, SCREEN), camera, SCREEN, 3);
    visibleEdges(scene, camera, SCREEN);
  }
  expect(built - start).toBeLessThan(3000);
  expect((performance.now() - built) / 10).toBeLessThan(40);
});

it("cuts names in their middle, where they are alike", () => {
  expect(cut("product#15", 10, 3)).toBe("product#15");
  expect(cut("product#15", 9, 3)).toBe("produ…#15");
  expect(cut("2 × 16 vars", 9)).toBe("2 × 16 v…");
  for (let most = 2; most < 12; most++) expect(cut("product#15, the last", most, 3).length).toBe(most);
});
