// The builder: palette, canvas, and beside it inspector, evidence and problems. Commands stand in commands.ts.

import { useEffect, useMemo, useRef, useState, type PointerEvent } from "react";
import { useStore } from "zustand";
import { SYMBOL } from "../circuit/draw";
import { runKey } from "../commands";
import { CommandList, Dialog, Source } from "../Dialog";
import { count, plural, seconds } from "../format";
import { useKeptFocus } from "../hooks";
import { Pane } from "../Pane";
import type { Kind } from "../protocol";
import { selectBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import { addAbove, addInput, disconnect, remove, tidy, toggleRegion, toggleRoot } from "./actions";
import { Canvas, type CanvasControls } from "./Canvas";
import { commandsOf } from "./commands";
import { FileDialog, Templates, type DialogName } from "./Dialogs";
import { Inspector } from "./Inspector";
import type { BuilderPart } from "./part";
import type { Place } from "./places";
import { problems } from "./problems";
import { buildScene } from "./scene";
import { Evidence, Problems } from "./Side";
import { Twin } from "./Twin";
import { Kept, Offers } from "./Unsaved";

const TITLES: Record<Exclude<DialogName, "commands">, string> = {
  templates: "Insert a template",
  open: "Open a file",
  save: "Save to a file",
  source: "Copy as Python",
};

export function BuilderPane({ store, palette }: { store: Store; palette: Palette }) {
  const part = store.parts.builder as BuilderPart;
  const state = useStore(part.store);
  const controls = useRef<CanvasControls>(null);
  const body = useRef<HTMLDivElement>(null);
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const [table, setTable] = useState(false);
  const [told, setTold] = useState("");
  const scene = useMemo(() => buildScene(part.draft, part.places, state.folded), [part, state.tick, state.folded]);
  const wrong = useMemo(() => problems(part.draft), [part, state.tick]);
  useLinkedSelection(store, part);

  const commands = useMemo(
    () =>
      commandsOf({
        part,
        canvas: () => controls.current,
        open: setDialog,
        toggleTable: () => setTable((on) => !on),
        rename: () => {
          const field = body.current?.querySelector<HTMLInputElement>("#pcb-name");
          field?.focus();
          field?.select();
        },
      }),
    [part],
  );
  const closeDialog = () => setDialog(null);
  useKeptFocus(body, dialog !== null);
  const compile = async () => {
    setTold("Compiling …");
    const answer = await part.ask("compile");
    setTold(answer.text ?? "");
  };
  const add = (kind: Kind, at?: Place) => {
    if (kind === "input") addInput(part, at);
    else addAbove(part, kind, at ?? (part.state.selection.size ? undefined : controls.current?.middle()));
    controls.current?.focus();
  };

  return (
    <div className="pcb-builder-keys" onKeyDown={(event) => runKey(event, commands) && setTold("")}>
    <Pane
      name="builder"
      listed
      title="Builder"
      summary={summary(part)}
      tools={
        <Tools part={part} valid={wrong.length === 0} table={table} onTable={() => setTable(!table)} onOpen={setDialog} onCompile={() => void compile()} />
      }
    >
      <Offers part={part} />
      <Kept part={part} />
      <div
        ref={body}
        className="pcb-builder"
        data-token={state.token}
        data-rev={state.rev}
        data-tick={state.tick}
        data-pending={state.pending}
        data-blocks={part.draft.blocks.size}
        data-problems={wrong.length}
        data-kept={state.kept.state}
        data-selected={[...state.selection].join(" ")}
      >
        <Palettes onAdd={add} onDrop={(kind, x, y) => { const at = controls.current?.place(x, y); if (at) add(kind, at); }} part={part} onConnect={() => { controls.current?.connect(); controls.current?.focus(); }} />
        <div className="pcb-builder-middle">
          {table ? <Twin part={part} /> : <Canvas store={store} part={part} palette={palette} scene={scene} controls={controls} />}
          <Work part={part} />
          <p className="pcb-told" role="status">{told}</p>
        </div>
        <div className="pcb-side" tabIndex={0} role="region" aria-label="Details">
          <Inspector part={part} />
          <Problems part={part} list={wrong} />
          <Evidence part={part} valid={wrong.length === 0} />
        </div>
      </div>
      {dialog === "commands" && <CommandList list={commands} onClose={closeDialog} />}
      {dialog && dialog !== "commands" && (
        <Dialog title={TITLES[dialog]} onClose={closeDialog}>
          {dialog === "templates" && <Templates part={part} onClose={closeDialog} />}
          {dialog === "source" && (
            <Source ask={() => part.ask("source")} label="The circuit as Python">This builds an equal circuit in a fresh kernel, with names, ties and weights.</Source>
          )}
          {(dialog === "open" || dialog === "save") && <FileDialog part={part} kind={dialog} onDone={(text) => { setTold(text); closeDialog(); }} />}
        </Dialog>
      )}
    </Pane>
    </div>
  );
}

interface ToolsProps {
  part: BuilderPart;
  valid: boolean;
  table: boolean;
  onTable: () => void;
  onOpen: (dialog: DialogName) => void;
  onCompile: () => void;
}

function Tools({ part, valid, table, onTable, onOpen, onCompile }: ToolsProps) {
  const { undo, redo, linked } = useStore(part.store);
  return (
    <>
      <button type="button" disabled={!undo} onClick={() => part.undo()} title={undo ? `Undo: ${undo} (Ctrl+Z)` : "Nothing to undo"}>↶ Undo</button>
      <button type="button" disabled={!redo} onClick={() => part.redo()} title={redo ? `Redo: ${redo} (Ctrl+Shift+Z)` : "Nothing to redo"}>↷ Redo</button>
      <button type="button" onClick={() => onOpen("templates")} title="Insert a template (T)">Template</button>
      <button type="button" onClick={() => onOpen("open")} title="Open a file (O)">Open</button>
      <button type="button" onClick={() => onOpen("save")} title="Save to a file (W)">Save</button>
      <button type="button" onClick={() => onOpen("source")} title="The circuit as Python (Y)">Copy as Python</button>
      {linked && (
        <button type="button" disabled={!valid} onClick={onCompile} title={valid ? "Compile it, and show it beside" : "There are problems yet"}>Compile</button>
      )}
      <button type="button" onClick={() => tidy(part)} disabled={!part.draft.blocks.size} title="Lay everything out anew (L)">Tidy</button>
      <button type="button" aria-pressed={table} onClick={onTable} title="The same blocks as a table (V)">Table</button>
      <button type="button" onClick={() => onOpen("commands")} aria-label="Commands and keys" title="Commands and keys (?)">?</button>
    </>
  );
}

function summary(part: BuilderPart): string {
  const { draft } = part;
  let parameters = 0;
  for (const block of draft.blocks.values()) parameters += draft.parameterCount(block);
  return [plural(draft.variables.size, "variable"), plural(draft.blocks.size, "block"), `${count(parameters)} parameters`].join(" · ");
}

/** What is selected here lights in the panes of the compiled circuit, and what is clicked there lights here. */
function useLinkedSelection(store: Store, part: BuilderPart): void {
  const link = useStore(part.store, (s) => s.link);
  const here = useStore(part.store, (s) => s.selection);
  const there = useStore(store, (s) => s.selection);
  const last = useRef({ here, there });
  useEffect(() => {
    const before = last.current;
    last.current = { here, there };
    if (!link) return;
    if (there !== before.there) {
      const ids = [...there].map((block) => link[block]).filter((id) => part.draft.blocks.has(id));
      if (!sameSet(ids, here)) part.select(ids.length > 1 ? ids : [], ids[0] ?? null);
    } else if (here !== before.here) {
      const blocks = [...link.keys()].filter((block) => here.has(link[block]));
      if (!sameSet(blocks, there)) selectBlocks(store, blocks);
    }
  }, [link, here, there, store, part]);
}

function sameSet(list: readonly number[], set: ReadonlySet<number>): boolean {
  return list.length === set.size && list.every((value) => set.has(value));
}

const PALETTE: [Kind, string, string][] = [
  ["input", "Input", "I"],
  ["product", "Product", "P"],
  ["sum", "Sum", "S"],
];
const WHAT: Record<Kind, string> = {
  input: "Leaves over a variable",
  product: "Multiplies blocks over different variables; goes above the selection",
  sum: "Mixes blocks over the same variables; goes above the selection",
};

interface PalettesProps {
  part: BuilderPart;
  onAdd: (kind: Kind) => void;
  onDrop: (kind: Kind, x: number, y: number) => void;
  onConnect: () => void;
}

/** Click to add above the selection, or drag to where it shall stand. */
function Palettes({ part, onAdd, onDrop, onConnect }: PalettesProps) {
  const selection = useStore(part.store, (s) => s.selection);
  const [ghost, setGhost] = useState<{ kind: Kind; x: number; y: number } | null>(null);
  const dragged = useRef(false);
  const start = useRef({ x: 0, y: 0 });
  const onPointerMove = (kind: Kind, event: PointerEvent<HTMLElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    if (!dragged.current && Math.hypot(event.clientX - start.current.x, event.clientY - start.current.y) < 6) return;
    dragged.current = true;
    setGhost({ kind, x: event.clientX, y: event.clientY });
  };
  return (
    <div className="pcb-palette" role="toolbar" aria-label="Palette" aria-orientation="vertical">
      {PALETTE.map(([kind, title, key]) => (
        <button
          key={kind}
          type="button"
          title={`${WHAT[kind]} (${key})`}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            start.current = { x: event.clientX, y: event.clientY };
            dragged.current = false;
          }}
          onPointerMove={(event) => onPointerMove(kind, event)}
          onPointerUp={(event) => {
            if (dragged.current) onDrop(kind, event.clientX, event.clientY);
            setGhost(null);
          }}
          onClick={() => {
            if (!dragged.current) onAdd(kind);
            dragged.current = false;
          }}
        >
          <span className={`pcb-glyph pcb-glyph-${kind}`} aria-hidden="true">{SYMBOL[kind]}</span>
          {title}
          <kbd aria-hidden="true">{key}</kbd>
        </button>
      ))}
      <hr />
      <button type="button" disabled={selection.size !== 1} title="Connect the selected block to a parent (C)" onClick={onConnect}>Connect<kbd aria-hidden="true">C</kbd></button>
      <button type="button" disabled={selection.size !== 2} title="Disconnect two selected blocks (X)" onClick={() => disconnect(part)}>Cut<kbd aria-hidden="true">X</kbd></button>
      <button type="button" disabled={!selection.size} title="Make the selection the root (R)" onClick={() => toggleRoot(part)}>Root<kbd aria-hidden="true">R</kbd></button>
      <button type="button" disabled={!selection.size} title="Make the selection a region that folds (G)" onClick={() => toggleRegion(part)}>Region<kbd aria-hidden="true">G</kbd></button>
      <button type="button" disabled={!selection.size} title="Delete the selection (Del)" onClick={() => remove(part)}>Delete<kbd aria-hidden="true">⌦</kbd></button>
      {ghost && (
        <span className={`pcb-ghost pcb-glyph pcb-glyph-${ghost.kind}`} aria-hidden="true" style={{ left: ghost.x, top: ghost.y }}>{SYMBOL[ghost.kind]}</span>
      )}
    </div>
  );
}

/** What takes a while says so, and can be given up. */
function Work({ part }: { part: BuilderPart }) {
  const busy = useStore(part.store, (s) => s.busy);
  const [, again] = useState(0);
  useEffect(() => {
    if (!busy.length) return;
    const timer = setInterval(() => again((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [busy.length]);
  return busy.map((entry) => (
    <p key={entry.op} className="pcb-work" role="status">
      <i /> {entry.text} … {seconds(Math.round((Date.now() - entry.since) / 1000))}
      <button type="button" onClick={() => part.cancel(entry.op)}>Cancel</button>
    </p>
  ));
}
