// The browser's half of the runs beside the dashboard's own. The twin of pcbench_widgets/beside.py.

import { createStore } from "zustand/vanilla";
import { History } from "../history";
import type { Body, Part } from "../part";
import { decodePoints } from "../protocol";

export interface Other {
  name: string;
  /** Of the run; "saved" for one from a file. */
  state: string;
  history: History;
}

export class TrainingPart implements Part {
  readonly name = "training";
  readonly store = createStore<{ rev: number; others: Other[] }>(() => ({ rev: 0, others: [] }));

  have(): Body {
    return { rev: this.store.getState().rev };
  }

  receive(body: Body, buffers: DataView[]): void {
    const runs = body.runs as { name: string; state: string; columns: string[]; count: number }[];
    const others = runs.map(({ name, state, columns, count }, i) => {
      const history = new History();
      history.append(decodePoints({ run: 1, reset: true, columns, count }, buffers.slice(2 * i, 2 * i + 2)));
      return { name, state, history };
    });
    this.store.setState({ rev: body.rev as number, others });
  }
}

/** How many variables a run's data have: its scores come in nats and in bits per dimension. Null before the first. */
export function variables(history: History): number | null {
  const [nats, bits] = [history.latest("train_ll"), history.latest("train_bpd")];
  return nats === null || !bits ? null : Math.round(-nats / (bits * Math.LN2));
}

/** Why a run's scores are not drawn beside the other's; empty where they are. */
export function unlike(other: Other, own: History): string {
  const [theirs, ours] = [variables(other.history), variables(own)];
  if (theirs === null) return other.state === "running" ? "no step yet" : "it made no step: nothing to compare";
  if (ours === null || theirs === ours) return "";
  return `its data have ${theirs} variables, this run's ${ours}: log-likelihoods cannot be compared`;
}
