// The browser's half of the builder: the session with Python, what is selected, and the numbers. The twin of
// pcbench_widgets/builder/part.py; what is on the screen stands in BuilderPane.tsx.

import { createStore, type StoreApi } from "zustand/vanilla";
import { ENDED, type Body, type Part, type Post } from "../part";
import { Refusal, type DraftBlock } from "./draft";
import type { Family } from "./families";
import { settle, type Place } from "./places";
import { isLocal, type Args, type Op } from "./rules";
import { Session, type Refused, type State, type WireChange } from "./session";

export interface Template {
  name: string;
  summary: string;
  options: Record<string, string | number>;
}

/** Log values of nodes under the evidence, by block id. */
export interface Numbers {
  rev: number;
  roots: number[];
  /** Some parameters are random, because nobody gave them. */
  random: boolean;
  values: Record<string, (number | null)[]>;
}

export interface Notice extends Refused {
  serial: number;
}

export interface Busy {
  op: string;
  text: string;
  since: number;
}

/** A drawing of an earlier builder of this cell or notebook, that nobody has saved. */
export interface Offer {
  id: string;
  /** Seconds since 1970. */
  when: number;
  blocks: number;
}

export type Answer = { ok: boolean; text?: string } & Body;

export interface BuilderState {
  token: string;
  rev: number;
  /** Grows with everything that changes the draft, here or in Python. */
  tick: number;
  /** Grows with what may change a number: not with moves and names. */
  meaning: number;
  pending: number;
  undo: string | null;
  redo: string | null;
  families: Family[];
  templates: Template[];
  /** Panes for a compiled circuit are on the screen too. */
  linked: boolean;
  /** For each block of the workbench's circuit, which block it is here. */
  link: Int32Array | null;
  notice: Notice | null;
  busy: Busy[];
  selection: ReadonlySet<number>;
  /** Blocks that stay selected while the focus walks on. */
  pinned: ReadonlySet<number>;
  focus: number | null;
  /** A field of the inspector has the focus: what it is about stays selected, or the rest of a text would be commands. */
  typing: boolean;
  folded: ReadonlySet<string>;
  evidence: Readonly<Record<string, number>>;
  numbers: Numbers | null;
  numbersError: string;
  offers: Offer[];
  /** Whether the drawing would survive the kernel: kept on disk, not (or not yet), or not possible. */
  kept: { state: "none" | "kept" | "failed"; text: string };
  /** The kernel is gone for good: this is a picture. */
  ended: boolean;
  /** Blocks to bring on the screen; null for all. */
  reveal: { serial: number; ids: number[] | null };
}

const EMPTY: ReadonlySet<number> = new Set();
/** Python answers one message after another: numbers wait until the hand rests, or edits would wait for numbers. */
const EVALUATE_AFTER_MS = 120;
const NOT_NOW = "The kernel is gone, so nothing can be changed here. Run the cell again to go on.";

export class BuilderPart implements Part {
  readonly name = "builder";
  readonly session: Session;
  readonly store: StoreApi<BuilderState>;
  /** Where blocks stand that nobody moved. */
  places = new Map<number, Place>();
  private serial = 0;
  private asks = new Map<number, (answer: Answer) => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private evaluating = false;
  private stale = false;
  private preview: { block: number; values: number[] } | null = null;

  constructor(
    private readonly post: Post,
    client = Math.random().toString(36).slice(2, 10),
  ) {
    this.session = new Session(client);
    this.store = createStore<BuilderState>(() => ({
      token: "", rev: -1, tick: 0, meaning: 0, pending: 0, undo: null, redo: null, families: [], templates: [],
      linked: false, link: null, notice: null, busy: [], selection: EMPTY, pinned: EMPTY, focus: null, typing: false, folded: new Set<string>(),
      evidence: {}, numbers: null, numbersError: "", reveal: { serial: 0, ids: null },
      offers: [], kept: { state: "none", text: "" }, ended: false,
    }));
  }

  get draft() {
    return this.session.draft;
  }

  get state(): BuilderState {
    return this.store.getState();
  }

  have(): Body {
    // With edits under way the whole document is wanted: only then it is known which of them arrived.
    return this.session.pending.length ? {} : { token: this.state.token, rev: this.session.rev };
  }

  // ---- from Python
  receive(body: Body, buffers: DataView[]): void {
    switch (body.kind) {
      case "document":
        return this.load(body, buffers);
      case "change":
        return this.confirm(body as unknown as WireChange & Body);
      case "done":
        this.session.done(body.op as string);
        return this.changed();
      case "nack":
        return this.refused(body);
      case "link":
        return this.store.setState({ link: buffers.length ? ints(buffers[0]) : null });
      case "offers":
        return this.store.setState({ offers: body.offers as Offer[] });
      case "kept":
        return this.store.setState({ kept: body as unknown as BuilderState["kept"] });
      default:
        if (typeof body.ask !== "number") return;
        this.asks.get(body.ask)?.(body as Answer);
        this.asks.delete(body.ask);
    }
  }

  private load(body: Body, buffers: DataView[]): void {
    const text = new TextDecoder().decode(buffers[0]);
    const ids = ints(buffers[1]);
    const places = new Float64Array(copy(buffers[2]));
    const another = body.token !== this.state.token;
    if (another) this.session.pending = []; // they were about another document
    this.answerAll("The question was lost with the connection.");
    this.places = new Map(Array.from(ids, (id, i) => [id, [places[2 * i], places[2 * i + 1]]]));
    const again = this.session.load(body.rev as number, JSON.parse(text) as State);
    this.store.setState({
      token: body.token as string,
      undo: body.undo as string | null,
      redo: body.redo as string | null,
      families: body.families as Family[],
      templates: body.templates as Template[],
      linked: body.linked as boolean,
      ...(another ? { selection: EMPTY, pinned: EMPTY, focus: null, evidence: {}, numbers: null, notice: null, busy: [] } : {}),
    });
    this.changed(true);
    again.forEach((op) => this.send(op));
  }

  ended(ended: boolean): void {
    this.store.setState({ ended });
    if (ended) this.answerAll(ENDED);
  }

  private answerAll(text: string): void {
    const waiting = [...this.asks.values()];
    this.asks.clear();
    for (const answer of waiting) answer({ ok: false, text });
  }

  private confirm(wire: WireChange & Body): void {
    const ours = this.session.pending.find((entry) => entry.op.id === wire.op)?.op;
    const means = wire.blocks.some(([id, after]) => !sameMeaning(this.draft.blocks.get(id), after ?? undefined));
    if (!this.session.confirm(wire)) return this.post({ kind: "again" });
    this.store.setState({ undo: wire.undo as string | null, redo: wire.redo as string | null });
    if (ours && !isLocal(ours.kind)) {
      const ids = wire.blocks.map(([id]) => id);
      if (!this.state.typing) this.select(ids);
      this.reveal(ids);
    }
    this.changed(means || ours !== undefined);
  }

  private refused(body: Body): void {
    const refused = { reason: body.reason as string, node: body.node as number | null };
    const { resend, lost } = this.session.refuse(body.op as string, refused, body.taken as boolean, body.counted as boolean);
    this.changed(true);
    if (lost.length) this.notify(lost[0]);
    resend.forEach((op) => this.send(op));
  }

  /** After whatever happened to the draft. */
  private changed(means = false): void {
    const { state, draft } = this;
    const fresh = settle(draft, this.places);
    if (fresh.size) this.keep(fresh);
    const pinned = new Set([...state.pinned].filter((id) => draft.blocks.has(id)));
    const focus = state.focus !== null && draft.blocks.has(state.focus) ? state.focus : null;
    const waiting = new Set(this.session.pending.map((entry) => entry.op.id));
    this.store.setState({
      rev: this.session.rev,
      tick: state.tick + 1,
      meaning: state.meaning + (means ? 1 : 0),
      pending: this.session.pending.length,
      pinned,
      focus,
      selection: union(pinned, focus),
      busy: state.busy.filter((entry) => waiting.has(entry.op)),
    });
    if (means) this.evaluateSoon();
  }

  private keep(fresh: Map<number, Place>): void {
    const ids = new Int32Array(fresh.size);
    const places = new Float64Array(2 * fresh.size);
    let i = 0;
    for (const [id, place] of fresh) {
      this.places.set(id, place);
      ids[i] = id;
      places.set(place, 2 * i++);
    }
    this.post({ kind: "placed" }, [ids.buffer, places.buffer]);
  }

  // ---- to Python
  private send(op: Op): void {
    const { client, refusals } = this.session;
    this.post({ kind: "op", op, client, refusals });
  }

  /** One edit; false where it is refused, and then the reason stands at the block. */
  edit(kind: string, args: Args): boolean {
    if (this.refusedAsEnded()) return false;
    try {
      const op = this.session.propose(kind, args);
      this.store.setState({ notice: null });
      if (!isLocal(kind)) {
        const busy = { op: op.id, text: `Building ${String(args.name)}`, since: Date.now() };
        this.store.setState({ busy: [...this.state.busy, busy] });
      }
      this.send(op);
      this.changed();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.notify({ reason: error.reason, node: error.node });
      return false;
    }
  }

  undo(): void {
    if (!this.refusedAsEnded()) this.post({ kind: "undo" });
  }

  redo(): void {
    if (!this.refusedAsEnded()) this.post({ kind: "redo" });
  }

  private refusedAsEnded(): boolean {
    if (this.state.ended) this.notify({ reason: NOT_NOW, node: null });
    return this.state.ended;
  }

  /** Python ends the work in its own time; here it is over. */
  cancel(op: string): void {
    this.post({ kind: "cancel", op });
    this.session.pending = this.session.pending.filter((entry) => entry.op.id !== op);
    this.changed();
  }

  ask(kind: string, body: Body = {}): Promise<Answer> {
    if (this.state.ended) return Promise.resolve({ ok: false, text: ENDED });
    const ask = ++this.serial;
    return new Promise((resolve) => {
      this.asks.set(ask, resolve);
      this.post({ ...body, kind, ask });
    });
  }

  notify(refused: Refused): void {
    this.store.setState({ notice: { ...refused, serial: ++this.serial } });
  }

  dismiss(): void {
    if (this.state.notice) this.store.setState({ notice: null });
  }

  // ---- selection
  select(ids: Iterable<number>, focus: number | null = null): void {
    const pinned = new Set(ids);
    this.store.setState({ pinned, focus, selection: union(pinned, focus) });
  }

  /** Only this one, and none pinned; null for nothing. */
  choose(id: number | null): void {
    this.select([], id);
  }

  /** The focus walks on; what is pinned stays selected. */
  walkTo(id: number): void {
    this.select(this.state.pinned, id);
  }

  /** In and out of the selection. */
  toggle(ids: readonly number[]): void {
    const pinned = new Set(this.state.pinned);
    if (this.state.focus !== null && !ids.includes(this.state.focus)) pinned.add(this.state.focus);
    const out = ids.every((id) => pinned.has(id));
    for (const id of ids) if (out) pinned.delete(id);
    else pinned.add(id);
    this.store.setState({ pinned, focus: out ? null : ids[0], selection: union(pinned, out ? null : ids[0]) });
  }

  fold(name: string): void {
    const folded = new Set(this.state.folded);
    if (!folded.delete(name)) folded.add(name);
    this.store.setState({ folded });
  }

  reveal(ids: number[] | null): void {
    this.store.setState({ reveal: { serial: ++this.serial, ids } });
  }

  // ---- numbers
  observe(variable: string, value: number | null): void {
    const { [variable]: _old, ...rest } = this.state.evidence;
    this.store.setState({ evidence: value === null ? rest : { ...rest, [variable]: value } });
    this.evaluateSoon();
  }

  /** What the numbers would be with other parameters; null for those of the document. */
  tryOut(preview: { block: number; values: number[] } | null): void {
    this.preview = preview;
    void this.evaluate();
  }

  private evaluateSoon(): void {
    this.preview = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.evaluate(), EVALUATE_AFTER_MS);
  }

  /** At most one question is on its way: while a slider moves only the newest counts. */
  private async evaluate(): Promise<void> {
    if (!Object.keys(this.state.evidence).length) {
      // Nothing is observed, so every value is 1.
      if (this.state.numbers) this.store.setState({ numbers: null, numbersError: "" });
      return;
    }
    this.stale = true;
    if (this.evaluating) return;
    this.evaluating = true;
    while (this.stale) {
      this.stale = false;
      const answer = await this.ask("evaluate", { evidence: this.state.evidence, preview: this.preview });
      if (!Object.keys(this.state.evidence).length) this.store.setState({ numbers: null, numbersError: "" });
      else if (answer.ok) this.store.setState({ numbers: answer as unknown as Numbers, numbersError: "" });
      else this.store.setState({ numbers: null, numbersError: answer.text ?? "" });
    }
    this.evaluating = false;
  }
}

function union(pinned: ReadonlySet<number>, focus: number | null): ReadonlySet<number> {
  return focus === null || pinned.has(focus) ? pinned : new Set([...pinned, focus]);
}

function copy(buffer: DataView): ArrayBuffer {
  const bytes = new Uint8Array(buffer.byteLength);
  bytes.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
  return bytes.buffer;
}

const ints = (buffer: DataView): Int32Array => new Int32Array(copy(buffer));

/** Whether two states of a block give the same circuit: places, names and regions aside. */
function sameMeaning(a: DraftBlock | undefined, b: DraftBlock | undefined): boolean {
  if (!a || !b || a.given || b.given) return false;
  const { x: _x, y: _y, name: _n, group: _g, ...before } = a;
  const { x: _x2, y: _y2, name: _n2, group: _g2, ...after } = b;
  return JSON.stringify(before) === JSON.stringify(after);
}
