// Tiles that came from Python, the ones used last kept; stale ones are shown until their successors arrive.

import { ancestor, type TileAt } from "./lod";

export interface Tile extends TileAt {
  height: number;
  width: number;
  /** Revision of the values that it shows. */
  rev: number;
  shades: Uint8Array;
  /** As it was painted last, and with which colours. */
  image?: HTMLCanvasElement;
  painted?: string;
}

/** 64 KiB of bytes a tile, and four times that once it was painted. */
const MOST = 320;

const keyOf = (map: string, at: TileAt) => `${map}:${at.level}:${at.row}:${at.col}`;

export class TileCache {
  private tiles = new Map<string, Tile>();
  private waiting = new Map<string, number>();

  constructor(private readonly most = MOST) {}

  get size(): number {
    return this.tiles.size;
  }

  /** Tiles that are asked for and have not come. */
  get pending(): number {
    return this.waiting.size;
  }

  put(map: string, tile: Tile): void {
    const key = keyOf(map, tile);
    if ((this.waiting.get(key) ?? Infinity) <= tile.rev) this.waiting.delete(key);
    if ((this.tiles.get(key)?.rev ?? -1) > tile.rev) return; // overtaken by a newer one
    this.tiles.delete(key);
    this.tiles.set(key, tile);
    if (this.tiles.size > this.most) this.tiles.delete(this.tiles.keys().next().value!);
  }

  get(map: string, at: TileAt): Tile | undefined {
    const key = keyOf(map, at);
    const tile = this.tiles.get(key);
    if (tile) {
      this.tiles.delete(key);
      this.tiles.set(key, tile);
    }
    return tile;
  }

  /** The tile, or the nearest above that covers it; null where none came yet. */
  best(map: string, at: TileAt, levels: number): Tile | null {
    for (let up = 0; at.level + up < levels; up++) {
      const found = this.get(map, ancestor(at, up));
      if (found) return found;
    }
    return null;
  }

  /** Those that are neither here as of `rev` nor asked for; they count as asked for from now on. */
  claim(map: string, wanted: readonly TileAt[], rev: number): TileAt[] {
    const lacking = wanted.filter((at) => {
      const key = keyOf(map, at);
      return (this.tiles.get(key)?.rev ?? -1) < rev && (this.waiting.get(key) ?? -1) < rev;
    });
    for (const at of lacking) this.waiting.set(keyOf(map, at), rev);
    return lacking;
  }

  /** Whether all of them are here as of `rev`. */
  settled(map: string, wanted: readonly TileAt[], rev: number): boolean {
    return wanted.every((at) => (this.tiles.get(keyOf(map, at))?.rev ?? -1) >= rev);
  }

  clear(): void {
    this.tiles.clear();
    this.waiting.clear();
  }
}
