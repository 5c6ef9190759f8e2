// Every command of the builder with its keys: the toolbar, the key handler, the list under `?` and Ctrl+K read this table.

import type { Command } from "../commands";
import { addAbove, addInput, disconnect, duplicate, remove, selectAll, tidy, toggleFold, toggleRegion, toggleRoot } from "./actions";
import type { CanvasControls } from "./Canvas";
import type { DialogName } from "./Dialogs";
import type { BuilderPart } from "./part";

interface Surroundings {
  part: BuilderPart;
  canvas: () => CanvasControls | null;
  open: (dialog: DialogName) => void;
  toggleTable: () => void;
  rename: () => void;
}

export function commandsOf({ part, canvas, open, toggleTable, rename }: Surroundings): Command[] {
  return [
    { title: "Add an input over a new variable", keys: ["I"], run: () => void addInput(part) },
    { title: "Add a product above the selection", keys: ["P"], run: () => void addAbove(part, "product", free(part, canvas)) },
    { title: "Add a sum above the selection", keys: ["S"], run: () => void addAbove(part, "sum", free(part, canvas)) },
    { title: "Connect to a parent", keys: ["C"], run: () => canvas()?.connect() },
    { title: "Disconnect two selected blocks", keys: ["X"], run: () => void disconnect(part) },
    { title: "Duplicate the block", keys: ["D"], run: () => void duplicate(part) },
    { title: "Delete the selection", keys: ["Delete", "Backspace"], run: () => void remove(part) },
    { title: "Rename", keys: ["N", "F2"], run: rename },
    { title: "Make the selection the root, or no longer", keys: ["R"], run: () => void toggleRoot(part) },
    { title: "Make the selection a region, or dissolve it", keys: ["G"], run: () => void toggleRegion(part) },
    { title: "Fold or unfold the region", keys: ["F"], run: () => void toggleFold(part) },
    { title: "Undo", keys: ["Ctrl+Z"], run: () => part.undo() },
    { title: "Redo", keys: ["Ctrl+Shift+Z", "Ctrl+Y"], run: () => part.redo() },
    { title: "Insert a template", keys: ["T"], run: () => open("templates") },
    { title: "Open a file", keys: ["O"], run: () => open("open") },
    { title: "Save to a file", keys: ["W"], run: () => open("save") },
    { title: "Copy as Python", keys: ["Y"], run: () => open("source") },
    { title: "Tidy: lay everything out anew", keys: ["L"], run: () => void tidy(part) },
    { title: "Fit everything on the screen", keys: ["0"], run: () => canvas()?.fit() },
    { title: "Zoom in", keys: ["+", "="], run: () => canvas()?.zoom(1.3) },
    { title: "Zoom out", keys: ["-"], run: () => canvas()?.zoom(1 / 1.3) },
    { title: "Select everything", keys: ["Ctrl+A"], run: () => selectAll(part) },
    { title: "Show the table, or the canvas", keys: ["V"], run: toggleTable },
    { title: "This list", keys: ["?", "Ctrl+K"], run: () => open("commands") },
    { title: "Walk from block to block", keys: ["Arrows"] },
    { title: "Mark the block, and walk on", keys: ["Space"] },
    { title: "Move the selection", keys: ["Shift+Arrows"] },
    { title: "Pan, move, connect from a port", keys: ["Drag"] },
    { title: "Select with a box", keys: ["Shift+Drag"] },
    { title: "Select one more, or one less", keys: ["Shift+Click"] },
    { title: "Zoom", keys: ["Wheel", "Ctrl+Wheel"] },
    { title: "Give up, or select nothing", keys: ["Escape"] },
  ];
}

/** Inner blocks that belong above nothing stand in the middle of what one sees. */
function free(part: BuilderPart, canvas: () => CanvasControls | null): [number, number] | undefined {
  if (part.state.selection.size || !part.draft.blocks.size) return undefined;
  const middle = canvas()?.middle();
  return middle && [middle[0], middle[1]];
}
