// What pointer and keys do on the map: point, pan, zoom, walk, pin.

import { useRef, type KeyboardEvent, type PointerEvent } from "react";
import type { Size } from "../hooks";
import { pointIn, type Point } from "../stage/stage";
import { cellsInView, keepInside, pixelAt, revealCell, zoomView, type View } from "./lod";
import type { MapInfo, ProgramState } from "./part";

export interface Cell {
  row: number;
  col: number;
}

interface Surface {
  view: View;
  size: Size;
  map: MapInfo;
  state: ProgramState;
  /** Where the keys are. */
  cursor: Cell | null;
  setCursor(cursor: Cell | null): void;
  setHovered(point: Point | null): void;
  /** Null shows the whole matrix. */
  setView(view: View | null): void;
  onPin(row: number, col: number): void;
  onUnpin(): void;
}

/** Screen pixels of a step with an arrow key: a cell once it is larger, otherwise some of them. */
const STEP = 14;
const CLICK = 4;
const ARROWS: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function useHands(surface: Surface) {
  const drag = useRef<(Point & { moved: boolean }) | null>(null);
  const { view, size, map, cursor, setCursor, setHovered, setView, onPin } = surface;
  const cellAt = (point: Point): Cell => ({ row: Math.floor((point.y - view.y) / view.scale), col: Math.floor((point.x - view.x) / view.scale) });
  const about = (): Point =>
    cursor ? { x: view.x + (cursor.col + 0.5) * view.scale, y: view.y + (cursor.row + 0.5) * view.scale } : { x: size.width / 2, y: size.height / 2 };
  const zoom = (factor: number, at = about()) => setView(zoomView(view, factor, at, map, size));
  const fit = () => setView(null);

  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { ...pointIn(event), moved: false };
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const point = pointIn(event);
    const start = drag.current;
    if (!start) return setHovered(point);
    const [dx, dy] = [point.x - start.x, point.y - start.y];
    if (!start.moved && Math.hypot(dx, dy) < CLICK) return;
    drag.current = { ...point, moved: true };
    setHovered(null);
    setView(keepInside({ ...view, x: view.x + dx, y: view.y + dy }, map, size));
  };
  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    const click = drag.current && !drag.current.moved ? pointIn(event) : null;
    drag.current = null;
    if (!click || !pixelAt(view, click, map)) return;
    const cell = cellAt(click);
    setCursor(cell);
    onPin(cell.row, cell.col);
  };
  return { zoom, fit, events: { onPointerDown, onPointerMove, onPointerUp, onPointerLeave: () => setHovered(null), onDblClick: fit, onKeyDown: keysOf(surface) } };
}

function keysOf({ view, size, map, state, cursor, setCursor, setHovered, setView, onPin, onUnpin }: Surface) {
  /** The cursor comes in the middle of what one sees, and goes on from there; the view follows it. */
  const walk = (down: number, right: number) => {
    const step = Math.max(1, Math.round(STEP / view.scale));
    const cells = cellsInView(view, size, map);
    const clamp = (value: number, extent: number) => Math.max(0, Math.min(extent - 1, value));
    const next = cursor
      ? { row: clamp(cursor.row + down * step, map.rows), col: clamp(cursor.col + right * step, map.cols) }
      : { row: cells ? (cells.top + cells.bottom) >> 1 : 0, col: cells ? (cells.left + cells.right) >> 1 : 0 };
    setCursor(next);
    setHovered(null);
    if (state.view) setView(revealCell(view, next.row, next.col, map, size));
  };
  const pan = (down: number, right: number) =>
    setView(keepInside({ ...view, x: view.x - (right * size.width) / 2, y: view.y - (down * size.height) / 2 }, map, size));
  return (event: KeyboardEvent<HTMLElement>) => {
    const arrow = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow) (event.shiftKey ? pan : walk)(...arrow);
    else if (event.key === "Enter" && cursor) onPin(cursor.row, cursor.col);
    else if (event.key === "Escape") {
      setCursor(null);
      onUnpin();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
}
