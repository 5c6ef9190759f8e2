import { describe, expect, it } from "vitest";
import { ancestor, type TileAt } from "./lod";
import { TileCache, type Tile } from "./tiles";

const at = (level: number, row: number, col: number): TileAt => ({ level, row, col });
const tile = (place: TileAt, rev = 0, shade = 1): Tile => ({ ...place, rev, height: 1, width: 1, shades: Uint8Array.of(shade) });

describe("tile cache", () => {
  it("asks once for a tile, and not for what is here", () => {
    const cache = new TileCache();
    expect(cache.claim("m", [at(0, 0, 0), at(0, 0, 1)], 0)).toHaveLength(2);
    expect(cache.claim("m", [at(0, 0, 0), at(0, 0, 2)], 0)).toEqual([at(0, 0, 2)]);
    cache.put("m", tile(at(0, 0, 0)));
    expect(cache.pending).toBe(2);
    expect(cache.claim("m", [at(0, 0, 0)], 0)).toEqual([]);
    expect(cache.claim("other map", [at(0, 0, 0)], 0)).toHaveLength(1);
  });

  it("shows the old until the new has come, and asks for the new", () => {
    const cache = new TileCache();
    cache.put("m", tile(at(0, 0, 0), 1, 10));
    expect(cache.settled("m", [at(0, 0, 0)], 2)).toBe(false);
    expect(cache.claim("m", [at(0, 0, 0)], 2)).toHaveLength(1);
    expect(cache.get("m", at(0, 0, 0))!.shades[0]).toBe(10);
    cache.put("m", tile(at(0, 0, 0), 2, 20));
    expect(cache.settled("m", [at(0, 0, 0)], 2)).toBe(true);
    cache.put("m", tile(at(0, 0, 0), 1, 30)); // late
    expect(cache.get("m", at(0, 0, 0))!.shades[0]).toBe(20);
  });

  it("an answer of before does not stand for the question of after", () => {
    const cache = new TileCache();
    cache.claim("m", [at(0, 0, 0)], 1);
    cache.claim("m", [at(0, 0, 0)], 2);
    cache.put("m", tile(at(0, 0, 0), 1));
    expect(cache.pending).toBe(1);
    expect(cache.claim("m", [at(0, 0, 0)], 2)).toEqual([]);
  });

  it("falls back on the nearest tile above", () => {
    const cache = new TileCache();
    cache.put("m", tile(at(3, 0, 0)));
    expect(cache.best("m", at(0, 5, 7), 4)).toMatchObject(at(3, 0, 0));
    cache.put("m", tile(ancestor(at(0, 5, 7), 1)));
    expect(cache.best("m", at(0, 5, 7), 4)).toMatchObject(at(1, 2, 3));
    expect(cache.best("m", at(0, 9, 7), 3)).toBeNull();
  });

  it("forgets what was not looked at for the longest time", () => {
    const cache = new TileCache(3);
    for (let col = 0; col < 3; col++) cache.put("m", tile(at(0, 0, col)));
    cache.get("m", at(0, 0, 0));
    cache.put("m", tile(at(0, 0, 3)));
    expect(cache.size).toBe(3);
    expect(cache.get("m", at(0, 0, 1))).toBeUndefined();
    expect(cache.get("m", at(0, 0, 0))).toBeDefined();
    expect(cache.claim("m", [at(0, 0, 1)], 0)).toHaveLength(1);
  });
});
