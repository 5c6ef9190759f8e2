// The parts of a workbench; a new one is a file and a line here, and a line in PARTS of pcbench_widgets/workbench.py.

import { BuilderPart } from "./builder/part";
import { LabPart } from "./lab/part";
import type { MakePart, Parts, Post } from "./part";
import { ProgramPart } from "./program/part";
import type { Send } from "./store";
import { TrainingPart } from "./training/part";

const PARTS: Record<string, MakePart> = {
  builder: (post) => new BuilderPart(post),
  lab: (post) => new LabPart(post),
  program: (post) => new ProgramPart(post),
  training: () => new TrainingPart(),
};

export function makeParts(send: Send): Parts {
  const post = (part: string): Post => (body, buffers) => send({ type: "part", part, body }, buffers);
  return Object.fromEntries(Object.entries(PARTS).map(([name, make]) => [name, make(post(name))]));
}
