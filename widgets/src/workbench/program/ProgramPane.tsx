// The compiled layout: a line a layer, the chosen layer's weights and reasons beside it, and beneath where memory goes.

import { useEffect, useId, useMemo, useRef, useState } from "react";
import { useStore } from "zustand";
import { runKey } from "../commands";
import { CommandList, Dialog, Source } from "../Dialog";
import { percent, plural } from "../format";
import { useKeptFocus } from "../hooks";
import { Pane } from "../Pane";
import type { Program } from "../protocol";
import { selectBlocks, selectLayer, type Store } from "../store";
import type { Palette } from "../theme";
import { commandsOf, TABS, type Tab } from "./commands";
import { Compare } from "./Compare";
import { Kernels } from "./Kernels";
import { LayerStrip } from "./LayerStrip";
import { MapPanel } from "./MapPanel";
import type { MapControls } from "./MapView";
import { MemoryRuler } from "./MemoryRuler";
import type { ProgramPart } from "./part";
import { Tabs } from "./Tabs";
import { Why } from "./Why";

interface Props {
  store: Store;
  palette: Palette;
}

export function ProgramPane({ store, palette }: Props) {
  const program = useStore(store, (s) => s.program);
  const summary = program
    ? [program.device, program.dtype, plural(program.layers.length, "layer"), `${percent(Number(program.totals.padding))} padding`].join(" · ")
    : "not compiled yet";
  if (!program) {
    return (
      <Pane name="program" title="Compiled layout" summary={summary}>
        <p className="pcb-empty">
          Nothing is compiled yet. Set <code>bench.program</code> or <code>bench.model</code>, or call <code>layout(model)</code>.
        </p>
      </Pane>
    );
  }
  return <Compiled {...{ store, palette, program, summary }} />;
}

/** The layer with the most parameters is what one would look at first. */
function largestSum(program: Program): number | null {
  const sums = program.layers.filter((layer) => layer.kind === "sum");
  return sums.length ? sums.reduce((a, b) => (b.parameter_bytes / b.groups > a.parameter_bytes / a.groups ? b : a)).index : (program.layers[0]?.index ?? null);
}

function Compiled({ store, palette, program, summary }: Props & { program: Program; summary: string }) {
  const part = store.parts.program as ProgramPart;
  const selected = useStore(store, (s) => s.selectedLayer);
  const selection = useStore(store, (s) => s.selection);
  const compare = useStore(part.store, (s) => s.compare);
  const [chosen, setChosen] = useState<{ layer: number; block: number } | null>(null);
  const [tab, setTab] = useState<Tab>("weights");
  const [table, setTable] = useState(false);
  const [dialog, setDialog] = useState<"commands" | "source" | null>(null);
  const controls = useRef<MapControls>(null);
  const body = useRef<HTMLDivElement>(null);
  const panel = useId();

  useKeptFocus(body, dialog !== null);

  const shown = selected ?? chosen?.layer ?? largestSum(program);
  const layer = program.layers.find((candidate) => candidate.index === shown) ?? null;
  // A block that was chosen elsewhere is the one whose weights are wanted.
  const linked = layer && selection.size && selection.size < layer.blocks.length ? layer.blocks.findIndex((id) => selection.has(id)) : -1;
  const block = chosen?.layer === shown ? chosen.block : Math.max(0, linked);
  useEffect(() => setChosen(null), [program]);
  useEffect(() => {
    if (linked >= 0 && layer) setChosen({ layer: layer.index, block: linked });
  }, [linked, layer]);

  const step = (by: number) => {
    const at = program.layers.findIndex((candidate) => candidate.index === shown) + by;
    if (program.layers[at]) selectLayer(store, program.layers[at].index);
  };
  const nextBlock = (by: number) => {
    if (layer) setChosen({ layer: layer.index, block: (block + by + layer.groups) % layer.groups });
  };
  const pin = async (row: number, col: number) => selectBlocks(store, await part.pin(row, col));
  const unpin = () => {
    part.unpin();
    selectBlocks(store, []);
  };
  const commands = useMemo(
    () =>
      commandsOf({
        part,
        map: () => controls.current,
        step,
        nextBlock,
        setTab,
        toggleTable: () => setTable((on) => !on),
        open: setDialog,
      }),
    [part, store, program, shown, block],
  );
  const tools = (
    <>
      <button type="button" aria-pressed={table} onClick={() => setTable(!table)} title="The map as a table (V)">Table</button>
      <button type="button" onClick={() => setDialog("source")} title="This layout as Python (Y)">Copy as Python</button>
      <button type="button" onClick={() => setDialog("commands")} aria-label="Commands and keys" title="Commands and keys (?)">?</button>
    </>
  );
  const place = () => ({ at: layer?.kind === "sum" ? { layer: layer.index, block, row: part.state.pin?.row ?? null, col: part.state.pin?.col ?? null } : null });
  return (
    <div className="pcb-program-keys" onKeyDown={(event) => void runKey(event, commands)}>
      <Pane name="program" title="Compiled layout" summary={summary} tools={tools} listed>
        <div className="pcb-program" ref={body} data-layers={program.layers.length}>
          <LayerStrip store={store} program={program} selected={selected} shown={shown} onSelect={(index) => selectLayer(store, index === selected ? null : index)} />
          {layer && (
            <section className="pcb-detail" data-detail={layer.index} aria-label={`Layer ${layer.index}`}>
              <Tabs panel={panel} layer={layer.index} kind={layer.kind} kernel={layer.kernel} tab={tab} onTab={setTab} />
              <div className="pcb-tab-body" role="tabpanel" id={panel} aria-label={TABS[tab]}>
                {tab === "weights" && (
                  <MapPanel {...{ store, part, layer, block, palette, table, controls }} onBlock={(next) => setChosen({ layer: layer.index, block: next })} onPin={(row, col) => void pin(row, col)} onUnpin={unpin} />
                )}
                {tab === "why" && <Why layer={layer} program={program} />}
                {tab === "kernels" && <Kernels part={part} layer={layer} />}
                {tab === "compare" && compare && <Compare part={part} choices={compare} />}
              </div>
            </section>
          )}
          <MemoryRuler {...{ store, part }} memory={program.memory} />
        </div>
        {dialog === "commands" && <CommandList list={commands} onClose={() => setDialog(null)} />}
        {dialog === "source" && (
          <Dialog title="Copy as Python" onClose={() => setDialog(null)}>
            <Source ask={() => part.ask("source", place())} label="The layout as Python">This compiles an equal program, and looks at the same block.</Source>
          </Dialog>
        )}
      </Pane>
    </div>
  );
}
