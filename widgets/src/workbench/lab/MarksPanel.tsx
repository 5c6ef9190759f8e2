// Which circuit, and what is known about each variable: summed out, observed, asked for, or told softly.

import { useState } from "react";
import { useStore } from "zustand";
import { NumberInput } from "../NumberInput";
import type { Lesson, Mark, Variable } from "./lesson";
import type { LabPart } from "./part";

const [MOST_BUTTONS, MOST_SHOWN, MOST_SOFT] = [6, 12, 16];

export function MarksPanel({ part, lesson }: { part: LabPart; lesson: Lesson }) {
  const { marks, titles, lesson: index, output } = useStore(part.store);
  const [query, setQuery] = useState("");
  const wanted = query.trim().toLowerCase();
  const all = lesson.scope.map((v) => lesson.variables[v]);
  const found = all.filter(({ name }) => name in marks || name.toLowerCase().includes(wanted));
  const shown = found.filter(({ name }, i) => name in marks || i < MOST_SHOWN);
  return (
    <div className="pcb-lab-left" tabIndex={0} role="region" aria-label="Evidence">
      <section className="pcb-side-section">
        <label className="pcb-lab-choice">
          <span>Circuit</span>
          <select aria-label="Circuit" value={index} onChange={(event) => part.choose(Number(event.currentTarget.value))}>
            {titles.map((title, i) => <option key={i} value={i}>{title}</option>)}
          </select>
        </label>
        {lesson.outputs.length > 1 && (
          <label className="pcb-lab-choice">
            <span>Output</span>
            <select aria-label="Output" value={output} onChange={(event) => part.setOutput(Number(event.currentTarget.value))}>
              {lesson.outputs.map((node, i) => <option key={i} value={i}>{lesson.nodes[node].name}</option>)}
            </select>
          </label>
        )}
        {lesson.summary && <p>{lesson.summary}</p>}
        {lesson.random && <p className="pcb-muted">Weights that the circuit lacks were drawn at random (seed 0).</p>}
      </section>
      {lesson.violations.length > 0 && (
        <section className="pcb-side-section pcb-lab-wrong" role="note" aria-label="What is wrong">
          <h3>✗ Not a valid circuit</h3>
          {lesson.violations.map(({ text }, i) => <p key={i} className="pcb-sentence">{text}</p>)}
        </section>
      )}
      <section className="pcb-side-section" aria-label="Variables">
        <h3>
          Evidence
          {Object.keys(marks).length > 0 && <button type="button" className="pcb-link pcb-lab-clear" onClick={() => part.clear()}>clear</button>}
        </h3>
        <p className="pcb-muted">Click a value to observe it. Σ sums a variable out, ? asks for it, ~ is soft evidence.</p>
        {all.length > MOST_SHOWN && (
          <input type="search" placeholder={`Find one of ${all.length} variables`} aria-label="Find a variable" value={query} onChange={(event) => setQuery(event.currentTarget.value)} />
        )}
        {shown.map((variable) => <Row key={variable.name} part={part} variable={variable} mark={marks[variable.name]} />)}
        {all.length > shown.length && <p className="pcb-muted">{all.length - shown.length} more variables</p>}
      </section>
    </div>
  );
}

function Row({ part, variable: { name, size }, mark }: { part: LabPart; variable: Variable; mark: Mark | undefined }) {
  const set = (next: Mark | null) => part.mark(name, next);
  const value = mark?.kind === "value" ? mark.value : null;
  const few = size !== null && size <= MOST_BUTTONS;
  return (
    <div className="pcb-mark" role="group" aria-label={name} data-mark={mark?.kind ?? "open"}>
      <span className="pcb-mark-name" title={name}>{name}</span>
      <button type="button" aria-pressed={!mark} aria-label={`sum ${name} out`} title="Sum out (marginalise)" onClick={() => set(null)}>Σ</button>
      {few ? (
        Array.from({ length: size }, (_, v) => (
          <button key={v} type="button" aria-pressed={value === v} aria-label={`${name} = ${v}`} title={`Observe ${name} = ${v}`} onClick={() => set(value === v ? null : { kind: "value", value: v })}>{v}</button>
        ))
      ) : (
        <Number_ label={name} value={value} most={size === null ? undefined : size - 1} onChange={(v) => set(v === null ? null : { kind: "value", value: v })} />
      )}
      <button type="button" aria-pressed={mark?.kind === "query"} aria-label={`ask for ${name}`} title="Ask for its distribution" onClick={() => set(mark?.kind === "query" ? null : { kind: "query" })}>?</button>
      {size !== null && size > 1 && size <= MOST_SOFT && (
        <button type="button" aria-pressed={mark?.kind === "soft"} aria-label={`soft evidence on ${name}`} title="Soft evidence: how likely is each value?" onClick={() => set(mark?.kind === "soft" ? null : { kind: "soft", weights: Array.from({ length: size }, (_, v) => (v === size - 1 ? 0.8 : 0.2)) })}>~</button>
      )}
      {mark?.kind === "soft" &&
        mark.weights.map((weight, v) => (
          <label key={v} className="pcb-soft">
            <span>{v}</span>
            <input
              type="range" min={0} max={1} step={0.05} value={weight} aria-label={`likelihood of ${name} = ${v}`}
              onChange={(event) => set({ kind: "soft", weights: mark.weights.map((old, i) => (i === v ? Number(event.currentTarget.value) : old)) })}
            />
            <output>{weight.toFixed(2)}</output>
          </label>
        ))}
    </div>
  );
}

/** A value of a large or real domain; what is not one of it is not taken. */
function Number_({ label, value, most, onChange }: { label: string; value: number | null; most: number | undefined; onChange: (value: number | null) => void }) {
  const take = (text: string) => {
    const number = Number(text);
    if (text.trim() === "") onChange(null);
    else if (Number.isFinite(number) && (most === undefined || (Number.isInteger(number) && number >= 0 && number <= most))) onChange(number);
  };
  return (
    <NumberInput
      className="pcb-mark-value" label={`${label} =`} placeholder={most === undefined ? "value" : `0…${most}`} value={value}
      min={most === undefined ? undefined : 0} max={most} step={most === undefined ? "any" : 1} onText={take}
    />
  );
}
