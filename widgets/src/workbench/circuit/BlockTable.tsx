// The canvas's twin for screen readers, for tests, and for people who like tables.

import { useMemo, useState } from "react";
import { useStore } from "zustand";
import type { Circuit } from "../protocol";
import { hoverBlocks, selectBlocks, type Store } from "../store";
import { Glyph } from "./CircuitPane";

const PAGE = 100;

export function BlockTable({ store, circuit }: { store: Store; circuit: Circuit }) {
  const selection = useStore(store, (s) => s.selection);
  const hovered = useStore(store, (s) => s.hovered);
  const [query, setQuery] = useState("");
  const [page, setPage] = useState(0);
  const rows = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    const sorted = [...circuit.blocks].sort((a, b) => b.level - a.level || a.id - b.id);
    return wanted ? sorted.filter((b) => `${b.name} ${b.kind} ${b.scope}`.toLowerCase().includes(wanted)) : sorted;
  }, [circuit, query]);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const current = Math.min(page, pages - 1);
  const shown = rows.slice(current * PAGE, (current + 1) * PAGE);
  return (
    <div className="pcb-scroll">
      <div className="pcb-table-tools">
        <input
          type="search"
          placeholder="Filter by name, kind or scope"
          aria-label="Filter blocks"
          value={query}
          onChange={(event) => setQuery(event.currentTarget.value)}
        />
        <button type="button" disabled={current === 0} onClick={() => setPage(current - 1)}>
          Previous
        </button>
        <span>
          {current + 1} / {pages}
        </span>
        <button type="button" disabled={current === pages - 1} onClick={() => setPage(current + 1)}>
          Next
        </button>
      </div>
      <table className="pcb-table" aria-label="Blocks of the circuit">
        <thead>
          <tr>
            <th scope="col">Block</th>
            <th scope="col" className="pcb-number">Level</th>
            <th scope="col" className="pcb-number">Nodes</th>
            <th scope="col" className="pcb-number">Parameters</th>
            <th scope="col">Scope</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((block) => (
            <tr
              key={block.id}
              aria-selected={selection.has(block.id)}
              data-block={block.id}
              data-lit={hovered.has(block.id)}
              onClick={() => selectBlocks(store, [block.id])}
              onPointerEnter={() => hoverBlocks(store, [block.id])}
              onPointerLeave={() => hoverBlocks(store, [])}
            >
              <th scope="row">
                <button type="button" className="pcb-link" onClick={() => selectBlocks(store, [block.id])}>
                  <Glyph kind={block.kind} /> {block.name}
                </button>
                <span className="pcb-hidden">{block.kind}</span>
              </th>
              <td className="pcb-number">{block.level}</td>
              <td className="pcb-number">{block.nodes.toLocaleString("en")}</td>
              <td className="pcb-number">{block.parameters.toLocaleString("en")}</td>
              <td>{block.scope}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
