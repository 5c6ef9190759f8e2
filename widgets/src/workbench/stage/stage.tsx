// A canvas that is looked at through a camera: as large as its frame, painted once a frame, moved by wheel, keys and buttons.
// Circuit, builder and lab begin with it; the weight map has a view of its own, and shares the surface.

import { useEffect, useRef, type PointerEvent, type RefObject } from "react";
import { prepareCanvas, useFrame, useSize, type Size } from "../hooks";
import { reveal, toWorld, zoom, type Camera } from "./camera";

export interface Point {
  x: number;
  y: number;
}

export interface Surface {
  frame: RefObject<HTMLDivElement | null>;
  canvas: RefObject<HTMLCanvasElement | null>;
  size: Size;
}

export interface Stage extends Surface {
  camera: Camera;
  /** Null shows everything. */
  setCamera(camera: Camera | null): void;
  /** About a point of the screen, else about its middle. */
  zoom(factor: number, at?: Point): void;
  fit(): void;
  /** Brings a point of the picture well inside the screen. */
  reveal(world: Point): void;
  /** A point of the screen in the picture. */
  world(point: Point): Point;
}

const STEP = 1.3;
/** Pixels from which on a press is a drag. */
const DRAG_FROM = 4;

export function useSurface(): Surface {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  return { frame, canvas, size: useSize(frame) };
}

/** Paints in the next frame, whatever changed and however often. */
export function usePainting({ canvas, size }: Surface, paint: (context: CanvasRenderingContext2D, canvas: HTMLCanvasElement) => void): void {
  useFrame(() => {
    const context = prepareCanvas(canvas.current, size);
    if (context) paint(context, canvas.current!);
  });
}

interface Looking {
  surface: Surface;
  /** What shows everything, and where somebody went instead. */
  whole: Camera;
  moved: Camera | null;
  setCamera: (camera: Camera | null) => void;
  /** Has the focus when the canvas is used; the wheel zooms then. */
  home: RefObject<HTMLElement | null>;
}

export function useStage({ surface, whole, moved, setCamera, home }: Looking): Stage {
  const { size } = surface;
  const camera = moved ?? whole;
  const about = { x: size.width / 2, y: size.height / 2 };
  const stage: Stage = {
    ...surface,
    camera,
    setCamera,
    zoom: (factor, at = about) => setCamera(zoom(camera, factor, at)),
    fit: () => setCamera(null),
    reveal: (world) => setCamera(reveal(camera, world, size)),
    world: ({ x, y }) => toWorld(camera, x, y),
  };
  useWheel(home, stage.zoom);
  return stage;
}

/** `+`, `-` and `0`; says whether it was one of them. */
export function zoomKey(stage: Stage, key: string): boolean {
  if (key === "+" || key === "=") stage.zoom(STEP);
  else if (key === "-") stage.zoom(1 / STEP);
  else if (key === "0") stage.fit();
  else return false;
  return true;
}

/** Where on the element that listens the pointer is. */
export function pointIn(event: PointerEvent<HTMLElement>): Point {
  const box = event.currentTarget.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

interface Hands {
  hover: (world: Point | null, at: Point) => void;
  click: (world: Point) => void;
}

/** A pointer that pans, points and clicks, and does nothing else. */
export function usePan(stage: Stage, { hover, click }: Hands) {
  const drag = useRef<(Point & { moved: boolean }) | null>(null);
  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    if ((event.target as Element).closest("button")) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { ...pointIn(event), moved: false };
  };
  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const at = pointIn(event);
    const start = drag.current;
    if (!start) return hover(stage.world(at), at);
    const [dx, dy] = [at.x - start.x, at.y - start.y];
    if (!start.moved && Math.hypot(dx, dy) < DRAG_FROM) return;
    drag.current = { ...at, moved: true };
    stage.setCamera({ ...stage.camera, x: stage.camera.x + dx, y: stage.camera.y + dy });
  };
  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    const clicked = drag.current !== null && !drag.current.moved;
    drag.current = null;
    if (clicked) click(stage.world(pointIn(event)));
  };
  return { onPointerDown, onPointerMove, onPointerUp, onPointerLeave: () => hover(null, { x: 0, y: 0 }) };
}

/** React listens to the wheel passively, and then the page would scroll along. Scrolling needs no key; zooming does. */
export function useWheel(home: RefObject<HTMLElement | null>, onZoom: (factor: number, at: Point) => void): void {
  const latest = useRef(onZoom);
  latest.current = onZoom;
  useEffect(() => {
    const element = home.current;
    if (!element) return;
    const listener = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== element) return;
      event.preventDefault();
      const box = element.getBoundingClientRect();
      latest.current(Math.exp(-0.0016 * event.deltaY), { x: event.clientX - box.left, y: event.clientY - box.top });
    };
    element.addEventListener("wheel", listener, { passive: false });
    return () => element.removeEventListener("wheel", listener);
  }, [home]);
}

export function Zoom({ zoom, fit, what = "circuit", step = STEP }: { zoom: (factor: number) => void; fit: () => void; what?: string; step?: number }) {
  return (
    <div className="pcb-zoom">
      <button type="button" onClick={() => zoom(step)} aria-label="Zoom in" title="Zoom in (+)">+</button>
      <button type="button" onClick={() => zoom(1 / step)} aria-label="Zoom out" title="Zoom out (−)">−</button>
      <button type="button" onClick={fit} aria-label={`Fit the ${what}`} title="Fit (0)">⤢</button>
    </div>
  );
}
