// What the map on the screen lacks is asked for: tiles, the values of cells large enough to carry them, and what the pointer is on.

import { useEffect, useRef, useState } from "react";
import type { Size } from "../hooks";
import type { TileAt, View } from "./lod";
import { covers, writtenRegion } from "./paint";
import type { MapInfo, Numbers, ProgramPart } from "./part";
import { pixelText } from "./words";

/** After the view stood still for so long, what it lacks is asked for: levels flown through are not. */
const REST_MS = 70;

/** Asks for tiles on the screen: the first at once, and then whenever the view rests. */
export function useTiles(part: ProgramPart, wanted: readonly TileAt[], size: Size, rev: number, mode: string): void {
  const first = useRef("");
  const key = part.mapKey();
  useEffect(() => {
    if (!size.width) return;
    if (first.current !== key) {
      first.current = key;
      return part.need(wanted);
    }
    const timer = setTimeout(() => part.need(wanted), REST_MS);
    return () => clearTimeout(timer);
  }, [part, wanted, size, rev, mode, key]);
}

/** Exact numbers of the cells on the screen, once they are large enough to carry them. */
export function useWritten(part: ProgramPart, map: MapInfo, view: View, size: Size, rev: number): Numbers | null {
  const mode = part.state.mode;
  const [numbers, setNumbers] = useState<Numbers | null>(null);
  useEffect(() => setNumbers(null), [map, mode]);
  useEffect(() => {
    const region = writtenRegion(view, size, map);
    if (!region || covers(numbers, view, size, map, mode, rev)) return;
    let current = true;
    const timer = setTimeout(() => void part.numbers(region).then((got) => current && got && setNumbers(got)), REST_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [part, map, mode, view, size, rev, numbers]);
  return numbers;
}

export interface Told {
  at: TileAt;
  rev: number;
  text: string;
}

/** What Python says of the marked pixel; one question is under way at a time, and only the newest waits. */
export function useProbe(part: ProgramPart, marked: TileAt | null, map: MapInfo, mode: string, rev: number): Told | null {
  const [told, setTold] = useState<Told | null>(null);
  const busy = useRef(false);
  const next = useRef<TileAt | null>(null);
  const key = marked ? `${marked.level},${marked.row},${marked.col}` : "";
  useEffect(() => setTold(null), [map, mode]);
  useEffect(() => {
    next.current = marked;
    const ask = async () => {
      busy.current = true;
      while (next.current) {
        const at: TileAt = next.current;
        next.current = null;
        const got = await part.numbers({ ...at, height: 1, width: 1 });
        setTold(got && { at, rev: got.rev, text: pixelText(got, 0) });
      }
      busy.current = false;
    };
    if (marked && !busy.current) void ask();
  }, [part, key, map, mode, rev]);
  return marked ? told : null;
}
