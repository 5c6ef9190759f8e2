// The lab: evidence on the left, the pass on the circuit in the middle, answers on the right.

import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import { useStore } from "zustand";
import { keyOf, type Command } from "../commands";
import { CommandList, Dialog, Source } from "../Dialog";
import { plural } from "../format";
import { useKeptFocus } from "../hooks";
import { Pane } from "../Pane";
import { requestSync, selectBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import { PASSES, result as resultOf, trace as traceOf, type Pass, type Result, type Trace } from "./answers";
import { valid, type Lesson } from "./lesson";
import { MarksPanel } from "./MarksPanel";
import { NodeTable } from "./NodeTable";
import type { LabPart } from "./part";
import { Picture } from "./Picture";
import { ResultPanel } from "./ResultPanel";
import { forward, go, play, usePlay, useStill } from "./stepping";
import { lastStep, stepOf } from "./steps";
import { StepsPanel } from "./StepsPanel";
import { pythonOf } from "./words";

const TITLES: Record<Pass, [string, string]> = {
  flows: ["Probability", "Values up, flows down: how much each node explains of the evidence"],
  mpe: ["Most probable", "Maxima up, and the best path down"],
  sample: ["Sample", "Values up, and a die at each sum on the way down"],
};

export function LabPane({ store, palette }: { store: Store; palette: Palette }) {
  const part = store.parts.lab as LabPart;
  const token = useStore(part.store, (s) => s.token);
  useStore(part.store, (s) => s.lesson); // another circuit of the same list
  useEffect(() => {
    if (!token) requestSync(store); // the pane was opened later, and nothing had been sent for it
  }, [store, token]);
  if (!token || !part.lesson) return <Pane name="lab" title="Lab" summary=""><p className="pcb-empty">Waiting for a circuit …</p></Pane>;
  return <Opened store={store} part={part} palette={palette} lesson={part.lesson} key={token} />;
}

/** What is shown: computed here for small circuits, the kernel's for large ones. */
function useAnswers(part: LabPart, lesson: Lesson): { result: Result | null; trace: Trace | null } {
  const { marks, pass, output, seed, row, told, path } = useStore(part.store);
  const node = lesson.outputs[output];
  const own = useMemo(() => (lesson.small ? resultOf(lesson, marks, node) : null), [lesson, marks, node]);
  const ownTrace = useMemo(() => (lesson.small ? traceOf(lesson, marks, pass, node, seed, row) : null), [lesson, marks, pass, node, seed, row]);
  useEffect(() => void part.askPath(), [part, lesson, marks, pass, output, seed, row]);
  if (lesson.small) return { result: own, trace: ownTrace };
  const onPath = path?.pass === pass ? path.trace : null;
  return { result: told && { ...told, worlds: null }, trace: pass === "flows" ? (told?.trace ?? null) : onPath };
}

function Opened({ store, part, palette, lesson }: { store: Store; part: LabPart; palette: Palette; lesson: Lesson }) {
  const state = useStore(part.store);
  const [table, setTable] = useState(false);
  const [dialog, setDialog] = useState<"keys" | "python" | null>(null);
  const [told, setTold] = useState("");
  const still = useStill();
  const body = useRef<HTMLDivElement>(null);
  const { result, trace } = useAnswers(part, lesson);
  usePlay(part, trace, state.playing, state.at, state.asked !== null);
  useLinked(store, part, lesson);
  useKeptFocus(body, dialog !== null);
  const commands = commandsOf({ part, trace, still, toggleTable: () => setTable((on) => !on), open: setDialog });
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const target = event.target as HTMLElement;
    const key = keyOf(event);
    const range = target instanceof HTMLInputElement && target.type === "range";
    // A slider has its own arrows, a field its own letters, and a button its own Space.
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && !(range && target.ariaLabel === "Step" && key.length === 1)) return;
    if (target.tagName === "BUTTON" && (key === "Enter" || key === " ")) return;
    const command = commands.find((each) => each.run && each.keys.includes(key === " " ? "Space" : key));
    if (!command) return;
    event.preventDefault();
    event.stopPropagation();
    command.run!();
  };
  const save = async () => {
    const page = await part.page();
    if (typeof page === "string") return setTold(page);
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(page), download: "lesson.html" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    setTold("Saved as lesson.html: it works from a disk, without a kernel.");
  };
  const step = stepOf(lesson, state.at);
  const hidden = state.quiz && state.at < lesson.layers.length;
  const python = () => pythonOf(lesson, state.marks, part.output, Math.min(state.count, 10), state.seed);
  const close = () => setDialog(null);
  return (
    <div className="pcb-builder-keys" onKeyDown={onKeyDown}>
      <Pane
        name="lab"
        listed
        title="Lab"
        summary={told || summary(lesson)}
        tools={
          <>
            <span role="group" aria-label="Pass" className="pcb-lab-passes">
              {PASSES.map((pass) => (
                <button key={pass} type="button" aria-pressed={state.pass === pass} disabled={pass !== "flows" && !drawsPaths(lesson)} title={whyNot(lesson, pass)} onClick={() => choosePass(part, pass)}>{TITLES[pass][0]}</button>
              ))}
            </span>
            <button type="button" aria-pressed={state.quiz} disabled={!lesson.small} title="Ask before each step (Q)" onClick={() => toggleQuiz(part)}>Predict first</button>
            <button type="button" title="The question as Python (Y)" onClick={() => setDialog("python")}>Copy as Python</button>
            {!state.standalone && lesson.small && <button type="button" title="Save the lab as one HTML page that works without a kernel" onClick={() => void save()}>Export</button>}
            <button type="button" aria-pressed={table} title="The same numbers as a table (T)" onClick={() => setTable(!table)}>Table</button>
            <button type="button" aria-label="Commands and keys" title="Commands and keys (?)" onClick={() => setDialog("keys")}>?</button>
          </>
        }
      >
        <div
          ref={body} className="pcb-lab" data-token={state.token} data-lesson={state.lesson} data-at={state.at} data-last={lastStep(lesson)} data-way={step.way}
          data-layer={step.layer} data-log={result?.log} data-marks={Object.keys(state.marks).length} data-still={still} data-node={state.node ?? ""}
        >
          <MarksPanel part={part} lesson={lesson} />
          <div className="pcb-lab-middle">
            {table ? <NodeTable part={part} lesson={lesson} trace={trace} /> : <Picture store={store} part={part} lesson={lesson} trace={trace} palette={palette} still={still} />}
            <SampleRow part={part} />
            <StepsPanel part={part} lesson={lesson} trace={trace} still={still} />
          </div>
          <ResultPanel part={part} lesson={lesson} result={result} hidden={hidden} />
        </div>
        {dialog === "keys" && <CommandList list={commands} onClose={close} />}
        {dialog === "python" && (
          <Dialog title="Copy as Python" onClose={close}>
            <Source ask={() => Promise.resolve({ ok: true, text: python() })} label="The question as Python">This builds an equal circuit in a fresh kernel, and asks it what is asked here.</Source>
          </Dialog>
        )}
      </Pane>
    </div>
  );
}

function summary(lesson: Lesson): string {
  return [lesson.title, plural(lesson.scope.length, "variable"), plural(lesson.nodes.length, lesson.small ? "node" : "block"), plural(lesson.layers.length, "layer")].join(" · ");
}

function whyNot(lesson: Lesson, pass: Pass): string {
  if (pass === "flows") return `${TITLES[pass][1]} (1)`;
  if (!valid(lesson)) return "Needs a smooth and decomposable circuit";
  if (!drawsPaths(lesson)) return `Paths are drawn through at most ${MOST_BLOCKS.toLocaleString("en")} blocks; the answers are on the right`;
  return `${TITLES[pass][1]} (${PASSES.indexOf(pass) + 1})`;
}

/** As Python's half does (teaching/answers.py). */
const MOST_BLOCKS = 4000;

function drawsPaths(lesson: Lesson): boolean {
  return valid(lesson) && (lesson.small || lesson.nodes.length <= MOST_BLOCKS);
}

function choosePass(part: LabPart, pass: Pass): void {
  const lesson = part.lesson!;
  if (pass !== "flows" && !drawsPaths(lesson)) return;
  part.set({ pass, asked: null, at: part.state.quiz ? 0 : part.state.at });
}

function toggleQuiz(part: LabPart): void {
  if (!part.lesson!.small) return;
  const quiz = !part.state.quiz;
  part.set({ quiz, asked: null, playing: false, score: { right: 0, of: 0 }, at: quiz ? 0 : part.lesson!.layers.length });
}

interface Hands {
  part: LabPart;
  trace: Trace | null;
  still: boolean;
  toggleTable: () => void;
  open: (dialog: "keys" | "python") => void;
}

function commandsOf({ part, trace, still, toggleTable, open }: Hands): Command[] {
  return [
    { title: "One step on", keys: ["ArrowRight"], run: () => forward(part, trace) },
    { title: "One step back", keys: ["ArrowLeft"], run: () => go(part, part.state.at - 1) },
    { title: "To the start", keys: ["Home"], run: () => go(part, 0) },
    { title: "To the end", keys: ["End"], run: () => go(part, lastStep(part.lesson!)) },
    { title: "Play or pause", keys: ["Space"], run: () => play(part, still) },
    ...PASSES.map((pass, i) => ({ title: TITLES[pass][0], keys: [String(i + 1)], run: () => choosePass(part, pass) })),
    { title: "The next sample", keys: ["N"], run: () => part.state.pass === "sample" && part.set({ row: part.state.row + 1 }) },
    { title: "Predict first, or no longer", keys: ["Q"], run: () => toggleQuiz(part) },
    { title: "Forget all evidence", keys: ["C"], run: () => part.clear() },
    { title: "Show the table, or the picture", keys: ["T"], run: toggleTable },
    { title: "Copy as Python", keys: ["Y"], run: () => open("python") },
    { title: "This list", keys: ["?", "Ctrl+K"], run: () => open("keys") },
    { title: "Choose a node of the picture", keys: ["ArrowUp", "ArrowDown"] },
    { title: "Zoom the picture, or fit it", keys: ["+", "-", "0"] },
    { title: "Choose no node", keys: ["Escape"] },
  ];
}

/** Which of the seed's samples is shown; another one is one click, or one key, away. */
function SampleRow({ part }: { part: LabPart }) {
  const { pass, row, seed } = useStore(part.store);
  if (pass !== "sample") return null;
  return (
    <div className="pcb-lab-sample">
      <span>Sample {row} of seed {seed}</span>
      <button type="button" disabled={row === 0} onClick={() => part.set({ row: row - 1 })}>Previous</button>
      <button type="button" title="The next sample (N)" onClick={() => part.set({ row: row + 1 })}>Next</button>
    </div>
  );
}

/** A node that is chosen here lights in the circuit pane, and a block that is chosen there lights here. */
function useLinked(store: Store, part: LabPart, lesson: Lesson): void {
  const { linked, node, lesson: index } = useStore(part.store);
  const selection = useStore(store, (s) => s.selection);
  const last = useRef({ node, selection });
  useEffect(() => {
    const before = last.current;
    last.current = { node, selection };
    if (!linked || index !== 0) return;
    const own = node === null ? null : lesson.nodes[node].block;
    if (node !== before.node) {
      if (own !== null && !selection.has(own)) selectBlocks(store, [own]);
    } else if (selection !== before.selection && (own === null || !selection.has(own))) {
      const [block] = selection;
      const found = block === undefined ? -1 : lesson.nodes.findIndex((each) => each.block === block);
      part.set({ node: found < 0 ? null : found });
    }
  }, [linked, index, node, selection, lesson, part, store]);
}
