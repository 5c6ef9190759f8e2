// A command is a line of the list under `?` and Ctrl+K, and what its keys do.

import type { KeyboardEvent } from "react";

export interface Command {
  title: string;
  /** As shown; the first matches `keyOf`. Those without `run` are a canvas's own. */
  keys: string[];
  run?: () => void;
}

/** A key event as the table writes it. */
export function keyOf(event: { key: string; ctrlKey: boolean; metaKey: boolean; altKey: boolean; shiftKey: boolean }): string {
  if (event.altKey) return "";
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const letter = key.length === 1 && key >= "A" && key <= "Z";
  const ctrl = event.ctrlKey || event.metaKey;
  return `${ctrl ? "Ctrl+" : ""}${event.shiftKey && letter ? "Shift+" : ""}${key}`;
}

/** Runs what a key stands for, and says whether it is anything's. Fields keep their letters, buttons their Enter and Space. */
export function runKey(event: KeyboardEvent<HTMLElement>, commands: readonly Command[]): boolean {
  const { tagName } = event.target as HTMLElement;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(tagName)) return false;
  if (tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return false;
  const key = keyOf(event);
  const command = commands.find((each) => each.run && each.keys.includes(key));
  if (!command) return false;
  event.preventDefault();
  event.stopPropagation();
  command.run!();
  return true;
}
