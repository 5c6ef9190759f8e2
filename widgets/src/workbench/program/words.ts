// What is beneath a pixel of a weight map, in words.

import type { Numbers } from "./part";

function range(first: number, step: number, extent: number): string {
  const last = Math.min(extent, first + step) - 1;
  return last > first ? `${first.toLocaleString("en")}–${last.toLocaleString("en")}` : first.toLocaleString("en");
}

/** Which cells they are: nodes are rows, elements columns. */
export function placeText(at: { level: number; row: number; col: number }, extent: { rows: number; cols: number }): string {
  const step = 2 ** at.level;
  const many = step > 1;
  return `${many ? "nodes" : "node"} ${range(at.row * step, step, extent.rows)} × ${many ? "elements" : "element"} ${range(at.col * step, step, extent.cols)}`;
}

/** Pixel `i` of the numbers: a cell's exact value, or how many edges there are and their mean. */
export function pixelText(numbers: Numbers, i: number): string {
  const [edges, area, sum] = [numbers.edges[i], numbers.area[i], numbers.sums[i]];
  const values = numbers.values;
  if (area === 1) {
    if (!edges) return numbers.storesAll ? "no edge; stored as padding" : "no edge; not stored";
    return values ? `${values} ${sum}` : "an edge";
  }
  const share = `${edges.toLocaleString("en")} of ${area.toLocaleString("en")} cells hold an edge`;
  if (numbers.mode === "padding") {
    return `${share}; ${(numbers.storesAll ? area - edges : 0).toLocaleString("en")} are padding`;
  }
  return values && edges ? `${share}; mean ${values} ${(sum / edges).toPrecision(4)}` : share;
}
