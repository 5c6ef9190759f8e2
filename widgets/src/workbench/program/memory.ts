// Which bytes of the memory plan are whose. The twin of pcbench_widgets/program/memory.py.

/** First byte, and the one after the last. */
export type Range = [number, number];

export interface Spans {
  count: number;
  /** (block, first byte, bytes) of each, ascending by first byte. */
  table: Float64Array;
  /** The longest, so that whoever looks for a byte knows how far back to begin. */
  longest: number;
}

export const NO_SPANS: Spans = { count: 0, table: new Float64Array(0), longest: 0 };
/** Ranges nearer than this share of the whole look like one. */
const FINE = 1 / 2000;

export function spansOf(table: Float64Array): Spans {
  let longest = 0;
  for (let i = 2; i < table.length; i += 3) longest = Math.max(longest, table[i]);
  return { count: table.length / 3, table, longest };
}

/** Where blocks lie, joined where a screen could not tell them apart. */
export function rangesOf({ count, table }: Spans, blocks: ReadonlySet<number>, total: number): Range[] {
  const out: Range[] = [];
  if (!blocks.size) return out;
  for (let i = 0; i < count; i++) {
    if (!blocks.has(table[3 * i])) continue;
    const [from, to] = [table[3 * i + 1], table[3 * i + 1] + table[3 * i + 2]];
    const last = out[out.length - 1];
    if (last && (from <= last[1] || from - last[1] < FINE * total)) last[1] = Math.max(last[1], to);
    else out.push([from, to]);
  }
  return out;
}

/** The blocks with a byte in a range. */
export function blocksIn({ count, table, longest }: Spans, from: number, to: number): number[] {
  const out = new Set<number>();
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table[3 * middle + 1] + longest <= from) low = middle + 1;
    else high = middle;
  }
  for (let i = low; i < count && table[3 * i + 1] < to; i++) if (table[3 * i + 1] + table[3 * i + 2] > from) out.add(table[3 * i]);
  return [...out];
}
