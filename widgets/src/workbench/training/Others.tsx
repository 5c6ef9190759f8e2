import { plural } from "../format";
import type { History } from "../history";
import { Swatch } from "./Chart";
import { LOOKS } from "./charts";
import { unlike, type Other } from "./part";

/** The runs beside this one: how each looks in the charts, how far it came, or why it is not drawn. */
export function Others({ others, own }: { others: Other[]; own: History }) {
  if (others.length === 0) return null;
  return (
    <ul className="pcb-others" aria-label="Beside this run">
      {others.map((other, i) => {
        const steps = other.history.x().at(-1) ?? 0;
        const why = unlike(other, own);
        return (
          <li key={other.name} data-other={other.name}>
            <Swatch line={LOOKS[i]} /> <b>{other.name}</b> {other.state}, {plural(steps, "step")}
            {why && <span className="pcb-notice"> · {why}</span>}
          </li>
        );
      })}
    </ul>
  );
}
