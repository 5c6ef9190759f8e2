// Where everything lies in memory: one bar to scale, offsets beneath, and the same as a table for those who cannot see it.

import { useEffect, useMemo, useRef, useState, type PointerEvent } from "react";
import { useStore } from "zustand";
import { bytes, sorted } from "../format";
import type { MemoryEntry } from "../protocol";
import { hoverBlocks, selectBlocks, type Store } from "../store";
import { blocksIn, NO_SPANS, rangesOf, type Range, type Spans } from "./memory";
import type { ProgramPart } from "./part";

const PURPOSES = ["parameters", "values", "flows", "other"];
const TICKS = 4;
/** Thinner pieces are drawn with the rest of their purpose: a thousand slivers of a tenth of a pixel tell nothing. */
const SLIVER = 0.002;

interface Piece {
  name: string;
  purpose: string;
  offset: number;
  bytes: number;
  entries: number;
}

/** Joins neighbours of one purpose while they are too thin to be seen alone. */
export function pieces(memory: MemoryEntry[], total: number): Piece[] {
  const out: Piece[] = [];
  for (const entry of [...memory].sort((a, b) => a.offset - b.offset)) {
    const last = out[out.length - 1];
    const thin = entry.bytes < SLIVER * total;
    if (last && thin && last.purpose === entry.purpose && last.bytes < 8 * SLIVER * total) {
      last.bytes = entry.offset + entry.bytes - last.offset;
      last.entries++;
      last.name = `${last.name.split(" … ")[0]} … ${entry.name}`;
    } else out.push({ ...entry, entries: 1 });
  }
  return out;
}

interface Props {
  store: Store;
  part: ProgramPart;
  memory: MemoryEntry[];
}

export function MemoryRuler({ store, part, memory }: Props) {
  const spans = useSpans(part);
  const hovered = useStore(store, (s) => s.hovered);
  const selection = useStore(store, (s) => s.selection);
  const total = Math.max(1, ...memory.map((entry) => entry.offset + entry.bytes));
  const lit = useMemo(() => rangesOf(spans, hovered, total), [spans, hovered, total]);
  const chosen = useMemo(() => rangesOf(spans, selection, total), [spans, selection, total]);
  const last = useRef("");
  if (memory.length === 0) return null;
  const sums = PURPOSES.map((purpose) => ({
    purpose,
    bytes: memory.filter((entry) => entry.purpose === purpose).reduce((sum, entry) => sum + entry.bytes, 0),
  })).filter((sum) => sum.bytes > 0);
  /** Blocks with a byte under the pointer's pixel. */
  const under = (event: PointerEvent<HTMLElement>) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    const at = (total * (event.clientX - left)) / width;
    return blocksIn(spans, at, at + total / width);
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const blocks = under(event);
    const key = sorted(blocks);
    if (key !== last.current) hoverBlocks(store, blocks);
    last.current = key;
  };
  const leave = () => {
    last.current = "";
    hoverBlocks(store, []);
  };
  const choose = (blocks: number[]) => {
    const same = blocks.length === selection.size && blocks.every((block) => selection.has(block));
    selectBlocks(store, same ? [] : blocks);
  };
  return (
    <figure className="pcb-ruler" aria-label={`Memory plan, ${bytes(total)}`} data-spans={spans.count} data-lit={said(lit)} data-chosen={said(chosen)}>
      <figcaption>
        <b>Memory</b> <span>{bytes(total)}</span>
        {sums.map((sum) => (
          <span key={sum.purpose} className="pcb-key">
            <i className={`pcb-purpose-${sum.purpose}`} aria-hidden="true" /> {sum.purpose} {bytes(sum.bytes)}
          </span>
        ))}
      </figcaption>
      <div className="pcb-ruler-bar" aria-hidden="true" onPointerMove={onPointerMove} onPointerLeave={leave} onClick={(event) => choose(under(event as unknown as PointerEvent<HTMLElement>))}>
        {pieces(memory, total).map((piece) => (
          <i
            key={piece.offset}
            className={`pcb-purpose-${piece.purpose}`}
            style={place([piece.offset, piece.offset + piece.bytes], total)}
            title={`${piece.name} (${piece.purpose})\n${bytes(piece.bytes)} at offset ${piece.offset.toLocaleString("en")}`}
          />
        ))}
        {chosen.map((range) => <b key={range[0]} className="pcb-ruler-chosen" style={place(range, total)} />)}
        {lit.map((range) => <b key={range[0]} className="pcb-ruler-lit" style={place(range, total)} />)}
      </div>
      <div className="pcb-ruler-ticks" aria-hidden="true">
        {Array.from({ length: TICKS + 1 }, (_, i) => (
          <span key={i}>{bytes((total * i) / TICKS)}</span>
        ))}
      </div>
      <details>
        <summary>Offsets</summary>
        <div className="pcb-scroll">
          <table className="pcb-table" aria-label="Memory plan">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Purpose</th>
                <th scope="col" className="pcb-number">Offset</th>
                <th scope="col" className="pcb-number">Bytes</th>
              </tr>
            </thead>
            <tbody>
              {memory.map((entry) => {
                const range: Range = [entry.offset, entry.offset + entry.bytes];
                const blocks = () => blocksIn(spans, ...range);
                return (
                  <tr
                    key={`${entry.name}@${entry.offset}`}
                    data-offset={entry.offset} data-lit={meets(lit, range)} aria-selected={meets(chosen, range)}
                    onPointerEnter={() => hoverBlocks(store, blocks())} onPointerLeave={leave} onClick={() => choose(blocks())}
                  >
                    <th scope="row">
                      <button type="button" className="pcb-link" aria-pressed={meets(chosen, range)} title="Select the blocks that lie here" onClick={(event) => { event.stopPropagation(); choose(blocks()); }}>{entry.name}</button>
                    </th>
                    <td>{entry.purpose}</td>
                    <td className="pcb-number">{entry.offset.toLocaleString("en")}</td>
                    <td className="pcb-number">{entry.bytes.toLocaleString("en")}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

const percentOf = (value: number, total: number) => `${(100 * value) / total}%`;
const place = ([from, to]: Range, total: number) => ({ left: percentOf(from, total), width: percentOf(to - from, total) });
const meets = (ranges: Range[], [from, to]: Range) => ranges.some(([a, b]) => a < to && b > from);
const said = (ranges: Range[]) => ranges.slice(0, 8).map((range) => range.join("-")).join(" ");

/** Where each block lies; asked for once a program, and empty until it has come. */
function useSpans(part: ProgramPart): Spans {
  const program = useStore(part.store, (s) => s.program);
  const [spans, setSpans] = useState(NO_SPANS);
  useEffect(() => {
    let wanted = true;
    setSpans(NO_SPANS);
    if (program >= 0) void part.memory().then((found) => wanted && setSpans(found));
    return () => void (wanted = false);
  }, [part, program]);
  return spans;
}
