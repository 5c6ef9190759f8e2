// A pass as steps: nothing, then layer after layer up to the output, then layer after layer down again.

import { valid, type Lesson } from "./lesson";

export interface Step {
  way: "start" | "up" | "down";
  /** The layer that this step reveals, 0 at the leaves; −1 at the start. */
  layer: number;
}

/** The last position: up and down, or only up where nothing comes down. */
export function lastStep(lesson: Lesson): number {
  return (valid(lesson) ? 2 : 1) * lesson.layers.length;
}

export function stepOf(lesson: Lesson, at: number): Step {
  const count = lesson.layers.length;
  if (at === 0) return { way: "start", layer: -1 };
  return at <= count ? { way: "up", layer: at - 1 } : { way: "down", layer: 2 * count - at };
}

/** Whether a layer's values, or what comes down to it, are shown yet. */
export function shownUp(at: number, layer: number): boolean {
  return layer < at;
}

export function shownDown(lesson: Lesson, at: number, layer: number): boolean {
  return layer >= 2 * lesson.layers.length - at;
}
