import { describe, expect, it } from "vitest";
import { cellsInView, fitView, keepInside, LARGEST, levelOf, pixelAt, revealCell, SIDE, tableOf, tilesInView, zoomView } from "./lod";

const big = { rows: 16384, cols: 16384, levels: 7 };
const ragged = { rows: 301, cols: 701, levels: 3 };
const size = { width: 640, height: 400 };

describe("level of detail", () => {
  it("takes the finest level whose pixels can be seen, and never one that is not there", () => {
    expect([2, 1, 0.99, 0.5, 0.25, 1 / 40, 1e-9].map((scale) => levelOf(scale, 7))).toEqual([0, 0, 1, 1, 2, 6, 6]);
    for (let scale = 0.02; scale < 80; scale *= 1.13) {
      const level = levelOf(scale, 7);
      if (level < 6) expect(2 ** level * scale).toBeGreaterThanOrEqual(1 - 1e-5);
      if (level > 0) expect(2 ** (level - 1) * scale).toBeLessThan(1);
    }
  });

  it("shows all of a matrix in a few tiles, at any level that fits", () => {
    const view = fitView(big, size);
    expect(tilesInView(view, size, big, levelOf(view.scale, 7))).toEqual([{ level: 6, row: 0, col: 0 }]);
    const tall = { width: 1400, height: 1200 };
    const closer = fitView(big, tall);
    expect(tilesInView(closer, tall, big, levelOf(closer.scale, 7)).length).toBe(16);
  });

  it("asks for no tile outside the matrix or the screen", () => {
    for (const matrix of [big, ragged]) {
      let view = fitView(matrix, size);
      for (let i = 0; i < 30; i++) {
        const level = levelOf(view.scale, matrix.levels);
        const span = SIDE * 2 ** level;
        for (const { row, col } of tilesInView(view, size, matrix, level)) {
          expect(row * span).toBeLessThan(matrix.rows);
          expect(col * span).toBeLessThan(matrix.cols);
          expect(view.x + col * span * view.scale).toBeLessThan(size.width);
          expect(view.x + (col + 1) * span * view.scale).toBeGreaterThan(0);
          expect(view.y + row * span * view.scale).toBeLessThan(size.height);
          expect(view.y + (row + 1) * span * view.scale).toBeGreaterThan(0);
        }
        expect(tilesInView(view, size, matrix, level).length).toBeLessThanOrEqual(20);
        view = zoomView(view, 1.4, { x: 610, y: 390 }, matrix, size);
      }
      expect(view.scale).toBe(LARGEST);
    }
  });
});

describe("the view", () => {
  it("zooms about a point, and out no further than the whole", () => {
    const start = fitView(big, size);
    const at = { x: 300, y: 180 };
    const cell = (view: typeof start) => [(at.x - view.x) / view.scale, (at.y - view.y) / view.scale];
    const closer = zoomView(start, 8, at, big, size);
    expect(cell(closer)[0]).toBeCloseTo(cell(start)[0], 6);
    expect(cell(closer)[1]).toBeCloseTo(cell(start)[1], 6);
    expect(zoomView(closer, 1e-6, at, big, size)).toEqual(start);
  });

  it("never loses the matrix", () => {
    const view = { ...zoomView(fitView(ragged, size), 20, { x: 0, y: 0 }, ragged, size), x: 1e6, y: -1e7 };
    expect(cellsInView(keepInside(view, ragged, size), size, ragged)).not.toBeNull();
    expect(cellsInView(view, size, ragged)).toBeNull();
  });

  it("brings a cell on the screen, and stays where it already is", () => {
    const view = zoomView(fitView(big, size), 400, { x: 320, y: 200 }, big, size);
    const moved = revealCell(view, 0, 0, big, size);
    expect(cellsInView(moved, size, big)).toMatchObject({ top: 0, left: 0 });
    const cells = cellsInView(view, size, big)!;
    expect(revealCell(view, cells.top + 5, cells.left + 5, big, size)).toEqual(view);
  });

  it("knows the pixel beneath a point, and that there is none beside", () => {
    const view = fitView(ragged, size);
    expect(pixelAt(view, { x: view.x + 0.5, y: view.y + 0.5 }, ragged)).toEqual({ level: 1, row: 0, col: 0 });
    expect(pixelAt(view, { x: view.x - 1, y: view.y + 5 }, ragged)).toBeNull();
    expect(pixelAt(view, { x: view.x + 701 * view.scale + 1, y: view.y + 5 }, ragged)).toBeNull();
  });
});

it("the table covers the view with at most so many rows and columns", () => {
  let view = fitView(big, size);
  for (let i = 0; i < 26; i++) {
    const region = tableOf(view, size, big, 12, 8)!;
    const cells = cellsInView(view, size, big)!;
    const step = 2 ** region.level;
    expect(region.height).toBeLessThanOrEqual(12);
    expect(region.width).toBeLessThanOrEqual(8);
    expect(region.row * step).toBeLessThanOrEqual(cells.top);
    expect((region.row + region.height) * step).toBeGreaterThan(cells.bottom);
    expect(region.col * step).toBeLessThanOrEqual(cells.left);
    expect((region.col + region.width) * step).toBeGreaterThan(cells.right);
    view = zoomView(view, 1.5, { x: 100, y: 300 }, big, size);
  }
});
