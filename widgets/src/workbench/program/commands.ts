// Every command of the compiled layout with its keys: the key handler and the list under `?` and Ctrl+K read this table.

import type { Command } from "../commands";
import type { MapControls } from "./MapView";
import { MODES, type ProgramPart } from "./part";

export const TABS = { weights: "Weights", why: "Why", compare: "Compare", kernels: "GPU kernels" } as const;
export type Tab = keyof typeof TABS;

interface Surroundings {
  part: ProgramPart;
  map: () => MapControls | null;
  /** To the layer above (1) or below (−1). */
  step: (by: number) => void;
  nextBlock: (by: number) => void;
  setTab: (tab: Tab) => void;
  toggleTable: () => void;
  open: (dialog: "commands" | "source") => void;
}

export function commandsOf({ part, map, step, nextBlock, setTab, toggleTable, open }: Surroundings): Command[] {
  const nextMode = () => part.setMode(MODES[(MODES.indexOf(part.state.mode) + 1) % MODES.length]);
  return [
    { title: "The layer above", keys: ["PageUp"], run: () => step(1) },
    { title: "The layer below", keys: ["PageDown"], run: () => step(-1) },
    { title: "The next block of the layer", keys: ["B"], run: () => nextBlock(1) },
    { title: "The block before", keys: ["Shift+B"], run: () => nextBlock(-1) },
    { title: "Colour by the next: occupancy, weight, flow, padding", keys: ["M"], run: nextMode },
    { title: "Weights", keys: ["1"], run: () => setTab("weights") },
    { title: "Why this kernel", keys: ["2"], run: () => setTab("why") },
    { title: "Compare with another compilation", keys: ["3"], run: () => setTab("compare") },
    { title: "What Triton compiles for a GPU", keys: ["4"], run: () => setTab("kernels") },
    { title: "Zoom in", keys: ["+", "="], run: () => map()?.zoom(1.6) },
    { title: "Zoom out", keys: ["-"], run: () => map()?.zoom(1 / 1.6) },
    { title: "The whole matrix", keys: ["0"], run: () => map()?.fit() },
    { title: "Show the table, or the map", keys: ["V"], run: toggleTable },
    { title: "Copy as Python", keys: ["Y"], run: () => open("source") },
    { title: "This list", keys: ["?", "Ctrl+K"], run: () => open("commands") },
    { title: "Walk over the map", keys: ["Arrows"] },
    { title: "Pan by half a screen", keys: ["Shift+Arrows"] },
    { title: "Pin a cell, and light its blocks", keys: ["Enter", "Click"] },
    { title: "Unpin", keys: ["Escape"] },
  ];
}
