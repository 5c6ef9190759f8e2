// The picture's twin: the same numbers as a table, for screen readers, tests, and people who like tables.

import { useState } from "react";
import { useStore } from "zustand";
import { SYMBOL } from "../circuit/draw";
import type { Trace } from "./answers";
import type { Lesson } from "./lesson";
import type { LabPart } from "./part";
import { shownDown, shownUp } from "./steps";
import { edgesInto, equation, exact, plain } from "./words";

const PAGE = 100;

export function NodeTable({ part, lesson, trace }: { part: LabPart; lesson: Lesson; trace: Trace | null }) {
  const pass = useStore(part.store, (s) => s.pass);
  const [page, setPage] = useState(0);
  const rows = [...lesson.layers].reverse().flat();
  const pages = Math.max(1, Math.ceil(rows.length / PAGE));
  const current = Math.min(page, pages - 1);
  return (
    <div className="pcb-scroll pcb-lab-table" tabIndex={0} role="region" aria-label="Table of nodes" data-home>
      {pages > 1 && (
        <div className="pcb-table-tools">
          <button type="button" disabled={current === 0} onClick={() => setPage(current - 1)}>Previous</button>
          <span>{current + 1} / {pages}</span>
          <button type="button" disabled={current === pages - 1} onClick={() => setPage(current + 1)}>Next</button>
        </div>
      )}
      <table className="pcb-table" aria-label="Nodes of the circuit">
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col" className="pcb-number">Layer</th>
            <th scope="col">Equation</th>
            <th scope="col" className="pcb-number">Value</th>
            <th scope="col" className="pcb-number">{pass === "flows" ? "Flow" : "Path"}</th>
            <th scope="col">From its parents</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(current * PAGE, (current + 1) * PAGE).map((i) => <Row key={i} part={part} lesson={lesson} trace={trace} i={i} />)}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  part: LabPart;
  lesson: Lesson;
  trace: Trace | null;
  i: number;
}

/** Only what the steps have shown so far. */
function Row({ part, lesson, trace, i }: RowProps) {
  const { at, pass, marks, node: chosen } = useStore(part.store);
  const { kind, name, block } = lesson.nodes[i];
  const layer = lesson.placement.layer[i];
  const up = shownUp(at, layer) ? trace : null;
  const down = shownDown(lesson, at, layer) ? trace?.down : undefined;
  const into = down ? edgesInto(lesson, i).filter((e) => down.edge[e] > 0) : [];
  const said = up && equation(lesson, i, marks, up, pass);
  const parent = (e: number) => lesson.nodes[lesson.parent[e]].name;
  return (
    <tr
      data-row={i} data-block={block} aria-selected={i === chosen} data-up={up?.up[i]} data-down={down?.node[i]}
      data-into={down && JSON.stringify(into.map((e) => [lesson.parent[e], down.edge[e]]))} onClick={() => part.set({ node: i })}
    >
      <th scope="row">
        <button type="button" className="pcb-link" onClick={() => part.set({ node: i })}>
          <span className={`pcb-glyph pcb-glyph-${kind}`} aria-hidden="true">{SYMBOL[kind]}</span> {name}
        </button>
        <span className="pcb-hidden">{kind}</span>
      </th>
      <td className="pcb-number">{layer + 1}</td>
      <td>{said && [said.symbols, said.numbers].filter(Boolean).join(" = ")}</td>
      <td className="pcb-number">{said ? exact(said.log) : "?"}</td>
      <td className="pcb-number">{down && (pass === "flows" ? plain(down.node[i]) : down.node[i] ? "yes" : "–")}</td>
      <td>{down && into.map((e) => (pass === "flows" ? `${plain(down.edge[e])} ${parent(e)}` : parent(e))).join(", ")}</td>
    </tr>
  );
}
