// The map's twin: what is on the screen as a table of at most 12 × 6 numbers, with buttons that pan and zoom.

import { useEffect, useState } from "react";
import { useStore } from "zustand";
import { percent } from "../format";
import { fitView, keepInside, tableOf, zoomView, type View } from "./lod";
import { short } from "./paint";
import type { MapInfo, Numbers, ProgramPart } from "./part";

const [ROWS, COLS] = [12, 6];
/** The table has no pixels: it looks through a window of so many. */
const WINDOW = { width: 360, height: 480 };
const MOVES: [string, string, number, number][] = [["←", "left", 0, -1], ["→", "right", 0, 1], ["↑", "up", -1, 0], ["↓", "down", 1, 0]];

export function MapTable({ part, map }: { part: ProgramPart; map: MapInfo }) {
  const state = useStore(part.store);
  const view = state.view ? keepInside(state.view, map, WINDOW) : fitView(map, WINDOW);
  const region = tableOf(view, WINDOW, map, ROWS, COLS)!;
  const [numbers, setNumbers] = useState<Numbers | null>(null);
  const key = JSON.stringify(region);
  useEffect(() => {
    let current = true;
    void part.numbers(region).then((got) => current && setNumbers(got));
    return () => void (current = false);
  }, [part, map, key, state.mode, state.rev]);
  const move = (next: View) => part.setView(next);
  const middle = { x: WINDOW.width / 2, y: WINDOW.height / 2 };
  const fresh = numbers && numbers.mode === state.mode && numbers.level === region.level ? numbers : null;
  return (
    <div className="pcb-scroll pcb-map-table" tabIndex={0} role="region" aria-label="Map as a table" data-home>
      <div className="pcb-table-tools">
        {MOVES.map(([arrow, name, down, right]) => (
          <button key={name} type="button" aria-label={`Move ${name}`} onClick={() => move(keepInside({ ...view, x: view.x - right * 240, y: view.y - down * 240 }, map, WINDOW))}>{arrow}</button>
        ))}
        <button type="button" aria-label="Zoom in" onClick={() => move(zoomView(view, 2, middle, map, WINDOW))}>+</button>
        <button type="button" aria-label="Zoom out" onClick={() => move(zoomView(view, 0.5, middle, map, WINDOW))}>−</button>
        <button type="button" onClick={() => part.setView(null)}>Whole matrix</button>
      </div>
      {fresh && <Cells numbers={fresh} />}
    </div>
  );
}

function Cells({ numbers }: { numbers: Numbers }) {
  const step = 2 ** numbers.level;
  const rows = Array.from({ length: numbers.height }, (_, i) => i);
  const cols = Array.from({ length: numbers.width }, (_, i) => i);
  const first = (at: number) => (at * step).toLocaleString("en");
  return (
    <table className="pcb-table" aria-label={`${numbers.mode}, ${step === 1 ? "cell by cell" : `squares of ${step} cells`}`} data-region={`${numbers.level},${numbers.row},${numbers.col}`}>
      <thead>
        <tr>
          <th scope="col">node \ element</th>
          {cols.map((col) => <th key={col} scope="col" className="pcb-number">{first(numbers.col + col)}{step > 1 && "…"}</th>)}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row}>
            <th scope="row">{first(numbers.row + row)}{step > 1 && "…"}</th>
            {cols.map((col) => <td key={col} className="pcb-number">{shown(numbers, row * numbers.width + col)}</td>)}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function shown(numbers: Numbers, i: number): string {
  const [edges, area] = [numbers.edges[i], numbers.area[i]];
  if (numbers.mode === "occupancy") return percent(edges / area);
  if (numbers.mode === "padding") return percent(numbers.storesAll ? 1 - edges / area : 0);
  return edges ? short(numbers.sums[i] / edges) : "–";
}
