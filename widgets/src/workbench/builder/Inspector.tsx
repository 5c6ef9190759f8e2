// What is selected, and everything about it that can be changed.

import { useStore } from "zustand";
import { SYMBOL } from "../circuit/draw";
import { addAbove, duplicate, remove, toggleRegion, toggleRoot } from "./actions";
import { childrenOf, labelOf, type DraftBlock } from "./draft";
import { domainText, type Distribution } from "./families";
import { Field } from "./Field";
import type { BuilderPart } from "./part";
import { Weights } from "./Weights";

const MOST_LISTED = 30;

export function Inspector({ part }: { part: BuilderPart }) {
  useStore(part.store, (s) => s.tick);
  const selection = useStore(part.store, (s) => s.selection);
  const focus = useStore(part.store, (s) => s.focus);
  const ids = [...selection].filter((id) => part.draft.blocks.has(id));
  const single = ids.length === 1 ? part.draft.blocks.get(ids[0]) : undefined;
  return (
    <section
      className="pcb-side-section"
      aria-label="Inspector"
      data-inspect={single?.id ?? ""}
      onFocusCapture={(event) => part.store.setState({ typing: (event.target as Element).tagName === "INPUT" })}
      onBlurCapture={() => part.store.setState({ typing: false })}
    >
      <h3>Inspector</h3>
      {single ? (
        <One key={single.id} part={part} block={single} />
      ) : ids.length ? (
        <Several part={part} ids={ids} focus={focus} />
      ) : (
        <p className="pcb-muted">Click a block, or walk with the arrow keys.</p>
      )}
    </section>
  );
}

function Several({ part, ids, focus }: { part: BuilderPart; ids: number[]; focus: number | null }) {
  return (
    <>
      <p>
        {ids.length} blocks: {ids.slice(0, 4).map((id) => labelOf(part.draft.get(id))).join(", ")}
        {ids.length > 4 && ", …"}
      </p>
      <div className="pcb-row">
        <button type="button" onClick={() => addAbove(part, "product")}>Product above</button>
        <button type="button" onClick={() => addAbove(part, "sum")}>Sum above</button>
        <button type="button" onClick={() => toggleRegion(part)}>Region</button>
        <button type="button" onClick={() => remove(part)}>Delete</button>
      </div>
      {focus !== null && <p className="pcb-muted">Space marks a block, Escape forgets the marks.</p>}
    </>
  );
}

function One({ part, block }: { part: BuilderPart; block: DraftBlock }) {
  const { draft } = part;
  const scope = draft.scope.get(block.id)!;
  const { names, more } = draft.chips(scope, 8);
  const root = draft.roots.includes(block.id);
  const parents = [...(draft.parents.get(block.id) ?? [])];
  return (
    <>
      <p className="pcb-inspect-title">
        <span className={`pcb-glyph pcb-glyph-${block.kind}`} aria-hidden="true">{SYMBOL[block.kind]}</span>
        <strong>{labelOf(block)}</strong>
        <span className="pcb-muted">{block.kind} · id {block.id}</span>
      </p>
      <Field
        label="Name"
        id="pcb-name"
        value={block.name ?? ""}
        placeholder={`${block.kind}#${block.id}`}
        onCommit={(name) => part.edit("rename", { id: block.id, name: name.trim() || null })}
      />
      {block.kind === "input" && <Leaf part={part} block={block} />}
      {block.kind !== "product" && (
        <Field
          label="Nodes"
          type="number"
          min={1}
          value={String(block.nodes ?? 1)}
          onCommit={(text) => part.edit("set_units", { id: block.id, nodes: Number(text) })}
        />
      )}
      <dl className="pcb-facts">
        <dt>Scope</dt>
        <dd>{names.join(", ") || "nothing yet"}{more > 0 && ` + ${more} more`}</dd>
        {block.kind === "product" && (
          <>
            <dt>Nodes</dt>
            <dd>{draft.nodes.get(block.id)}{block.indexed !== undefined ? ", chosen one by one" : ", as its children"}</dd>
          </>
        )}
        {block.kind !== "product" && (
          <>
            <dt>Parameters</dt>
            <dd>
              {draft.parameterCount(block).toLocaleString("en")}
              {block.sparse && ` (${block.sparse.text})`}
            </dd>
          </>
        )}
        {block.group !== undefined && (
          <>
            <dt>Region</dt>
            <dd>{block.group}</dd>
          </>
        )}
      </dl>
      {block.kind !== "input" && <Edges part={part} title="Children" ids={childrenOf(block)} cut={(id) => ({ parent: block.id, child: id })} />}
      <Edges part={part} title="Parents" ids={parents} cut={(id) => ({ parent: id, child: block.id })} />
      <Weights part={part} block={block} />
      <div className="pcb-row">
        <button type="button" aria-pressed={root} onClick={() => toggleRoot(part)}>Root</button>
        <button type="button" onClick={() => duplicate(part)}>Duplicate</button>
        <button type="button" onClick={() => remove(part)}>Delete</button>
      </div>
    </>
  );
}

function Leaf({ part, block }: { part: BuilderPart; block: DraftBlock }) {
  const { families } = part.state;
  const current = block.distribution!;
  const family = families.find((each) => each.name === current.name);
  const change = (distribution: Distribution, variable = block.variable) =>
    part.edit("set_distribution", { id: block.id, distribution, variable });
  const domain = part.draft.variables.get(block.variable!);
  return (
    <>
      <Field label="Variable" value={block.variable!} list="pcb-variables" onCommit={(name) => change(current, name)}>
        <datalist id="pcb-variables">
          {[...part.draft.variables.keys()].slice(0, 200).map((name) => <option key={name} value={name} />)}
        </datalist>
      </Field>
      <label className="pcb-field">
        <span>Family</span>
        <select
          value={current.name}
          onChange={(event) => {
            const chosen = families.find((each) => each.name === event.currentTarget.value)!;
            change({ name: chosen.name, ...chosen.options });
          }}
        >
          {families.map((each) => <option key={each.name} value={each.name}>{each.title}</option>)}
        </select>
      </label>
      {Object.keys(family?.options ?? {}).map((option) => (
        <Field
          key={option}
          label={option.replace("_", " ")}
          type="number"
          value={String(current[option])}
          onCommit={(text) => change({ ...current, [option]: Number(text) })}
        />
      ))}
      {domain !== undefined && <p className="pcb-muted">Values {domainText(domain)}</p>}
    </>
  );
}

interface EdgesProps {
  part: BuilderPart;
  title: string;
  ids: readonly number[];
  cut: (id: number) => { parent: number; child: number };
}

function Edges({ part, title, ids, cut }: EdgesProps) {
  if (!ids.length) return null;
  const show = (id: number) => {
    part.choose(id);
    part.reveal([id]);
  };
  return (
    <div className="pcb-edges">
      <h4>{title}</h4>
      <ul>
        {ids.slice(0, MOST_LISTED).map((id) => (
          <li key={id}>
            <button type="button" className="pcb-link" onClick={() => show(id)}>
              <span className={`pcb-glyph pcb-glyph-${part.draft.get(id).kind}`} aria-hidden="true">{SYMBOL[part.draft.get(id).kind]}</span>
              {labelOf(part.draft.get(id))}
            </button>
            <button
              type="button"
              className="pcb-cut"
              aria-label={`Disconnect ${labelOf(part.draft.get(id))}`}
              title="Disconnect"
              onClick={() => part.edit("disconnect", cut(id))}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      {ids.length > MOST_LISTED && <p className="pcb-muted">… {ids.length - MOST_LISTED} more</p>}
    </div>
  );
}
