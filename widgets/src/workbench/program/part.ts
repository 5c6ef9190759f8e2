// The browser's half of the compiled layout: which map is open, its tiles, and questions to Python. The twin of
// pcbench_widgets/program/part.py; what is on the screen stands in ProgramPane.tsx.

import { createStore, type StoreApi } from "zustand/vanilla";
import type { Body, Part, Post } from "../part";
import type { Matrix, Region, TileAt, View } from "./lod";
import { NO_SPANS, spansOf, type Spans } from "./memory";
import { TileCache } from "./tiles";

export const MODES = ["occupancy", "weight", "flow", "padding"] as const;
export type Mode = (typeof MODES)[number];

export interface MapInfo extends Matrix {
  layer: number;
  block: number;
  side: number;
  /** Block size in which the program counts. */
  tile: number;
  edges: number;
  /** Cells that are stored and hold no edge. */
  padding: number;
  decades: number;
  labels: string[];
  /** Id of the sum whose weights these are, and its children from the left: id, and how many columns are theirs. */
  parent: number;
  children: [number, number][];
}

export interface Choices {
  tiles: number[];
  precisions: string[];
  tile: number;
  precision: string;
}

/** Exact numbers of a region's pixels, row by row. */
export interface Numbers extends Region {
  mode: Mode;
  rev: number;
  storesAll: boolean;
  /** What `sums` are of: edges alone have none. */
  values: "weight" | "flow" | "";
  edges: Float64Array;
  area: Float64Array;
  sums: Float64Array;
}

export interface Pin {
  layer: number;
  block: number;
  row: number;
  col: number;
  text: string;
}

export interface KernelChoices {
  targets: { capability: number; gpu: string }[];
  precisions: string[];
  /** Why nothing can be compiled; empty where it can. */
  why: string;
  batch: number;
}

export interface KernelRow {
  pass: string;
  kernel: string;
  programs: number;
  instructions: string[];
  registers: number;
  spills: number;
  shared_bytes: number;
  warps: number;
  resident_warps: number;
  most_warps: number;
  limited_by: string;
}

/** How far the compilation of a layer's kernels is. */
export interface KernelState {
  layer: number;
  target: number;
  precision: string;
  batch: number;
  gpu: string;
  total: number;
  rows: KernelRow[];
  roofline: { compute_us: number; memory_us: number; by: string; intensity: number; balance: number } | null;
  done: boolean;
  error: string;
}

export interface ProgramState {
  rev: number;
  /** Counts programs: maps of another one are worth nothing. */
  program: number;
  weights: boolean;
  why: string;
  flows: string;
  compare: Choices | null;
  kernels: KernelChoices | null;
  kernel: KernelState | null;
  map: MapInfo | null;
  mode: Mode;
  view: View | null;
  /** The largest weight or flow of the open map, which shades are measured against. */
  largest: number;
  pin: Pin | null;
  /** Why the map cannot be shown. */
  error: string;
  /** Grows with whatever arrives. */
  tick: number;
  /** Tiles asked for so far. */
  requested: number;
}

const PATIENCE_MS = 3000;
/** Tiles of one message: 4 MiB; a large screen shows more. */
const AT_ONCE = 64;

export type Answer = { ok: boolean; text?: string; buffers: DataView[] } & Body;

export class ProgramPart implements Part {
  readonly name = "program";
  readonly tiles = new TileCache();
  readonly store: StoreApi<ProgramState>;
  private serial = 0;
  /** Somebody chose what to colour by; until then weights are shown as soon as there are any. */
  private picked = false;
  /** Map and mode → the largest value that its shades are measured against. */
  private scales = new Map<string, number>();
  private asks = new Map<number, { resolve: (answer: Answer) => void; body: Body; since: number }>();
  /** Which map is meant to be open, once Python has answered. */
  private wanted: { layer: number; block: number } | null = null;

  constructor(private readonly post: Post) {
    this.store = createStore<ProgramState>(() => ({
      rev: -1, program: -1, weights: false, why: "", flows: "", compare: null, kernels: null, kernel: null, map: null, mode: "occupancy", view: null,
      largest: 0, pin: null, error: "", tick: 0, requested: 0,
    }));
  }

  get state(): ProgramState {
    return this.store.getState();
  }

  have(): Body {
    // This is asked when messages may have been lost: questions that wait for long are put once more.
    const now = Date.now();
    for (const waiting of this.asks.values()) {
      if (now - waiting.since < PATIENCE_MS) continue;
      waiting.since = now;
      this.post(waiting.body);
    }
    return { rev: this.state.rev };
  }

  receive(body: Body, buffers: DataView[]): void {
    if (body.kind === "state") this.renew(body);
    else if (body.kind === "kernel") this.store.setState({ kernel: body as unknown as KernelState });
    else if (typeof body.ask === "number") {
      this.asks.get(body.ask)?.resolve({ ...(body as Answer), buffers });
      this.asks.delete(body.ask);
    }
  }

  private renew(body: Body): void {
    const another = body.program !== this.state.program;
    const { kind: _, ...state } = body;
    if (another) {
      this.tiles.clear();
      this.scales.clear();
      this.wanted = null;
    }
    const mode = this.picked ? this.state.mode : body.weights ? "weight" : "occupancy";
    this.store.setState({ ...(state as Partial<ProgramState>), mode, tick: this.state.tick + 1, ...(another ? CLOSED : {}) });
  }

  ask(kind: string, args: Body = {}): Promise<Answer> {
    const body = { kind, ask: ++this.serial, ...args };
    return new Promise((resolve) => {
      this.asks.set(body.ask, { resolve, body, since: Date.now() });
      this.post(body);
    });
  }

  /** Where each block lies in the memory plan; nowhere, if Python does not say. */
  async memory(): Promise<Spans> {
    const answer = await this.ask("memory");
    return answer.ok && answer.buffers[0] ? spansOf(new Float64Array(bytesOf(answer.buffers[0]).buffer)) : NO_SPANS;
  }

  // ---- the map
  /** Opens the map of a layer's block; where another one is asked for meanwhile, that one wins. */
  async show(layer: number, block: number): Promise<void> {
    if (this.wanted?.layer === layer && this.wanted.block === block) return;
    const wanted = (this.wanted = { layer, block });
    const answer = await this.ask("open", { ...wanted });
    if (this.wanted !== wanted) return;
    if (answer.ok) {
      this.store.setState({ map: answer as unknown as MapInfo, view: null, error: "" });
      this.store.setState({ largest: this.scale() });
    } else this.store.setState({ map: null, error: answer.text ?? "" });
  }

  /** The name under which tiles of the open map are kept. */
  mapKey(mode = this.state.mode): string {
    const { map } = this.state;
    return `${map?.layer}/${map?.block}/${mode}`;
  }

  private scale(): number {
    return this.scales.get(this.mapKey()) ?? 0;
  }

  /** Only weights and flows change while a program stays. */
  valueRev(mode = this.state.mode): number {
    return mode === "weight" || mode === "flow" ? this.state.rev : 0;
  }

  /** Asks for what is lacking of these tiles. */
  need(wanted: readonly TileAt[]): void {
    const { map, mode, program } = this.state;
    if (!map) return;
    const key = this.mapKey();
    const lacking = this.tiles.claim(key, wanted, this.valueRev());
    if (!lacking.length) return;
    this.store.setState({ requested: this.state.requested + lacking.length });
    for (let at = 0; at < lacking.length; at += AT_ONCE) {
      const tiles = lacking.slice(at, at + AT_ONCE).map(({ level, row, col }) => [level, row, col]);
      void this.ask("tiles", { layer: map.layer, block: map.block, mode, tiles }).then((answer) => {
        if (program !== this.state.program) return;
        if (!answer.ok) return this.store.setState({ error: answer.text ?? "", tick: this.state.tick + 1 });
        this.take(key, answer);
      });
    }
  }

  private take(key: string, answer: Answer): void {
    const all = bytesOf(answer.buffers[0]);
    const rev = answer.mode === "weight" || answer.mode === "flow" ? (answer.rev as number) : 0;
    let at = 0;
    for (const [level, row, col, height, width] of answer.tiles as number[][]) {
      const shades = all.subarray(at, (at += height * width));
      this.tiles.put(key, { level, row, col, height, width, rev, shades });
    }
    this.scales.set(key, answer.largest as number);
    this.store.setState({ tick: this.state.tick + 1, ...(key === this.mapKey() ? { largest: this.scale(), error: "" } : {}) });
  }

  async numbers(region: Region): Promise<Numbers | null> {
    const { map, mode } = this.state;
    if (!map) return null;
    const answer = await this.ask("region", { layer: map.layer, block: map.block, mode, ...region });
    if (!answer.ok) return null;
    const all = new Float64Array(bytesOf(answer.buffers[0]).buffer);
    const count = region.height * region.width;
    return {
      ...region,
      mode,
      rev: answer.rev as number,
      storesAll: answer.stores_all as boolean,
      values: answer.values as Numbers["values"],
      edges: all.subarray(0, count),
      area: all.subarray(count, 2 * count),
      sums: all.subarray(2 * count),
    };
  }

  setMode(mode: Mode): void {
    this.picked = true;
    this.store.setState({ mode, error: "" });
    this.store.setState({ largest: this.scale() });
  }

  setView(view: View | null): void {
    this.store.setState({ view });
  }

  /** Pins a cell; gives the blocks that it belongs to. */
  async pin(row: number, col: number): Promise<number[]> {
    const { map } = this.state;
    if (!map) return [];
    const answer = await this.ask("pin", { layer: map.layer, block: map.block, row, col });
    if (!answer.ok) return [];
    this.store.setState({ pin: { layer: map.layer, block: map.block, row, col, text: answer.text ?? "" } });
    return answer.blocks as number[];
  }

  unpin(): void {
    this.store.setState({ pin: null });
  }
}

const CLOSED: Partial<ProgramState> = { kernel: null, map: null, view: null, pin: null, error: "", largest: 0 };

/** A copy: a message's buffers need not be aligned to eight bytes. */
function bytesOf(buffer: DataView | undefined): Uint8Array<ArrayBuffer> {
  if (!buffer) throw new Error("a binary buffer is missing from the message");
  const copy = new Uint8Array(buffer.byteLength);
  copy.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
  return copy;
}
