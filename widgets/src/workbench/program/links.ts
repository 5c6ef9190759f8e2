// Which blocks of the circuit a map's rows and columns belong to: what is pointed at there lights elsewhere, and back.

import type { TileAt } from "./lod";
import type { MapInfo } from "./part";

type Linked = Pick<MapInfo, "parent" | "children">;

/** First column, and the one after the last, of each child that is lit. */
export function spansOf({ children }: Linked, lit: ReadonlySet<number>): [number, number][] {
  const out: [number, number][] = [];
  if (!lit.size) return out;
  let from = 0;
  for (const [id, columns] of children) {
    if (lit.has(id)) out.push([from, from + columns]);
    from += columns;
  }
  return out;
}

/** The sum whose rows a pixel lies in, and the children whose columns it covers. */
export function blocksAt(map: Linked, { level, col }: TileAt): number[] {
  const [left, right] = [col << level, (col + 1) << level];
  const out = [map.parent];
  let from = 0;
  for (const [id, columns] of map.children) {
    if (from < right && from + columns > left) out.push(id);
    from += columns;
  }
  return out;
}
