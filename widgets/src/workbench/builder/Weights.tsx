// A block's parameters: one node at a time, a slider for each. While a slider moves, the numbers on the canvas follow.

import { useEffect, useRef, useState } from "react";
import { useStore } from "zustand";
import { NumberInput } from "../NumberInput";
import { childrenOf, labelOf, type DraftBlock } from "./draft";
import { rebalanced } from "./numbers";
import type { BuilderPart } from "./part";

interface Parameters {
  block: number;
  shape: number[];
  given: boolean;
  tied: number;
  values: number[] | null;
  range?: [number, number, number];
}

const MOST_ROWS = 24;

/** One number of a node: where it stands in the flat list, and what it may be. */
interface Entry {
  at: number;
  label: string;
  unit: boolean;
}

export function Weights({ part, block }: { part: BuilderPart; block: DraftBlock }) {
  const meaning = useStore(part.store, (s) => s.meaning);
  const [known, setKnown] = useState<Parameters | null>(null);
  const [tried, setTried] = useState<number[] | null>(null);
  const [node, setNode] = useState(0);
  const sent = useRef<number[] | null>(null);
  useEffect(() => {
    let wanted = true;
    void part.ask("values", { block: block.id }).then((answer) => {
      if (!wanted) return;
      const found = answer.ok ? (answer as unknown as Parameters) : null;
      setKnown(found);
      // The answer may be older than an edit that is still under way, and than what was tried since the last one.
      const waits = part.session.pending.some(({ op }) => op.kind === "set_weights" && op.args.id === block.id);
      setTried((now) => ((waits || now !== sent.current) && now?.length === found?.values?.length ? now : null));
    });
    return () => {
      wanted = false;
    };
  }, [part, block.id, meaning]);
  if (!known || known.block !== block.id || !known.shape.length) return null;
  const values = tried ?? known.values;
  const nodes = block.nodes ?? 1;
  const current = Math.min(node, nodes - 1);
  const entries = values ? entriesOf(part, block, known.shape, current) : [];
  const normalised = block.kind === "sum" || block.distribution?.name === "categorical";

  const changed = (entry: Entry, value: number): number[] => {
    const next = [...values!];
    if (!normalised) next[entry.at] = value;
    else
      rebalanced(entries.map((each) => values![each.at]), entries.indexOf(entry), value).forEach(
        (weight, i) => (next[entries[i].at] = weight),
      );
    return next;
  };
  const attempt = (entry: Entry, value: number) => {
    const next = changed(entry, value);
    setTried(next);
    part.tryOut({ block: block.id, values: next });
  };
  const commit = () => {
    if (!tried || tried === sent.current) return; // a slider's key is released, and then the slider is left
    sent.current = tried;
    if (!part.edit("set_weights", { id: block.id, values: tried })) {
      setTried(null);
      part.tryOut(null);
    }
  };
  const forget = () => part.edit("set_weights", { id: block.id, values: null });
  const draw = () => {
    const raw = values!.map(() => 0.05 + Math.random());
    const next = [...values!];
    for (let n = 0; n < nodes; n++) {
      const row = entriesOf(part, block, known.shape, n);
      const total = row.reduce((sum, entry) => sum + raw[entry.at], 0);
      for (const entry of row)
        if (normalised) next[entry.at] = raw[entry.at] / total;
        else if (entry.unit) next[entry.at] = Math.min(1, raw[entry.at] / 1.05);
    }
    part.edit("set_weights", { id: block.id, values: next });
  };

  return (
    <section className="pcb-weights" aria-label="Parameters" data-given={known.given}>
      <h3>{block.kind === "sum" ? "Weights" : "Parameters"}</h3>
      <p className="pcb-muted">
        {known.given ? "Given" : "Not given: random when it is trained; move one to give all"}
        {known.tied > 0 && `; shared with ${known.tied} more`}.
      </p>
      {nodes > 1 && values && (
        <label className="pcb-field">
          <span>Node</span>
          <select value={current} onChange={(event) => setNode(Number(event.currentTarget.value))}>
            {Array.from({ length: nodes }, (_, i) => (
              <option key={i} value={i}>{i}</option>
            ))}
          </select>
        </label>
      )}
      {!values && (
        <p className="pcb-muted">
          {known.shape.join(" × ")} numbers{known.range && `, from ${short(known.range[0])} to ${short(known.range[2])}, mean ${short(known.range[1])}`}: too
          many for sliders, or sparse. In Python: <code>document.set_weights({block.id}, …)</code>
        </p>
      )}
      {entries.slice(0, MOST_ROWS).map((entry) => (
        <Row
          key={entry.at}
          entry={entry}
          value={values![entry.at]}
          fixed={normalised && entries.length === 1}
          onTry={(value) => attempt(entry, value)}
          onCommit={commit}
        />
      ))}
      {entries.length > MOST_ROWS && (
        <p className="pcb-muted">
          … {entries.length - MOST_ROWS} more. In Python: <code>document.set_weights({block.id}, …)</code>
        </p>
      )}
      {values && (
        <div className="pcb-row">
          <button type="button" onClick={draw} disabled={block.distribution?.name === "gaussian"}>Draw at random</button>
          <button type="button" onClick={forget} disabled={!known.given}>Forget</button>
        </div>
      )}
    </section>
  );
}

function Row({ entry, value, fixed, onTry, onCommit }: { entry: Entry; value: number; fixed: boolean; onTry: (value: number) => void; onCommit: () => void }) {
  const input = (text: string) => {
    const number = Number(text);
    if (text.trim() && Number.isFinite(number)) onTry(number);
  };
  return (
    <div className="pcb-weight">
      <span title={entry.label}>{entry.label}</span>
      {entry.unit && (
        <input
          type="range"
          min={0}
          max={1}
          step={0.001}
          value={value}
          disabled={fixed}
          aria-label={`${entry.label}, slider`}
          onChange={(event) => input(event.currentTarget.value)}
          onPointerUp={onCommit}
          onKeyUp={onCommit}
          onBlur={onCommit}
        />
      )}
      <NumberInput
        step={entry.unit ? 0.01 : 0.1}
        value={short(value)}
        disabled={fixed}
        label={entry.label}
        onText={input}
        onBlur={onCommit}
        onKeyDown={(event) => event.key === "Enter" && onCommit()}
      />
    </div>
  );
}

const short = (value: number): number => Math.round(value * 10_000) / 10_000;

/** Sums hold a row a node; leaves a column a node. */
function entriesOf(part: BuilderPart, block: DraftBlock, shape: number[], node: number): Entry[] {
  if (block.kind === "sum") {
    const out: Entry[] = [];
    for (const id of childrenOf(block)) {
      const child = part.draft.get(id);
      const nodes = part.draft.nodes.get(id)!;
      for (let unit = 0; unit < nodes; unit++)
        out.push({ at: node * shape[1] + out.length, label: nodes > 1 ? `${labelOf(child)} [${unit}]` : labelOf(child), unit: true });
    }
    return out;
  }
  const { name } = block.distribution!;
  const labels = name === "gaussian" ? ["mean", "variance"] : name === "categorical" ? null : [`p(${block.variable} = 1)`];
  return Array.from({ length: shape[0] }, (_, s) => ({
    at: s * shape[1] + node,
    label: labels?.[s] ?? `p(${block.variable} = ${s})`,
    unit: name !== "gaussian",
  }));
}
