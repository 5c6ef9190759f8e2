// The canvas's twin: the same blocks as a table, for screen readers, tests, and people who like tables.

import { useMemo, useState } from "react";
import { useStore } from "zustand";
import { SYMBOL } from "../circuit/draw";
import { childrenOf, labelOf } from "./draft";
import { familyText } from "./families";
import { probability } from "./numbers";
import type { BuilderPart } from "./part";

const PAGE = 100;

export function Twin({ part }: { part: BuilderPart }) {
  const tick = useStore(part.store, (s) => s.tick);
  const selection = useStore(part.store, (s) => s.selection);
  const numbers = useStore(part.store, (s) => s.numbers);
  const [query, setQuery] = useState("");
  const [page, setPage] = useState(0);
  const { draft } = part;
  const rows = useMemo(() => {
    const wanted = query.trim().toLowerCase();
    const all = [...draft.blocks.values()].sort((a, b) => a.id - b.id);
    if (!wanted) return all;
    return all.filter((b) => `${labelOf(b)} ${b.kind} ${draft.chips(draft.scope.get(b.id)!, 6).names.join(" ")}`.toLowerCase().includes(wanted));
  }, [draft, tick, query]);
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const current = Math.min(page, pages - 1);
  return (
    <div className="pcb-scroll pcb-builder-table" tabIndex={0} role="region" aria-label="Table of blocks" data-home>
      <div className="pcb-table-tools">
        <input type="search" placeholder="Filter by name, kind or variable" aria-label="Filter blocks" value={query} onChange={(event) => setQuery(event.currentTarget.value)} />
        <button type="button" disabled={current === 0} onClick={() => setPage(current - 1)}>Previous</button>
        <span>{current + 1} / {pages}</span>
        <button type="button" disabled={current === pages - 1} onClick={() => setPage(current + 1)}>Next</button>
      </div>
      <table className="pcb-table" aria-label="Blocks under construction">
        <thead>
          <tr>
            <th scope="col">Block</th>
            <th scope="col">Scope</th>
            <th scope="col" className="pcb-number">Nodes</th>
            <th scope="col" className="pcb-number">Parameters</th>
            <th scope="col">Children</th>
            <th scope="col">Value</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(current * PAGE, (current + 1) * PAGE).map((block) => {
            const { names, more } = draft.chips(draft.scope.get(block.id)!, 4);
            const children = childrenOf(block);
            const values = numbers?.values[block.id];
            return (
              <tr key={block.id} data-row={block.id} aria-selected={selection.has(block.id)} onClick={() => part.choose(block.id)}>
                <th scope="row">
                  <button type="button" className="pcb-link" onClick={() => part.choose(block.id)}>
                    <span className={`pcb-glyph pcb-glyph-${block.kind}`} aria-hidden="true">{SYMBOL[block.kind]}</span> {labelOf(block)}
                  </button>
                  <span className="pcb-hidden">{block.kind}</span>
                </th>
                <td>{names.join(", ")}{more > 0 && ` +${more}`}</td>
                <td className="pcb-number">{draft.nodes.get(block.id)!.toLocaleString("en")}</td>
                <td className="pcb-number">{draft.parameterCount(block).toLocaleString("en")}</td>
                <td>{block.distribution ? familyText(block.distribution) : children.slice(0, 5).map((id) => labelOf(draft.get(id))).join(", ") + (children.length > 5 ? `, … ${children.length}` : "")}</td>
                <td>{values?.slice(0, 3).map(probability).join(", ")}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
