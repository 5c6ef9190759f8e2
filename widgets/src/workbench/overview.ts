// The commands of the whole workbench, and those of panes that have no list of their own: under `?` and Ctrl+K, too.

import type { Command } from "./commands";
import { command, type Store } from "./store";
import type { Command as Op } from "./protocol";

interface Surroundings {
  store: Store;
  /** Name and title of each pane, and whether it is open. */
  panes: { name: string; title: string; open: boolean }[];
  toggle: (pane: string) => void;
  go: (pane: string) => void;
  list: () => void;
}

const STEERING: [Op, string, string][] = [
  ["pause", "Pause the run", "running"],
  ["resume", "Go on with the run", "paused"],
  ["step", "One step of the run", "paused"],
  ["stop", "Stop the run", "running paused"],
];

export function overview({ store, panes, toggle, go, list }: Surroundings): Command[] {
  const open = (name: string) => panes.some((pane) => pane.name === name && pane.open);
  const state = store.getState().status?.state ?? "";
  const moves = panes.length < 2 ? [] : panes.flatMap(({ name, title, open }) => [
    ...(open ? [{ title: `Go to ${title}`, keys: [], run: () => go(name) }] : []),
    { title: open ? `Hide ${title}` : `Show ${title}`, keys: [], run: () => toggle(name) },
  ]);
  const steering = open("training") ? STEERING.filter(([, , when]) => state && when.includes(state)) : [];
  return [
    ...moves,
    ...steering.map(([op, title]) => ({ title, keys: [], run: () => command(store, op) })),
    { title: "This list", keys: ["?", "Ctrl+K"], run: list },
    ...(open("circuit") ? CIRCUIT : []),
  ];
}

/** The circuit's canvas takes these itself. */
const CIRCUIT: Command[] = [
  { title: "Walk from block to block", keys: ["Arrows"] },
  { title: "Zoom the circuit, or fit it", keys: ["+", "-", "0"] },
  { title: "Zoom at the pointer", keys: ["Wheel", "Ctrl+Wheel"] },
  { title: "Select a block", keys: ["Click"] },
  { title: "Select nothing", keys: ["Escape"] },
];
