// Below the picture: the scrubber, what the step says in equations, and the question before it.

import { useLayoutEffect, useRef } from "react";
import { useStore } from "zustand";
import type { Trace } from "./answers";
import type { Lesson } from "./lesson";
import type { LabPart, LabState } from "./part";
import { answer, forward, go, play } from "./stepping";
import { lastStep, shownDown, shownUp, stepOf } from "./steps";
import { downText, equation, exact, nats, valueText } from "./words";

const MOST_EQUATIONS = 8;

interface Props {
  part: LabPart;
  lesson: Lesson;
  trace: Trace | null;
  still: boolean;
}

const UP: Record<LabState["pass"], string> = { flows: "values climb", mpe: "best values climb", sample: "values climb" };
const DOWN: Record<LabState["pass"], string> = { flows: "flows come down", mpe: "the best path goes down", sample: "a die at each sum" };

export function stepTitle(lesson: Lesson, { at, pass }: LabState): string {
  const { way, layer } = stepOf(lesson, at);
  if (way === "start") return "Start: no number yet";
  return `${way === "up" ? "Up" : "Down"}, layer ${layer + 1} of ${lesson.layers.length}: ${(way === "up" ? UP : DOWN)[pass]}`;
}

export function StepsPanel({ part, lesson, trace, still }: Props) {
  const state = useStore(part.store);
  const last = lastStep(lesson);
  const slide = (to: number) => (to === state.at + 1 ? forward(part, trace) : go(part, to));
  return (
    <div className="pcb-lab-steps">
      <div className="pcb-lab-scrub" role="group" aria-label="Steps">
        <button type="button" disabled={state.at === 0} onClick={() => go(part, 0)} aria-label="To the start" title="To the start (Home)">«</button>
        <button type="button" disabled={state.at === 0} onClick={() => go(part, state.at - 1)} aria-label="One step back" title="One step back (←)">‹</button>
        <button type="button" className="pcb-lab-play" onClick={() => play(part, still)} aria-label={state.playing ? "Pause" : "Play"} title={still ? "To the end: your system asks for less motion" : "Play or pause (Space)"}>{state.playing ? "❚❚" : "▶"}</button>
        <button type="button" disabled={state.at === last} onClick={() => forward(part, trace)} aria-label="One step on" title="One step on (→)">›</button>
        <button type="button" disabled={state.at === last} onClick={() => go(part, last)} aria-label="To the end" title="To the end (End)">»</button>
        <input type="range" min={0} max={last} value={state.at} aria-label="Step" aria-valuetext={stepTitle(lesson, state)} onChange={(event) => slide(Number(event.currentTarget.value))} />
        <strong>{stepTitle(lesson, state)}</strong>
      </div>
      <div className="pcb-lab-said" tabIndex={0} role="region" aria-label="Equations">
        {state.asked ? <Quiz part={part} lesson={lesson} asked={state.asked} trace={trace} /> : <Equations part={part} lesson={lesson} trace={trace} state={state} />}
      </div>
    </div>
  );
}

function Equations({ part, lesson, trace, state }: Omit<Props, "still"> & { state: LabState }) {
  const { at, node, pass } = state;
  const step = stepOf(lesson, at);
  if (!trace) return <p className="pcb-muted">{noTrace(lesson, state)}</p>;
  if (node === null && step.layer < 0) return <p className="pcb-muted">Step on with → or ▶: each layer is computed from the one below it.</p>;
  const layer = node !== null ? [node] : step.way === "up" ? lesson.layers[step.layer] : activeFirst(lesson.layers[step.layer], trace);
  return (
    <ul className="pcb-lab-equations" aria-live="polite">
      {layer.slice(0, MOST_EQUATIONS).map((i) => (
        <Line key={i} part={part} lesson={lesson} trace={trace} state={state} i={i} down={node === null ? step.way === "down" : shownDown(lesson, at, lesson.placement.layer[i])} />
      ))}
      {layer.length > MOST_EQUATIONS && <li className="pcb-muted">{layer.length - MOST_EQUATIONS} more nodes: choose one, or see the table.</li>}
      {pass !== "flows" && trace.state && at === lastStep(lesson) && (
        <li className="pcb-lab-state" data-state={trace.state.map(valueText).join(" ")}>
          {pass === "mpe" ? "The best tree says" : `Sample ${state.row}`}: {lesson.scope.slice(0, 20).map((v) => `${lesson.variables[v].name} = ${valueText(trace.state![v])}`).join(", ")}
        </li>
      )}
    </ul>
  );
}

function activeFirst(layer: number[], { down }: Trace): number[] {
  return [...layer].sort((a, b) => Number(down.node[b] > 0) - Number(down.node[a] > 0));
}

function noTrace(lesson: Lesson, { pass, error }: LabState): string {
  if (lesson.small || error) return "";
  return pass === "flows" ? "This circuit is too large for numbers on its blocks; the answer is beside." : "Looking for the path …";
}

function Line({ part, lesson, trace, state, i, down }: { part: LabPart; lesson: Lesson; trace: Trace; state: LabState; i: number; down: boolean }) {
  const { at, pass, marks } = state;
  const { name, kind } = lesson.nodes[i];
  if (!shownUp(at, lesson.placement.layer[i])) return <li><b className={`pcb-lab-${kind}`}>{name}</b> = ?</li>;
  if (down && pass !== "flows" && !trace.down.node[i]) return <li className="pcb-muted"><b>{name}</b>: not on the path</li>;
  const { symbols, numbers, log } = equation(lesson, i, marks, trace, pass);
  return (
    <li>
      <b className={`pcb-lab-${kind}`}>{name}</b>
      {down ? (
        <span>: {downText(lesson, i, trace, pass, part.output)}</span>
      ) : (
        <>
          {" = "}<span className="pcb-muted">{symbols}</span>{numbers && ` = ${numbers}`}{" = "}<strong>{exact(log)}</strong>
          {log < 0 && <small className="pcb-muted"> (log {nats(log)})</small>}
        </>
      )}
    </li>
  );
}

function Quiz({ part, lesson, asked, trace }: { part: LabPart; lesson: Lesson; asked: NonNullable<LabState["asked"]>; trace: Trace | null }) {
  const { score } = part.state;
  const { question, chosen } = asked;
  const picked = chosen === null ? null : question.options[chosen];
  const first = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => first.current?.focus(), [question]);
  return (
    <div className="pcb-lab-quiz" role="group" aria-label="Predict first" data-node={question.node}>
      <p><b>Predict first.</b> {question.text}</p>
      <div className="pcb-row">
        {question.options.map((option, k) => (
          <button
            key={option.text} type="button" ref={k === 0 ? first : undefined} data-right={picked?.right && option.right ? "yes" : undefined}
            aria-pressed={k === chosen} disabled={picked?.right === true && k !== chosen} onClick={() => answer(part, k)}
          >
            {option.text}
          </button>
        ))}
        <button type="button" className={picked?.right ? "pcb-primary" : "pcb-link"} onClick={() => go(part, part.state.at + 1)}>{picked?.right ? "Go on" : "Show me"}</button>
      </div>
      <p role="status" className={picked ? (picked.right ? "pcb-fine" : "pcb-error") : "pcb-muted"}>
        {picked ? `${picked.right ? "✓ Right" : "✗ Not quite"}: ${picked.why}.` : `${score.right} of ${score.of} right at the first try`}
        {trace && picked?.right && lesson.small && <Shown lesson={lesson} part={part} trace={trace} i={question.node} />}
      </p>
    </div>
  );
}

/** The equation behind a right answer. */
function Shown({ lesson, part, trace, i }: { lesson: Lesson; part: LabPart; trace: Trace; i: number }) {
  const { at, marks, pass } = part.state;
  if (stepOf(lesson, at + 1).way !== "up") return null;
  const { numbers, log } = equation(lesson, i, marks, trace, pass);
  return numbers ? <> {lesson.nodes[i].name} = {numbers} = {exact(log)}</> : null;
}
