// Beside the canvas: what is wrong, and what the circuit says under some evidence.

import { useState } from "react";
import { useStore } from "zustand";
import { NumberInput } from "../NumberInput";
import { probability } from "./numbers";
import type { BuilderPart } from "./part";
import type { Problem } from "./problems";

const MOST_PROBLEMS = 50;
const MOST_VARIABLES = 10;
const MOST_VALUES = 16;

export function Problems({ part, list }: { part: BuilderPart; list: Problem[] }) {
  const empty = !part.draft.blocks.size;
  return (
    <section className="pcb-side-section" aria-label="Problems" data-problems={list.length}>
      <h3>
        Problems <span className={list.length && !empty ? "pcb-badge pcb-badge-bad" : "pcb-badge"}>{list.length}</span>
      </h3>
      {list.length === 0 && <p className="pcb-fine">✓ A valid circuit: smooth and decomposable.</p>}
      <ul className="pcb-problems">
        {list.slice(0, MOST_PROBLEMS).map(({ id, text }, i) => (
          <li key={i}>
            {id === null ? (
              text
            ) : (
              <button
                type="button"
                className="pcb-link"
                onClick={() => {
                  part.choose(id);
                  part.reveal([id]);
                }}
              >
                {text}
              </button>
            )}
          </li>
        ))}
      </ul>
      {list.length > MOST_PROBLEMS && <p className="pcb-muted">… {list.length - MOST_PROBLEMS} more</p>}
    </section>
  );
}

export function Evidence({ part, valid }: { part: BuilderPart; valid: boolean }) {
  useStore(part.store, (s) => s.tick);
  const evidence = useStore(part.store, (s) => s.evidence);
  const numbers = useStore(part.store, (s) => s.numbers);
  const error = useStore(part.store, (s) => s.numbersError);
  const [query, setQuery] = useState("");
  const answer = answerOf(part);
  const all = [...part.draft.variables];
  const wanted = query.trim().toLowerCase();
  const shown = [
    ...all.filter(([name]) => name in evidence),
    ...all.filter(([name]) => !(name in evidence) && name.toLowerCase().includes(wanted)),
  ].slice(0, Math.max(MOST_VARIABLES, Object.keys(evidence).length));
  return (
    <section className="pcb-side-section" aria-label="Evidence on the canvas" data-evaluated={numbers?.rev ?? ""}>
      <h3>Evidence</h3>
      {!valid && <p className="pcb-muted">Numbers come as soon as the circuit is valid.</p>}
      {valid && !Object.keys(evidence).length && <p className="pcb-muted">Observe a variable: values appear on the blocks, and follow the weights.</p>}
      {valid && error && <p className="pcb-muted pcb-sentence">{error}</p>}
      {valid && answer && (
        <p className="pcb-answer" data-log={answer.log ?? ""}>
          <span>{answer.question}</span>
          <strong>{answer.answer}</strong>
          {numbers?.random && <small>Blocks without weights of their own are drawn at random (seed 0).</small>}
        </p>
      )}
      {all.length > MOST_VARIABLES && (
        <input type="search" placeholder={`Find one of ${all.length} variables`} aria-label="Find a variable" value={query} onChange={(event) => setQuery(event.currentTarget.value)} />
      )}
      {shown.map(([name, domain]) => (
        <label key={name} className="pcb-field">
          <span title={name}>{name}</span>
          {domain !== null && domain <= MOST_VALUES ? (
            <select value={evidence[name] ?? ""} onChange={(event) => part.observe(name, event.currentTarget.value === "" ? null : Number(event.currentTarget.value))}>
              <option value="">not observed</option>
              {Array.from({ length: domain }, (_, value) => <option key={value} value={value}>{value}</option>)}
            </select>
          ) : (
            <NumberInput
              placeholder="not observed"
              value={evidence[name] ?? null}
              min={domain === null ? undefined : 0}
              max={domain === null ? undefined : domain - 1}
              onText={(text) => part.observe(name, text === "" ? null : Number(text))}
            />
          )}
        </label>
      ))}
      {all.length > shown.length && <p className="pcb-muted">{all.length - shown.length} more variables</p>}
    </section>
  );
}

/** What is asked, and the roots' values for it; null while there is no answer. */
export function answerOf(part: BuilderPart): { question: string; answer: string; log: number | null } | null {
  const { evidence, numbers } = part.state;
  const given = Object.entries(evidence).filter(([name]) => part.draft.variables.has(name));
  if (!numbers || !given.length) return null;
  const real = given.some(([name]) => part.draft.variables.get(name) === null);
  const what = given.slice(0, 4).map(([name, value]) => `${name}=${value}`).join(", ") + (given.length > 4 ? ", …" : "");
  const logs = numbers.roots.flatMap((id) => numbers.values[id] ?? []);
  return {
    question: `${real ? "density" : "p"}(${what}) = `,
    answer: logs.slice(0, 3).map(probability).join(", ") + (logs.length > 3 ? ", …" : ""),
    log: logs[0] ?? null,
  };
}
