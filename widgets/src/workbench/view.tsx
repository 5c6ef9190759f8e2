// The whole workbench. It draws what the store holds and knows nothing of Jupyter.

import { useCallback, useRef, useState, type ComponentType, type FocusEvent } from "react";
import { useStore } from "zustand";
import { BuilderPane } from "./builder/BuilderPane";
import { CircuitPane } from "./circuit/CircuitPane";
import { runKey } from "./commands";
import { CommandList } from "./Dialog";
import { ImageStrip } from "./ImageStrip";
import { LabPane } from "./lab/LabPane";
import { overview } from "./overview";
import { OpenCommands } from "./Pane";
import { ProgramPane } from "./program/ProgramPane";
import type { Store } from "./store";
import { usePalette, type Palette } from "./theme";
import { TrainingPane } from "./training/TrainingPane";

interface PaneProps {
  store: Store;
  palette: Palette;
}

/** Every pane, in the order of the screen: its name in `panes`, its title, and what draws it. */
const PANES = {
  builder: ["Builder", BuilderPane],
  circuit: ["Circuit", CircuitPane],
  program: ["Layout", ProgramPane],
  lab: ["Lab", LabPane],
  training: ["Training", TrainingPane],
} satisfies Record<string, [string, ComponentType<PaneProps>]>;

export type PaneName = keyof typeof PANES;
const NAMES = Object.keys(PANES) as PaneName[];

interface Props {
  store: Store;
  panes: PaneName[];
  height: number;
}

/**
 * Keeps JupyterLab's single-key commands (b, dd, …) away from what is typed here. Some of them match the focused
 * element itself, so the attribute on our root comes too late: whatever gets the focus must carry it.
 */
function keepShortcutsAway(event: FocusEvent<HTMLElement>): void {
  (event.target as Element).setAttribute("data-lm-suppress-shortcuts", "true");
}

export function Workbench({ store, panes, height }: Props) {
  const root = useRef<HTMLDivElement>(null);
  const palette = usePalette(root);
  const [closed, setClosed] = useState<ReadonlySet<PaneName>>(new Set());
  const rev = useStore(store, (s) => s.rev);
  const seq = useStore(store, (s) => s.seq);
  const status = useStore(store, (s) => s.status);
  const images = useStore(store, (s) => s.images);
  const gone = useStore(store, (s) => s.kernelGone);
  const ended = useStore(store, (s) => s.kernelEnded);
  const [listing, setListing] = useState(false);
  const openCommands = useCallback(() => setListing(true), []);
  const open = NAMES.filter((pane) => panes.includes(pane) && !closed.has(pane));
  const toggle = (pane: PaneName) => {
    const next = new Set(closed);
    if (!next.delete(pane)) next.add(pane);
    setClosed(next);
  };
  const go = (pane: PaneName) => {
    const place = root.current!.querySelector(`[data-pane="${pane}"]`);
    (place?.querySelector<HTMLElement>("[data-home], canvas[tabindex]") ?? place?.querySelector<HTMLElement>("button:not(:disabled)"))?.focus();
  };
  const named = panes.map((name) => ({ name, title: PANES[name][0], open: !closed.has(name) }));
  const commands = overview({ store, panes: named, toggle: (pane) => toggle(pane as PaneName), go: (pane) => go(pane as PaneName), list: openCommands });
  return (
    <div
      ref={root}
      className="pcb-root"
      onKeyDown={(event) => void runKey(event, commands)}
      onFocusCapture={keepShortcutsAway}
      data-lm-suppress-shortcuts="true"
      data-rev={rev}
      data-seq={seq}
      data-points={store.getState().history.length}
      data-state={status?.state ?? "idle"}
      data-images={images.reduce((sum, group) => sum + group.images.length, 0)}
      data-kernel={gone ? "gone" : "alive"}
      style={{ "--pcb-height": `${height}px` } as React.CSSProperties}
    >
      {panes.length > 1 && (
        <div className="pcb-bar-top">
          <strong className="pcb-brand">pcbench</strong>
          <nav aria-label="Panes">
            {panes.map((pane) => (
              <button key={pane} type="button" aria-pressed={!closed.has(pane)} onClick={() => toggle(pane)}>
                {PANES[pane][0]}
              </button>
            ))}
          </nav>
          <span className={gone ? "pcb-live pcb-live-gone" : "pcb-live"}>{gone ? "kernel gone" : "live"}</span>
        </div>
      )}
      {gone && (
        <p className="pcb-banner" role="alert">
          {ended ? "The kernel is gone: it was restarted or shut down." : "The kernel does not answer."} What you see is the last that it sent.{" "}
          {ended ? "Run the cell again to go on." : "If it was restarted, run the cell again."}
        </p>
      )}
      <OpenCommands.Provider value={openCommands}>
        <div className="pcb-panes">
          {open.map((name) => {
            const View: ComponentType<PaneProps> = PANES[name][1];
            return <View key={name} store={store} palette={palette} />;
          })}
          <ImageStrip store={store} />
        </div>
      </OpenCommands.Provider>
      {listing && <CommandList list={commands} onClose={() => setListing(false)} />}
    </div>
  );
}
