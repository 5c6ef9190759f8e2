// Forward and back through a pass. In a quiz a step forward first asks; the answer, or a skip, then takes it.

import { useEffect, useState } from "react";
import type { Trace } from "./answers";
import type { LabPart } from "./part";
import { question } from "./quiz";
import { lastStep } from "./steps";

const PLAY_MS = 1100;

export function go(part: LabPart, at: number): void {
  const last = lastStep(part.lesson!);
  const to = Math.max(0, Math.min(last, at));
  part.set({ at: to, asked: null, ...(to === last ? { playing: false } : {}) });
}

export function forward(part: LabPart, trace: Trace | null): void {
  const { at, quiz, asked, marks, pass } = part.state;
  const lesson = part.lesson!;
  if (at >= lastStep(lesson)) return part.set({ playing: false });
  const next = quiz && trace && !asked ? question(lesson, marks, trace, pass, at + 1) : null;
  if (next) part.set({ asked: { question: next, chosen: null }, node: next.node });
  else go(part, at + 1);
}

/** The first answer counts; a wrong one says why, and may be followed by others. */
export function answer(part: LabPart, chosen: number): void {
  const { asked, score } = part.state;
  if (!asked) return;
  const { right } = asked.question.options[chosen];
  const first = asked.chosen === null;
  part.set({
    asked: { ...asked, chosen },
    ...(first ? { score: { right: score.right + (right ? 1 : 0), of: score.of + 1 } } : {}),
  });
}

export function play(part: LabPart, still: boolean): void {
  const { at, playing } = part.state;
  const last = lastStep(part.lesson!);
  if (still) return go(part, last); // nothing shall move by itself: all of it at once
  part.set({ playing: !playing, ...(!playing && at === last ? { at: 0 } : {}) });
}

export function usePlay(part: LabPart, trace: Trace | null, playing: boolean, at: number, asked: boolean): void {
  useEffect(() => {
    if (!playing || asked) return;
    const timer = setTimeout(() => forward(part, trace), PLAY_MS);
    return () => clearTimeout(timer);
  }, [part, trace, playing, at, asked]);
}

/** Whether the person asked their system for less motion. */
export function useStill(): boolean {
  const [still, setStill] = useState(() => matchMedia("(prefers-reduced-motion: reduce)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-reduced-motion: reduce)");
    const follow = () => setStill(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return still;
}
