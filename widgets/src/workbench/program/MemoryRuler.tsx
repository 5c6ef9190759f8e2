// Where everything lies in memory: one bar to scale, offsets beneath, and the same as a table for those who cannot see it.

import { bytes } from "../format";
import type { MemoryEntry } from "../protocol";

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

export function MemoryRuler({ memory }: { memory: MemoryEntry[] }) {
  if (memory.length === 0) return null;
  const total = Math.max(1, ...memory.map((entry) => entry.offset + entry.bytes));
  const sums = PURPOSES.map((purpose) => ({
    purpose,
    bytes: memory.filter((entry) => entry.purpose === purpose).reduce((sum, entry) => sum + entry.bytes, 0),
  })).filter((sum) => sum.bytes > 0);
  return (
    <figure className="pcb-ruler" aria-label={`Memory plan, ${bytes(total)}`}>
      <figcaption>
        <b>Memory</b> <span>{bytes(total)}</span>
        {sums.map((sum) => (
          <span key={sum.purpose} className="pcb-key">
            <i className={`pcb-purpose-${sum.purpose}`} aria-hidden="true" /> {sum.purpose} {bytes(sum.bytes)}
          </span>
        ))}
      </figcaption>
      <div className="pcb-ruler-bar" aria-hidden="true">
        {pieces(memory, total).map((piece) => (
          <i
            key={piece.offset}
            className={`pcb-purpose-${piece.purpose}`}
            style={{ left: `${(100 * piece.offset) / total}%`, width: `${(100 * piece.bytes) / total}%` }}
            title={`${piece.name} (${piece.purpose})\n${bytes(piece.bytes)} at offset ${piece.offset.toLocaleString("en")}`}
          />
        ))}
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
              {memory.map((entry) => (
                <tr key={`${entry.name}@${entry.offset}`}>
                  <th scope="row">{entry.name}</th>
                  <td>{entry.purpose}</td>
                  <td className="pcb-number">{entry.offset.toLocaleString("en")}</td>
                  <td className="pcb-number">{entry.bytes.toLocaleString("en")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
