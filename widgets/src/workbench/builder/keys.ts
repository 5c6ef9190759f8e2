// The canvas's own keys: arrows walk or move, Space marks, Enter and Escape end a connection. Other keys are commands.

import type { KeyboardEvent } from "react";
import { neighbour, nudge, type Direction } from "./actions";
import type { Connection } from "./connection";
import type { BuilderPart } from "./part";
import type { Scene } from "./scene";

const ARROWS: Record<string, Direction> = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right" };
const STEPS: Record<Direction, [number, number]> = { up: [0, -16], down: [0, 16], left: [-16, 0], right: [16, 0] };

interface Hands {
  part: BuilderPart;
  scene: Scene;
  connection: Connection;
  /** Brings a block on the screen. */
  show: (id: number | null) => void;
  /** Gives a drag up; false where there is none. */
  cancel: () => boolean;
}

export function canvasKeys({ part, scene, connection, show, cancel }: Hands): (event: KeyboardEvent<HTMLElement>) => void {
  const arrow = (direction: Direction, shift: boolean) => {
    if (connection.wire) {
      const next = neighbour(part, scene, connection.target ?? connection.wire.from, direction, false);
      connection.aim(next);
      show(next);
    } else if (shift) nudge(part, ...STEPS[direction]);
    else {
      const next = neighbour(part, scene, part.state.focus, direction);
      if (next !== null) part.walkTo(next);
      show(next);
    }
  };
  const escape = () => {
    if (connection.wire) connection.end(null);
    else if (cancel()) return;
    else if (part.state.notice) part.dismiss();
    else part.choose(null);
  };
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest("button")) return;
    const { focus } = part.state;
    if (event.key in ARROWS) arrow(ARROWS[event.key], event.shiftKey);
    else if (event.key === "Enter" && connection.wire) connection.end(connection.aimed);
    else if (event.key === " " && focus !== null) part.toggle([focus]);
    else if (event.key === "Escape") escape();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}
