// The browser's half of the lab: which circuit, what is marked, how far the pass has come. The twin of
// pcbench_widgets/teaching/part.py; what is on the screen stands in LabPane.tsx.

import { createStore, type StoreApi } from "zustand/vanilla";
import { ENDED, type Body, type Part, type Post } from "../part";
import type { Best, Pass, Posterior, Samples, Trace } from "./answers";
import { lessonOf, type Lesson, type Mark, type Marks, type WireLesson } from "./lesson";
import type { Question } from "./quiz";
import { lastStep } from "./steps";

/** What the kernel answered about a large circuit, and under which marks. */
export interface Told {
  marks: Marks;
  output: number;
  log: number;
  posteriors: Posterior[];
  /** Largest log value of each block, and flows of blocks and edges; null where there are too many. */
  trace: Trace | null;
  least: Float64Array | null;
}

export interface LabState {
  token: string;
  /** In a page of its own there is no kernel to ask. */
  standalone: boolean;
  /** The circuit pane of this workbench shows the first circuit, too. */
  linked: boolean;
  titles: string[];
  lesson: number;
  marks: Marks;
  pass: Pass;
  /** 0 … lastStep: how much of the pass is shown. */
  at: number;
  playing: boolean;
  /** Which output, counted from 0. */
  output: number;
  seed: number;
  count: number;
  /** The sample whose path is shown. */
  row: number;
  node: number | null;
  quiz: boolean;
  asked: { question: Question; chosen: number | null } | null;
  score: { right: number; of: number };
  told: Told | null;
  best: Best | null;
  samples: Samples | null;
  /** The path of a large circuit, as the kernel found it, of which pass. */
  path: { pass: Pass; trace: Trace } | null;
  waiting: boolean;
  error: string;
}

export type Answer = { ok: boolean; text?: string } & Body;

/** What Python keeps, for a reload, a second view and an exported page. */
const KEPT = ["lesson", "marks", "pass", "at", "output", "seed", "count", "row", "quiz"] as const;
const POST_AFTER_MS = 150;

const FRESH = {
  pass: "flows" as Pass, playing: false, output: 0, seed: 0, count: 1000, row: 0, node: null, quiz: false, asked: null,
  score: { right: 0, of: 0 }, told: null, best: null, samples: null, path: null, waiting: false, error: "",
};

export class LabPart implements Part {
  readonly name = "lab";
  readonly store: StoreApi<LabState>;
  private wires: WireLesson[] = [];
  private made = new Map<number, Lesson>();
  private serial = 0;
  private asks = new Map<number, (answer: Answer, buffers: DataView[]) => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;
  private pathsAsked = 0;
  private over = false;

  constructor(private readonly post: Post) {
    this.store = createStore<LabState>(() => ({ token: "", standalone: false, linked: false, titles: [], lesson: 0, marks: {}, at: 0, ...FRESH }));
  }

  get state(): LabState {
    return this.store.getState();
  }

  /** The circuit on the screen; null before Python's first message. */
  get lesson(): Lesson | null {
    return this.wires.length ? this.lessonAt(this.state.lesson) : null;
  }

  get output(): number {
    return this.lesson!.outputs[this.state.output];
  }

  private lessonAt(index: number): Lesson {
    const known = this.made.get(index);
    if (known) return known;
    const made = lessonOf(this.wires[index]);
    this.made.set(index, made);
    return made;
  }

  have(): Body {
    // A question that was lost with the connection is asked again once everything has come anew.
    return this.asking ? {} : { token: this.state.token };
  }

  // ---- from Python
  receive(body: Body, buffers: DataView[]): void {
    if (body.kind === "lessons") return this.load(body, buffers[0]);
    if (body.kind === "linked") return this.store.setState({ linked: body.linked === true });
    if (body.kind === "state") return this.restore(body.state as Partial<LabState>);
    if (typeof body.ask !== "number") return;
    this.asks.get(body.ask)?.(body as Answer, buffers);
    this.asks.delete(body.ask);
  }

  /** Small circuits go on answering, and what was asked of the kernel is told that it is gone. */
  ended(ended: boolean): void {
    this.over = ended;
    if (!ended) return;
    const waiting = [...this.asks.values()];
    this.asks.clear();
    for (const answer of waiting) answer({ ok: false, text: ENDED }, []);
  }

  private load(body: Body, buffer: DataView): void {
    this.wires = JSON.parse(new TextDecoder().decode(buffer)) as WireLesson[];
    this.made.clear();
    this.asks.clear();
    this.asking = false;
    this.store.setState({
      ...FRESH, token: body.token as string, standalone: body.standalone === true, linked: body.linked === true, titles: this.wires.map((wire) => wire.title), lesson: 0, at: -1,
    });
    this.restore(body.state as Partial<LabState>);
  }

  private restore(kept: Partial<LabState>): void {
    const index = kept.lesson ?? this.state.lesson;
    const lesson = this.lessonAt(index);
    // All the way up, so that the first picture has all values; the scrubber goes back from there.
    const at = kept.at ?? (this.state.at >= 0 ? this.state.at : lesson.layers.length);
    this.store.setState({ ...kept, at: Math.min(at, lastStep(lesson)), told: null, best: null, samples: null, asked: null });
    this.refresh();
  }

  // ---- what a person does
  /** Changes what is shown, and tells Python of it. */
  set(change: Partial<LabState>): void {
    this.store.setState(change);
    if (!KEPT.some((key) => key in change)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { state } = this;
      const kept = Object.fromEntries(KEPT.map((key) => [key, state[key]]));
      this.post({ kind: "state", token: state.token, state: kept });
    }, POST_AFTER_MS);
  }

  choose(index: number): void {
    const lesson = this.lessonAt(index);
    const { quiz, seed, count } = this.state;
    this.set({ ...FRESH, quiz, seed, count, lesson: index, marks: lesson.marks, at: quiz ? 0 : lesson.layers.length });
    this.refresh();
  }

  /** Null sums the variable out. */
  mark(name: string, mark: Mark | null): void {
    const marks = { ...this.state.marks };
    if (mark) marks[name] = mark;
    else delete marks[name];
    this.set({ marks, best: null, samples: null, asked: null, error: "" });
    this.refresh();
  }

  setOutput(output: number): void {
    this.set({ output, best: null, samples: null, asked: null });
    this.refresh();
  }

  clear(): void {
    this.set({ marks: {}, best: null, samples: null, asked: null, error: "" });
    this.refresh();
  }

  // ---- the kernel, for circuits that are too large to be answered here
  private refresh(): void {
    if (!this.lesson || this.lesson.small || this.asking) return;
    const { marks, output, token } = this.state;
    this.asking = true;
    this.store.setState({ waiting: true });
    void this.ask("result", { marks, output }).then(([answer, buffers]) => {
      if (token !== this.state.token) return;
      this.asking = false;
      const stale = marks !== this.state.marks || output !== this.state.output;
      if (answer.ok) this.store.setState({ told: toldBy(this.lesson!, answer, buffers, marks, output), waiting: stale, error: "" });
      else this.store.setState({ told: null, waiting: stale, error: answer.text ?? "" });
      if (stale) this.refresh();
    });
  }

  /** The path for what is asked now; of several questions under way the newest counts. */
  async askPath(): Promise<void> {
    const { marks, pass, output, seed, row } = this.state;
    const asked = ++this.pathsAsked;
    if (this.state.path) this.store.setState({ path: null });
    if (!this.lesson || this.lesson.small || pass === "flows") return;
    const [answer, buffers] = await this.ask("path", { marks, pass, output, seed, row });
    if (asked !== this.pathsAsked) return;
    if (answer.ok) this.store.setState({ path: { pass, trace: pathBy(answer, buffers) }, error: "" });
    else this.store.setState({ error: answer.text ?? "" });
  }

  async askBest(): Promise<void> {
    const { marks, output } = this.state;
    const [answer] = await this.ask("best", { marks, output });
    if (marks !== this.state.marks) return;
    this.store.setState(answer.ok ? { best: answer as unknown as Best, error: "" } : { error: answer.text ?? "" });
  }

  async askSamples(): Promise<void> {
    const { marks, output, count, seed } = this.state;
    const [answer] = await this.ask("sample", { marks, output, count, seed });
    if (marks !== this.state.marks) return;
    this.store.setState(answer.ok ? { samples: { ...(answer as unknown as Samples), counts: null }, error: "" } : { error: answer.text ?? "" });
  }

  /** The lab as one HTML page. */
  async page(): Promise<Blob | string> {
    const [answer, buffers] = await this.ask("export");
    return answer.ok ? new Blob([copy(buffers[0])], { type: "text/html" }) : (answer.text ?? "");
  }

  private ask(kind: string, body: Body = {}): Promise<[Answer, DataView[]]> {
    if (this.over) return Promise.resolve([{ ok: false, text: ENDED }, []]);
    const ask = ++this.serial;
    const answer = new Promise<[Answer, DataView[]]>((resolve) => this.asks.set(ask, (got, buffers) => resolve([got, buffers])));
    this.post({ kind, ask, ...body });
    return answer;
  }
}

function copy(buffer: DataView): ArrayBuffer {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).slice().buffer;
}

function pathBy(answer: Answer, buffers: DataView[]): Trace {
  const [up, node, edge, unit] = buffers.map((buffer) => new Float64Array(copy(buffer)));
  const dice = new Map((answer.dice as [number, number, number][]).map(([i, u, e]) => [i, { u, edge: e }]));
  return { up, down: { node, edge, dice, unit }, state: answer.state as number[] };
}

function toldBy(lesson: Lesson, answer: Answer, buffers: DataView[], marks: Marks, output: number): Told {
  const log = (answer.log as number | null) ?? -Infinity;
  const told = { marks, output, log, posteriors: answer.posteriors as Posterior[] };
  if (!buffers.length) return { ...told, trace: null, least: null };
  const [ranges, node, edge] = buffers.map((buffer) => new Float64Array(copy(buffer)));
  const [least, up] = [0, 1].map((side) => Float64Array.from({ length: lesson.nodes.length }, (_, i) => ranges[2 * i + side]));
  return { ...told, least, trace: { up, down: { node, edge, dice: new Map() }, state: null } };
}
