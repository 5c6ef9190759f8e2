// What the pointer does on the canvas, from press to release: pan, select, move, connect, draw a box.

import { useRef, type PointerEvent } from "react";
import { toWorld, type Camera } from "../stage/camera";
import { pointIn, type Point } from "../stage/stage";
import { moveBy, type Connecting } from "./actions";
import { hitNode, type Level } from "./lod";
import type { BuilderPart } from "./part";
import { blocksOf, type Scene } from "./scene";

export interface Drag {
  ids: ReadonlySet<number>;
  dx: number;
  dy: number;
}

export interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

interface Press {
  kind: "pan" | "node" | "wire" | "box";
  start: Point;
  last: Point;
  moved: boolean;
  node: number | null;
  additive: boolean;
}

interface Surface {
  part: BuilderPart;
  scene: Scene;
  camera: Camera;
  level: Level;
  drag: Drag | null;
  connecting: Connecting | null;
  setCamera(camera: Camera): void;
  setDrag(drag: Drag | null): void;
  setBox(box: Box | null): void;
  setHovered(node: number | null): void;
  setPointer(point: Point): void;
  startWire(connecting: Connecting): void;
  endWire(target: number | null): void;
}

const THRESHOLD = 4;

export function useGestures(surface: Surface) {
  const press = useRef<Press | null>(null);
  const { part, scene, camera, level } = surface;
  const under = (point: Point): number | null => {
    const world = toWorld(camera, point.x, point.y);
    return hitNode(scene, world.x, world.y, level, 5 / camera.scale);
  };

  const onPointerDown = (event: PointerEvent<HTMLElement>) => {
    const target = event.target as Element;
    if (event.button > 1 || target.closest("button, .pcb-why")) return;
    (event.currentTarget as HTMLElement).focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    const point = pointIn(event);
    const node = under(point);
    const port = target.closest("[data-port]")?.getAttribute("data-port") as Connecting["wants"] | null | undefined;
    const additive = event.shiftKey || event.ctrlKey || event.metaKey;
    const kind = event.button === 1 ? "pan" : port ? "wire" : node !== null ? "node" : event.shiftKey ? "box" : "pan";
    press.current = { kind, start: point, last: point, moved: false, node, additive };
    if (port) surface.startWire({ from: Number(target.closest("[data-block]")!.getAttribute("data-block")), wants: port });
    surface.setPointer(point);
    event.preventDefault();
  };

  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const point = pointIn(event);
    surface.setPointer(point);
    const now = press.current;
    if (!now) return surface.setHovered(under(point));
    if (!now.moved && Math.hypot(point.x - now.start.x, point.y - now.start.y) < THRESHOLD) return;
    const first = !now.moved;
    now.moved = true;
    if (now.kind === "pan") {
      surface.setCamera({ ...camera, x: camera.x + point.x - now.last.x, y: camera.y + point.y - now.last.y });
    } else if (now.kind === "box") {
      surface.setBox({ x0: now.start.x, y0: now.start.y, x1: point.x, y1: point.y });
    } else if (now.kind === "wire") {
      surface.setHovered(under(point));
    } else {
      const blocks = blocksOf(scene, now.node!);
      if (first && !blocks.every((id) => part.state.selection.has(id))) part.select(blocks.length > 1 ? blocks : [], blocks[0]);
      const [dx, dy] = [(point.x - now.start.x) / camera.scale, (point.y - now.start.y) / camera.scale];
      surface.setDrag({ ids: surface.drag?.ids ?? part.state.selection, dx, dy });
    }
    now.last = point;
  };

  const onPointerUp = (event: PointerEvent<HTMLElement>) => {
    const now = press.current;
    press.current = null;
    if (!now) return;
    if (now.kind === "wire") return surface.endWire(now.moved ? under(pointIn(event)) : null);
    if (now.kind === "box") {
      surface.setBox(null);
      return now.moved ? selectInside(now.start, pointIn(event)) : undefined;
    }
    if (now.kind === "pan") return now.moved || surface.connecting ? undefined : part.choose(null);
    const drag = surface.drag;
    surface.setDrag(null);
    if (now.moved) {
      if (drag) moveBy(part, drag.ids, drag.dx, drag.dy);
      return;
    }
    if (surface.connecting) return surface.endWire(now.node);
    const blocks = blocksOf(scene, now.node!);
    if (now.additive) part.toggle(blocks);
    else part.select(blocks.length > 1 ? blocks : [], blocks[0]);
  };

  const selectInside = (a: Point, b: Point) => {
    const from = toWorld(camera, Math.min(a.x, b.x), Math.min(a.y, b.y));
    const to = toWorld(camera, Math.max(a.x, b.x), Math.max(a.y, b.y));
    const inside: number[] = [];
    for (let i = 0; i < scene.count; i++)
      if (scene.x[i] >= from.x && scene.x[i] <= to.x && scene.y[i] >= from.y && scene.y[i] <= to.y)
        inside.push(...blocksOf(scene, i));
    part.select(inside, inside[0] ?? null);
  };

  /** Escape: as if the button had never been pressed. */
  const cancel = (): boolean => {
    const had = press.current !== null;
    press.current = null;
    surface.setDrag(null);
    surface.setBox(null);
    return had;
  };

  return { onPointerDown, onPointerMove, onPointerUp, cancel };
}
