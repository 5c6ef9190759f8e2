// The answers: a probability, beside it that of all worlds; conditionals, the most probable state, samples.

import { useMemo } from "react";
import { useStore } from "zustand";
import { NumberInput } from "../NumberInput";
import { best as bestOf, MOST_LISTED, samples as samplesOf, type Posterior, type Result, type Samples } from "./answers";
import { valid, type Lesson } from "./lesson";
import type { LabPart } from "./part";
import { exact, knownText, nats, plain, valueText } from "./words";

const SAME = 1e-9;
const MOST_BARS = 12;
const COUNTS = [1, 10, 100, 1000, 10_000];

interface Props {
  part: LabPart;
  lesson: Lesson;
  result: Result | null;
  /** In a quiz, until the pass has come up to it. */
  hidden: boolean;
}

export function ResultPanel({ part, lesson, result, hidden }: Props) {
  const { marks, waiting, error } = useStore(part.store);
  const known = knownText(lesson, marks);
  const real = lesson.variables.some(({ name, size }) => size === null && marks[name]?.kind === "value");
  return (
    <div className="pcb-side pcb-lab-right" tabIndex={0} role="region" aria-label="Answers" data-waiting={waiting}>
      <section className="pcb-side-section" aria-label="Probability">
        <h3>Answer</h3>
        {error && <p className="pcb-error pcb-sentence" role="alert">{error}</p>}
        {hidden && <p className="pcb-muted">Predict first: the answer comes when the values have climbed to the top.</p>}
        {!hidden && result && (
          <>
            <p className="pcb-answer" data-log={result.log} role="status">
              <span>{known ? `${real ? "density" : "p"}(${known}) = ` : "Nothing is known: the circuit adds up to "}</span>
              <strong>{exact(result.log)}</strong>
              <small>log {nats(result.log)} nats</small>
            </p>
            <Check lesson={lesson} result={result} />
          </>
        )}
        {!hidden && !result && !error && <p className="pcb-muted">Asking the kernel …</p>}
      </section>
      {!hidden && result && <Conditionals lesson={lesson} result={result} given={known} />}
      {!hidden && result && valid(lesson) && result.log > -Infinity && (
        <>
          <Most part={part} lesson={lesson} result={result} />
          <Drawn part={part} lesson={lesson} result={result} />
        </>
      )}
      {!hidden && !valid(lesson) && (
        <section className="pcb-side-section">
          <p className="pcb-muted">Flows, most probable states and samples rest on the two properties that this circuit lacks. So does compiling: <code>Circuit(…)</code> refuses it.</p>
        </section>
      )}
    </div>
  );
}

/** The same number by brute force; where it differs, the circuit is wrong. */
function Check({ lesson, result: { worlds, log } }: { lesson: Lesson; result: Result }) {
  if (!worlds) return lesson.small ? <p className="pcb-muted">Too many worlds (or a real variable) to add them up one by one.</p> : null;
  const [one, all] = [Math.exp(log), Math.exp(worlds.total)];
  const same = Math.abs(one - all) <= SAME * Math.max(one, all, 1e-300);
  return (
    <p className={`pcb-lab-check ${same ? "pcb-lab-same" : "pcb-lab-off"}`} data-check={worlds.total} data-same={same}>
      <span>{worlds.logs.length === 1 ? "The one world" : `All ${worlds.logs.length} worlds added up`}: </span>
      <strong>{exact(worlds.total)}</strong> <b>{same ? "✓ the same" : "✗ not the same"}</b>
      {!same && <small>One pass is only right where sums are smooth and products decomposable.</small>}
    </p>
  );
}

function Conditionals({ lesson, result, given }: { lesson: Lesson; result: Result; given: string }) {
  const empty = result.posteriors.length === 0;
  return (
    <section className="pcb-side-section" aria-label="Conditional">
      <h3>Conditional</h3>
      {empty && <p className="pcb-muted">{result.log === -Infinity ? "Evidence of probability zero: nothing can be asked given it." : "Mark a variable with ? to see its distribution given the evidence."}</p>}
      {result.posteriors.map((posterior) => <Bars key={posterior.variable} lesson={lesson} posterior={posterior} given={given} />)}
    </section>
  );
}

function Bars({ lesson, posterior, given }: { lesson: Lesson; posterior: Posterior; given: string }) {
  const { name } = lesson.variables[posterior.variable];
  const title = `p(${name}${given ? ` | ${given}` : ""})`;
  const { probabilities, checked } = posterior;
  if (!probabilities) return <p data-mean={posterior.mean}><b>{title}</b>: mean {plain(posterior.mean!)}, deviation {plain(posterior.deviation!)}</p>;
  const order = probabilities.map((_, value) => value);
  if (order.length > MOST_BARS) order.sort((a, b) => probabilities[b] - probabilities[a]);
  return (
    <table className="pcb-lab-bars" aria-label={title} data-variable={name}>
      <caption>{title}</caption>
      <tbody>
        {order.slice(0, MOST_BARS).map((value) => {
          const off = checked && Math.abs(checked[value] - probabilities[value]) > SAME;
          return (
            <tr key={value} data-value={value} data-p={probabilities[value]} data-check={checked?.[value]}>
              <th scope="row">{value}</th>
              <td className="pcb-lab-bar"><i style={{ width: `${100 * Math.min(1, probabilities[value])}%` }} /></td>
              <td className="pcb-number">{plain(probabilities[value])}{off && <b className="pcb-lab-off"> ✗ {plain(checked[value])}</b>}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Most({ part, lesson, result: { worlds } }: { part: LabPart; lesson: Lesson; result: Result }) {
  const { marks, output, best: asked } = useStore(part.store);
  const found = useMemo(() => (lesson.small ? bestOf(lesson, marks, lesson.outputs[output], worlds) : asked), [lesson, marks, output, worlds, asked]);
  return (
    <section className="pcb-side-section" aria-label="Most probable state">
      <h3>Most probable state (MPE)</h3>
      {!lesson.small && !found && <button type="button" onClick={() => void part.askBest()}>Find it</button>}
      {found && (
        <>
          <p className="pcb-lab-best" data-state={lesson.variables.map((_, v) => valueText(found.state[v])).join(" ")} data-log={found.log} data-exact={found.exact}>
            <span>{stateText(lesson, found.state)}</span> <strong>{exact(found.log)}</strong>
          </p>
          <p className="pcb-muted pcb-sentence">{found.exact ? "✓ " : ""}{found.note}.</p>
        </>
      )}
    </section>
  );
}

function stateText(lesson: Lesson, state: readonly (number | null)[]): string {
  const all = lesson.scope.map((v) => `${lesson.variables[v].name} = ${valueText(state[v])}`);
  return all.slice(0, 10).join(", ") + (all.length > 10 ? `, … (${all.length})` : "");
}

function Drawn({ part, lesson, result }: { part: LabPart; lesson: Lesson; result: Result }) {
  const { samples: drawn, count, seed, marks, output } = useStore(part.store);
  const draw = () => {
    if (lesson.small) part.set({ samples: samplesOf(lesson, marks, lesson.outputs[output], count, seed) });
    else void part.askSamples();
  };
  return (
    <section className="pcb-side-section" aria-label="Samples">
      <h3>Samples</h3>
      <div className="pcb-lab-draw">
        <label><span>Draw</span> <select aria-label="How many samples" value={count} onChange={(event) => part.set({ count: Number(event.currentTarget.value), samples: null })}>{COUNTS.map((n) => <option key={n} value={n}>{n.toLocaleString("en")}</option>)}</select></label>
        <label><span>seed</span> <NumberInput label="Seed" min={0} step={1} value={seed} onText={(text) => part.set({ seed: Math.max(0, Math.floor(Number(text)) || 0), samples: null })} /></label>
        <button type="button" className="pcb-primary" onClick={draw}>Draw</button>
      </div>
      {drawn && <Rows lesson={lesson} drawn={drawn} />}
      {drawn?.counts && result.worlds && <Worlds lesson={lesson} drawn={drawn} result={result} />}
    </section>
  );
}

function Rows({ lesson, drawn }: { lesson: Lesson; drawn: Samples }) {
  return (
    <ol className="pcb-lab-rows" aria-label="The first samples" data-count={drawn.count}>
      {drawn.rows.map((row, i) => <li key={i} data-row={row.map(valueText).join(" ")}><span className="pcb-muted">{i}</span> {stateText(lesson, row)}</li>)}
      {drawn.count > drawn.rows.length && <li className="pcb-muted">… {(drawn.count - drawn.rows.length).toLocaleString("en")} more</li>}
    </ol>
  );
}

/** How often each world came, beside how often it should. */
function Worlds({ lesson, drawn, result }: { lesson: Lesson; drawn: Samples; result: Result }) {
  const { open, states, logs, total } = result.worlds!;
  if (!open.length || logs.length > MOST_LISTED) return null;
  return (
    <table className="pcb-table pcb-lab-worlds" aria-label="Worlds drawn">
      <thead>
        <tr>{open.map((v) => <th key={v} scope="col">{lesson.variables[v].name}</th>)}<th scope="col" className="pcb-number">exact</th><th scope="col" className="pcb-number">drawn</th></tr>
      </thead>
      <tbody>
        {states.map((state, w) => (
          <tr key={w} data-p={Math.exp(logs[w] - total)} data-drawn={drawn.counts![w]}>
            {open.map((v) => <td key={v}>{valueText(state[v])}</td>)}
            <td className="pcb-number">{plain(Math.exp(logs[w] - total))}</td>
            <td className="pcb-number">{plain(drawn.counts![w] / drawn.count)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
