// A connection while it is drawn, by pointer or by keys: where it starts, what it aims at, and whether it may end there.

import { useMemo, useState } from "react";
import { connect, reasonAgainst, type Connecting } from "./actions";
import type { BuilderPart } from "./part";
import type { Scene } from "./scene";

/** Legal ends are looked for among so many nodes; what is further away is asked about when the pointer comes. */
const MOST_ASKED = 600;

export interface Connection {
  wire: Connecting | null;
  /** Nodes. */
  from: number | null;
  aimed: number | null;
  /** Why it may not end where it aims; null where it may, or aims at nothing. */
  against: string | null;
  /** The same for every visible node; null where none is drawn, or there are too many. */
  reasons: ReadonlyMap<number, string | null> | null;
  /** The block that the keys aim at; the pointer's next move forgets it. */
  target: number | null;
  aim(target: number | null): void;
  start(wire: Connecting): void;
  end(node: number | null): void;
}

export function useConnection(part: BuilderPart, scene: Scene, visible: readonly number[], hovered: number | null, tick: number): Connection {
  const [wire, setWire] = useState<Connecting | null>(null);
  const [target, aim] = useState<number | null>(null);
  const from = wire ? (scene.index.get(wire.from) ?? null) : null;
  const over = target === null ? hovered : (scene.index.get(target) ?? null);
  const aimed = wire && over !== null && over !== from && scene.ids[over] >= 0 ? over : null;
  const few = visible.length <= MOST_ASKED;
  const reasons = useMemo(() => {
    if (!wire || !few) return null;
    const out = new Map<number, string | null>();
    for (const i of visible) if (scene.ids[i] >= 0 && i !== from) out.set(i, reasonAgainst(part, wire, scene.ids[i]));
    return out;
  }, [wire, tick, few && visible]);
  return {
    wire, from, aimed, reasons, target, aim,
    against: wire && aimed !== null ? reasonAgainst(part, wire, scene.ids[aimed]) : null,
    start: (next) => {
      part.dismiss();
      aim(null);
      setWire(next);
    },
    end: (node) => {
      setWire(null);
      aim(null);
      if (wire && node !== null && node !== from && scene.ids[node] >= 0) connect(part, wire, scene.ids[node]);
    },
  };
}
