// The messages in tests/widgets/protocol.json were written by Python (tests/widgets/test_protocol.py keeps them true).

import { describe, expect, it } from "vitest";
import fixture from "../../../tests/widgets/protocol.json";
import { decode, type Incoming } from "./protocol";

interface Recorded {
  message: Record<string, unknown>;
  buffers: string[];
}

/** Puts each buffer at an odd address, as Jupyter may. */
function views(buffers: string[]): DataView[] {
  return buffers.map((text) => {
    const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const shifted = new Uint8Array(raw.length + 3);
    shifted.set(raw, 3);
    return new DataView(shifted.buffer, 3, raw.length);
  });
}

function read<T extends Incoming["type"]>(name: string): Extract<Incoming, { type: T }> {
  const recorded = (fixture as Record<string, Recorded>)[name];
  return decode(recorded.message, views(recorded.buffers)) as Extract<Incoming, { type: T }>;
}

describe("what Python writes is what the view reads", () => {
  it("circuit", () => {
    const { circuit } = read<"circuit">("circuit");
    expect(circuit!.blocks.map((b) => [b.id, b.kind, b.name, b.nodes, b.level, b.scope, b.parameters])).toEqual([
      [0, "input", "a", 2, 0, "x0", 4],
      [1, "input", "b", 2, 0, "x1", 4],
      [5, "product", "a × b", 2, 1, "x0–x1", 0],
      [7, "sum", "root", 1, 2, "x0–x1", 3e9],
    ]);
    expect([...circuit!.edges]).toEqual([0, 2, 1, 2, 2, 3]);
  });
  it("program", () => {
    const { program } = read<"program">("program");
    expect(program!.layers.map((l) => [l.kind, l.blocks])).toEqual([["input", [0, 1]], ["product", [5]], ["sum", [7]]]);
    expect(program!.memory[0].bytes).toBe(64);
  });
  it("points", () => {
    const { points } = read<"points">("points");
    expect(points.columns).toEqual(["train_ll", "valid_ll"]);
    expect([...points.head]).toEqual([1, 2, 2, 0, 0.5, 3, 3, 3, 1, 0.75]);
    expect([...points.body]).toEqual([-3, -1, -2, -1, NaN, NaN, NaN, NaN, -4, -4, -4, -4, -5, -5, -5, -5]);
  });
});

describe("damage", () => {
  it("is refused and not drawn", () => {
    const { message, buffers } = (fixture as Record<string, Recorded>).points;
    expect(() => decode({ ...message, count: 3 }, views(buffers))).toThrow(/wrong length/);
    expect(() => decode(message, [])).toThrow(/missing/);
  });
  it("an unknown type is left to newer views", () => {
    expect(decode({ type: "hologram" }, [])).toBeNull();
  });
});
