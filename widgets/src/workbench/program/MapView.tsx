// The weight map: a canvas that pans, zooms, names what is under the pointer or the cursor, and is driven by keys alone.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent, type Ref, useImperativeHandle } from "react";
import { useStore } from "zustand";
import { useWheel } from "../circuit/CircuitPane";
import { prepareCanvas, useFrame, useSize, type Size } from "../hooks";
import type { Palette } from "../theme";
import { cellsInView, fitView, keepInside, levelOf, pixelAt, revealCell, tilesInView, WRITTEN, zoomView, type View } from "./lod";
import { covers, paint, writtenRegion } from "./paint";
import type { MapInfo, Numbers, ProgramPart } from "./part";
import { pixelText, placeText } from "./words";

export interface MapControls {
  zoom(factor: number): void;
  fit(): void;
  focus(): void;
}

interface Props {
  part: ProgramPart;
  map: MapInfo;
  palette: Palette;
  controls: Ref<MapControls>;
  onPin: (row: number, col: number) => void;
  onUnpin: () => void;
}

type Pixel = { level: number; row: number; col: number };
/** Screen pixels of a step with an arrow key: a cell once it is larger, otherwise some of them. */
const STEP = 14;
const CLICK = 4;
/** After the view stood still for so long, what it lacks is asked for: levels flown through are not. */
const REST_MS = 70;

export function MapView({ part, map, palette, controls, onPin, onUnpin }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const frames = useRef(0);
  const size = useSize(frame);
  const state = useStore(part.store);
  const [hovered, setHovered] = useState<{ x: number; y: number } | null>(null);
  const [cursor, setCursor] = useState<{ row: number; col: number } | null>(null);
  const drag = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const view = useMemo(() => (state.view ? keepInside(state.view, map, size) : fitView(map, size)), [state.view, map, size]);
  const setView = (next: View) => part.setView(next);
  const level = levelOf(view.scale, map.levels);

  useEffect(() => setCursor(null), [map]);
  const wanted = useMemo(() => tilesInView(view, size, map, level), [view, size, map, level]);
  const rev = part.valueRev();
  useTiles(part, wanted, size, rev, state.mode);
  const numbers = useWritten(part, map, view, size, state.rev);

  const marked: Pixel | null = hovered ? pixelAt(view, hovered, map) : cursor && { level, row: cursor.row >> level, col: cursor.col >> level };
  const told = useProbe(part, marked, map, state.mode, state.rev);
  const pin = state.pin?.layer === map.layer && state.pin.block === map.block ? state.pin : null;
  const written = view.scale < WRITTEN || covers(numbers, view, size, map, state.mode, state.rev);
  const settled = size.width > 0 && written && part.tiles.settled(part.mapKey(), wanted, rev);
  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (!context) return;
    paint(context, { map, mode: state.mode, view, size, palette, tiles: part.tiles, key: part.mapKey(), marked, pin, numbers }, window.devicePixelRatio || 1);
    canvas.current!.dataset.frames = String(++frames.current);
    canvas.current!.dataset.settled = String(settled);
  });

  const about = (): { x: number; y: number } =>
    cursor ? { x: view.x + (cursor.col + 0.5) * view.scale, y: view.y + (cursor.row + 0.5) * view.scale } : { x: size.width / 2, y: size.height / 2 };
  const zoom = (factor: number, at = about()) => setView(zoomView(view, factor, at, map, size));
  const fit = () => part.setView(null);
  useWheel(canvas, (factor, at) => zoom(factor, at));
  useImperativeHandle(controls, () => ({ zoom: (factor) => zoom(factor), fit, focus: () => canvas.current?.focus({ preventScroll: true }) }));

  const walk = (down: number, right: number) => {
    const step = Math.max(1, Math.round(STEP / view.scale));
    const cells = cellsInView(view, size, map);
    const from = cursor ?? (cells ? { row: (cells.top + cells.bottom) >> 1, col: (cells.left + cells.right) >> 1 } : { row: 0, col: 0 });
    const clamp = (value: number, extent: number) => Math.max(0, Math.min(extent - 1, value));
    const next = cursor ? { row: clamp(from.row + down * step, map.rows), col: clamp(from.col + right * step, map.cols) } : from;
    setCursor(next);
    setHovered(null);
    if (state.view) setView(revealCell(view, next.row, next.col, map, size));
  };
  const pan = (down: number, right: number) =>
    setView(keepInside({ ...view, x: view.x - (right * size.width) / 2, y: view.y - (down * size.height) / 2 }, map, size));
  const onKeyDown = (event: KeyboardEvent) => {
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

  const at = (event: PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const onPointerMove = (event: PointerEvent) => {
    const point = at(event);
    const start = drag.current;
    if (!start) return setHovered(point);
    const [dx, dy] = [point.x - start.x, point.y - start.y];
    if (!start.moved && Math.hypot(dx, dy) < CLICK) return;
    drag.current = { ...point, moved: true };
    setHovered(null);
    setView(keepInside({ ...view, x: view.x + dx, y: view.y + dy }, map, size));
  };
  const onPointerUp = (event: PointerEvent) => {
    const click = drag.current && !drag.current.moved ? at(event) : null;
    drag.current = null;
    const pixel = click && pixelAt(view, click, map);
    if (!click || !pixel) return;
    const cell = { row: Math.floor((click.y - view.y) / view.scale), col: Math.floor((click.x - view.x) / view.scale) };
    setCursor(cell);
    onPin(cell.row, cell.col);
  };

  return (
    <figure className="pcb-map">
      <div className="pcb-map-frame" ref={frame}>
        <canvas
          ref={canvas}
          className="pcb-canvas"
          tabIndex={0}
          role="application"
          aria-label={`Weights of layer ${map.layer}: ${map.rows.toLocaleString("en")} nodes downward, ${map.cols.toLocaleString("en")} elements to the right. Arrow keys move, plus and minus zoom, Enter pins.`}
          data-home
          data-layer={map.layer}
          data-block={map.block}
          data-mode={state.mode}
          data-rows={map.rows}
          data-cols={map.cols}
          data-rev={state.rev}
          data-level={level}
          data-view={`${view.x},${view.y},${view.scale}`}
          data-tick={state.tick}
          data-requested={state.requested}
          data-cells={numbers && view.scale >= WRITTEN ? numbers.height * numbers.width : 0}
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            drag.current = { ...at(event), moved: false };
          }}
          onPointerMove={onPointerMove}
          onPointerUp={onPointerUp}
          onPointerLeave={() => setHovered(null)}
          onDoubleClick={fit}
          onKeyDown={onKeyDown}
        />
        <div className="pcb-zoom">
          <button type="button" onClick={() => zoom(1.6)} aria-label="Zoom in" title="Zoom in (+)">+</button>
          <button type="button" onClick={() => zoom(1 / 1.6)} aria-label="Zoom out" title="Zoom out (-)">−</button>
          <button type="button" onClick={fit} aria-label="Fit the map" title="Fit (0)">⤢</button>
        </div>
      </div>
      <figcaption
        className="pcb-probe"
        data-probe={told && marked && same(told.at, marked) ? `${told.at.level},${told.at.row},${told.at.col}` : ""}
        data-rev={told?.rev ?? ""}
        aria-live={hovered ? "off" : "polite"}
      >
        {marked ? (
          <span>
            <b>{placeText(marked, map)}</b>: {told && same(told.at, marked) ? told.text : "…"}
          </span>
        ) : (
          <span className="pcb-muted">Point at the map, or walk it with the arrow keys. Enter or a click pins a cell.</span>
        )}
        {pin && <span className="pcb-pinned">Pinned: {pin.text}</span>}
      </figcaption>
    </figure>
  );
}

const ARROWS: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const same = (a: Pixel, b: Pixel) => a.level === b.level && a.row === b.row && a.col === b.col;

/** Asks for tiles on the screen: the first at once, and then whenever the view rests. */
function useTiles(part: ProgramPart, wanted: ReturnType<typeof tilesInView>, size: Size, rev: number, mode: string): void {
  const first = useRef("");
  const key = part.mapKey();
  useEffect(() => {
    if (!size.width) return;
    if (first.current !== key) {
      first.current = key;
      return part.need(wanted);
    }
    const timer = setTimeout(() => part.need(wanted), REST_MS);
    return () => clearTimeout(timer);
  }, [part, wanted, size, rev, mode, key]);
}

/** Exact numbers of the cells on the screen, once they are large enough to carry them. */
function useWritten(part: ProgramPart, map: MapInfo, view: View, size: Size, rev: number): Numbers | null {
  const mode = part.state.mode;
  const [numbers, setNumbers] = useState<Numbers | null>(null);
  useEffect(() => setNumbers(null), [map, mode]);
  useEffect(() => {
    const region = writtenRegion(view, size, map);
    if (!region || covers(numbers, view, size, map, mode, rev)) return;
    let current = true;
    const timer = setTimeout(() => void part.numbers(region).then((got) => current && got && setNumbers(got)), REST_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [part, map, mode, view, size, rev, numbers]);
  return numbers;
}

interface Told {
  at: Pixel;
  rev: number;
  text: string;
}

/** What Python says of the marked pixel; one question is under way at a time, and only the newest waits. */
function useProbe(part: ProgramPart, marked: Pixel | null, map: MapInfo, mode: string, rev: number): Told | null {
  const [told, setTold] = useState<Told | null>(null);
  const busy = useRef(false);
  const next = useRef<Pixel | null>(null);
  const key = marked ? `${marked.level},${marked.row},${marked.col}` : "";
  useEffect(() => setTold(null), [map, mode]);
  useEffect(() => {
    next.current = marked;
    const ask = async () => {
      busy.current = true;
      while (next.current) {
        const at: Pixel = next.current;
        next.current = null;
        const got = await part.numbers({ ...at, height: 1, width: 1 });
        setTold(got && { at, rev: got.rev, text: pixelText(got, 0) });
      }
      busy.current = false;
    };
    if (marked && !busy.current) void ask();
  }, [part, key, map, mode, rev]);
  return marked ? told : null;
}
