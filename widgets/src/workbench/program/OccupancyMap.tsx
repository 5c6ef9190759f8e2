// How full the weight tiles of a layer are: dark is full, paper is empty, and nothing is painted outside the matrix.

import { useRef, useState, type PointerEvent } from "react";
import { percent } from "../format";
import { prepareCanvas, useFrame } from "../hooks";
import type { Occupancy } from "../protocol";
import type { Palette } from "../theme";

const SIDE = 124;

interface Props {
  occupancy: Occupancy;
  palette: Palette;
}

/** Share of the cells that hold anything, and the mean fill of all. */
export function summarize(occupancy: Occupancy): { touched: number; mean: number } {
  let touched = 0;
  let sum = 0;
  for (const cell of occupancy.cells) {
    if (cell > 0) touched++;
    sum += cell / 255;
  }
  const total = Math.max(1, occupancy.cells.length);
  return { touched: touched / total, mean: sum / total };
}

export function OccupancyMap({ occupancy, palette }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cell, setCell] = useState<{ row: number; col: number } | null>(null);
  const { rows, cols, cells } = occupancy;
  const scale = SIDE / Math.max(rows, cols);
  const size = { width: Math.max(2, cols * scale), height: Math.max(2, rows * scale) };
  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (!context) return;
    context.clearRect(0, 0, size.width, size.height);
    context.fillStyle = palette.series[0];
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++) {
        const value = cells[r * cols + c];
        if (value === 0) continue;
        context.globalAlpha = 0.15 + (0.85 * value) / 255;
        context.fillRect(c * scale, r * scale, Math.max(0.6, scale - (scale > 4 ? 1 : 0)), Math.max(0.6, scale - (scale > 4 ? 1 : 0)));
      }
    context.globalAlpha = 1;
  });
  const onPointerMove = (event: PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    const row = Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows));
    const col = Math.min(cols - 1, Math.floor(((event.clientX - box.left) / box.width) * cols));
    setCell({ row: Math.max(0, row), col: Math.max(0, col) });
  };
  const { touched, mean } = summarize(occupancy);
  const text = cell
    ? `row ${cell.row}, column ${cell.col}: ${percent(cells[cell.row * cols + cell.col] / 255)} full`
    : `${rows} × ${cols} cells, ${percent(touched)} touched, ${percent(mean)} full`;
  return (
    <figure className="pcb-occupancy">
      <canvas
        ref={canvas}
        style={size}
        role="img"
        aria-label={`Occupancy of the weights: ${rows} by ${cols} cells, ${percent(mean)} full`}
        onPointerMove={onPointerMove}
        onPointerLeave={() => setCell(null)}
      />
      <figcaption>{text}</figcaption>
    </figure>
  );
}
