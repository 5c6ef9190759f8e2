// What travels between Python and the view. JSON carries names and shapes, binary buffers carry the numbers.
// Python's half is widgets/pcbench_widgets/protocol.py; tests/widgets and protocol.test.ts read one shared fixture.

import type { Body } from "./part";

export type Kind = "input" | "product" | "sum";
export const KINDS: readonly Kind[] = ["input", "product", "sum"];

export interface Block {
  id: number;
  kind: Kind;
  name: string;
  nodes: number;
  level: number;
  parameters: number;
  scopeSize: number;
  scope: string;
  detail: string;
}

export interface Circuit {
  blocks: Block[];
  /** Pairs (child, parent) of positions in `blocks`, not of ids. */
  edges: Int32Array;
  roots: number[];
  variables: number;
}

export interface Rejected {
  kernel: string;
  reason: string;
}

export interface Layer {
  index: number;
  kind: Kind;
  kernel: string;
  why: string;
  rejected: Rejected[];
  groups: number;
  nodes: number;
  elements: number;
  edges: number;
  tiles: number;
  tile_size: number;
  /** Share of what the kernel multiplies that is no edge; of whole tiles of `tile_size`, were they stored. */
  padding: number;
  tile_padding: number;
  tensor_cores: { eligible: boolean; reason: string };
  flops: number;
  parameter_bytes: number;
  value_bytes: number;
  /** Byte of the values, for one sample, at which its own begin. */
  offset: number;
  blocks: number[];
}

export interface MemoryEntry {
  name: string;
  purpose: string;
  offset: number;
  bytes: number;
}

export interface Program {
  device: string;
  dtype: string;
  tile: number;
  layers: Layer[];
  memory: MemoryEntry[];
  totals: Record<string, number | string>;
}

/** Statistics that Python keeps of every metric since the last point, in this order. */
export const STATISTICS = ["min", "max", "mean", "last"] as const;
export type Statistic = (typeof STATISTICS)[number];

export interface Points {
  run: number;
  reset: boolean;
  columns: string[];
  count: number;
  /** count × (first seq, last seq, step, epoch, time) */
  head: Float64Array;
  /** count × columns × statistics; NaN where a metric was absent */
  body: Float64Array;
}
export const HEAD = 5;

export interface LogEntry {
  seq: number;
  kind: string;
  step: number;
  time: number;
  text: string;
}

export interface Status {
  run: number;
  state: string;
  step: number;
  total: number;
  epoch: number;
  elapsed: number;
  eta: number | null;
  tensorCores: string;
  /** What holds the run back, in one sentence; empty while nothing can be said. */
  why: string;
  /** Where it computes; and whether the numbers on the machine's use were measured, or what they are, in words. */
  machine: { device: string; source: "measured" | "estimated" | "none"; reason: string };
  /** What made it fail; empty where nothing did. */
  error: string;
  /** Of the next step; null for a run that has none to change. */
  stepSize: number | null;
  byHand: boolean;
  /** How the last one went; null for a run that takes none. */
  snapshot: { state: "" | "writing" | "done" | "failed"; text: string } | null;
}

export interface ImageGroup {
  id: number;
  title: string;
  images: { caption: string; width: number; height: number; png: Uint8Array<ArrayBuffer> }[];
}

export type Incoming =
  | { type: "circuit"; rev: number; circuit: Circuit | null }
  | { type: "program"; rev: number; program: Program | null }
  | { type: "points"; points: Points }
  | { type: "log"; run: number; reset: boolean; entries: LogEntry[] }
  | { type: "status"; status: Status }
  | { type: "images"; rev: number; groups: ImageGroup[] }
  | { type: "part"; part: string; body: Body; buffers: DataView[] }
  | { type: "ack"; id: number; ok: boolean; text: string }
  | { type: "synced" }
  | { type: "beat"; every: number };

type Json = Record<string, unknown>;

/** Copies: the buffers of a message need not be aligned to eight bytes, and a typed array must be. */
function bytes(buffer: DataView | undefined): ArrayBuffer {
  if (buffer === undefined) throw new Error("a binary buffer is missing from the message");
  const copy = new Uint8Array(buffer.byteLength);
  copy.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
  return copy.buffer;
}

function decodeCircuit(head: Json, buffers: DataView[]): Circuit {
  const names = head.names as string[];
  const scopes = head.scopes as string[];
  const details = head.details as string[];
  const table = new Int32Array(bytes(buffers[0])); // id, kind, nodes, level, scope size
  const parameters = new Float64Array(bytes(buffers[1]));
  const edges = new Int32Array(bytes(buffers[2]));
  if (table.length !== 5 * names.length) throw new Error("circuit: table and names differ in length");
  const blocks = names.map((name, i) => ({
    id: table[5 * i],
    kind: KINDS[table[5 * i + 1]],
    name,
    nodes: table[5 * i + 2],
    level: table[5 * i + 3],
    scopeSize: table[5 * i + 4],
    parameters: parameters[i],
    scope: scopes[i],
    detail: details[i],
  }));
  return { blocks, edges, roots: head.roots as number[], variables: head.variables as number };
}

function decodeProgram(head: Json, buffers: DataView[]): Program {
  const program = head.program as Omit<Program, "layers"> & { layers: (Layer & { block_count: number })[] };
  const ids = new Int32Array(bytes(buffers[0]));
  let at = 0;
  const layers = program.layers.map((layer) => {
    const blocks = Array.from(ids.subarray(at, at + layer.block_count));
    at += layer.block_count;
    return { ...layer, blocks };
  });
  if (at !== ids.length) throw new Error("program: block ids do not add up");
  return { ...program, layers };
}

export function decodePoints(head: Json, buffers: DataView[]): Points {
  const columns = head.columns as string[];
  const count = head.count as number;
  const headTable = new Float64Array(bytes(buffers[0]));
  const body = new Float64Array(bytes(buffers[1]));
  if (headTable.length !== count * HEAD) throw new Error("points: head has the wrong length");
  if (body.length !== count * columns.length * STATISTICS.length) throw new Error("points: body has the wrong length");
  return { run: head.run as number, reset: head.reset as boolean, columns, count, head: headTable, body };
}

function decodeImages(head: Json, buffers: DataView[]): ImageGroup[] {
  let at = 0;
  const groups = head.groups as { id: number; title: string; images: { caption: string; width: number; height: number }[] }[];
  return groups.map((group) => ({
    ...group,
    images: group.images.map((image) => ({ ...image, png: new Uint8Array(bytes(buffers[at++])) })),
  }));
}

/** One message of Python's, decoded; null for a type that a newer Python may send and this view does not know. */
export function decode(head: Json, buffers: DataView[]): Incoming | null {
  switch (head.type) {
    case "circuit":
      return { type: "circuit", rev: head.rev as number, circuit: head.names ? decodeCircuit(head, buffers) : null };
    case "program":
      return { type: "program", rev: head.rev as number, program: head.program ? decodeProgram(head, buffers) : null };
    case "points":
      return { type: "points", points: decodePoints(head, buffers) };
    case "images":
      return { type: "images", rev: head.rev as number, groups: decodeImages(head, buffers) };
    case "status":
      return { type: "status", status: head.status as Status };
    case "part":
      return { type: "part", part: head.part as string, body: head.body as Body, buffers };
    case "log":
    case "ack":
    case "synced":
    case "beat":
      return head as unknown as Incoming;
    default:
      return null;
  }
}

export type Command = "pause" | "resume" | "stop" | "step" | "stepSize" | "snapshot";

export interface Have {
  circuit: number;
  program: number;
  images: number;
  run: number;
  seq: number;
  log: number;
}

export type Outgoing =
  | { type: "sync"; have: Have & { parts: Record<string, Body> } }
  | { type: "part"; part: string; body: Body }
  | { type: "command"; id: number; op: Command; value?: string }
  | { type: "select"; blocks: number[] };
