// Where one looks: the camera of one document, what is visible from it, and what was asked to be seen.

import { useEffect, useMemo, useRef, useState } from "react";
import { reveal, toWorld, type Camera } from "../stage/camera";
import type { Size } from "../hooks";
import { fitBounds, levelOf, MOST_CARDS, rim, visibleNodes, type Level } from "./lod";
import type { BuilderState } from "./part";
import { CARD } from "./places";
import { boundsOf, type Scene } from "./scene";

/** The lower edge carries buttons and messages. */
export const FOOT = 30;

/** Kept over a reload of the page, and never sent to Python. Null fits all. */
export function useCamera(token: string): [Camera | null, (camera: Camera) => void] {
  const [camera, setCamera] = useState<{ token: string; camera: Camera } | null>(null);
  const key = `pcbench-builder-${token}`;
  const kept = useMemo(() => {
    try {
      return JSON.parse(sessionStorage.getItem(key) ?? "null") as Camera | null;
    } catch {
      return null;
    }
  }, [key]);
  const current = camera?.token === token ? camera.camera : kept;
  useEffect(() => {
    if (!token || !camera || camera.token !== token) return;
    const timer = setTimeout(() => sessionStorage.setItem(key, JSON.stringify(camera.camera)), 100);
    return () => clearTimeout(timer);
  }, [camera, token, key]);
  return [current, (next) => setCamera({ token, camera: next })];
}

export interface Sight {
  visible: readonly number[];
  level: Level;
  /** The nodes that are cards: those on the screen, and while they are few also those just beside it. */
  carded: readonly number[];
}

export function useSight(scene: Scene, camera: Camera, size: Size): Sight {
  const visible = useMemo(() => visibleNodes(scene, camera, size), [scene, camera.x, camera.y, camera.scale, size]);
  const level = levelOf(camera.scale, visible.length);
  const cards = level === "cards" || level === "numbers";
  const near = rim(camera, size);
  const rimmed = useMemo(
    () => (cards ? visibleNodes(scene, near.camera, near.screen) : []),
    [cards, scene, near.camera.x, near.camera.y, camera.scale, near.screen.width, near.screen.height],
  );
  return { visible, level, carded: cards && rimmed.length > MOST_CARDS ? visible : rimmed };
}

/** What was asked to be seen: a block is brought inside, several are fitted where some lie outside. */
export function useReveal(asked: BuilderState["reveal"], scene: Scene, camera: Camera, size: Size, setCamera: (camera: Camera) => void): void {
  const done = useRef(asked.serial);
  useEffect(() => {
    if (done.current === asked.serial || !size.width) return;
    done.current = asked.serial;
    if (asked.ids === null) return setCamera(fitBounds(scene.bounds, size, FOOT));
    const nodes = [...new Set(asked.ids.map((id) => scene.index.get(id)).filter((i) => i !== undefined))];
    if (nodes.length) setCamera(including(boundsOf(scene, nodes), nodes.length > 1, camera, size));
  });
}

function including(bounds: Scene["bounds"], several: boolean, camera: Camera, size: Size): Camera {
  if (several) {
    const [a, b] = [toWorld(camera, 0, 0), toWorld(camera, size.width, size.height - FOOT)];
    const inside = bounds.left >= a.x && bounds.right <= b.x && bounds.top >= a.y && bounds.bottom <= b.y;
    return inside ? camera : fitBounds(bounds, size, FOOT);
  }
  const corner = reveal(camera, { x: bounds.left - CARD.width / 4, y: bounds.top - CARD.height / 4 }, size);
  return reveal(corner, { x: bounds.right + CARD.width / 4, y: bounds.bottom + CARD.height / 4 }, size);
}
