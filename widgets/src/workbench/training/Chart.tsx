// One uPlot chart. Data changes redraw it in the next frame; a new theme or size makes a new one.

import { useLayoutEffect, useRef, type RefObject } from "react";
import uPlot from "uplot";
import { useFrame, useSize, type Size } from "../hooks";
import type { Palette } from "../theme";
import type { Range } from "./zoom";

export interface Line {
  label: string;
  /** Index into the palette's series colours. */
  color: number;
  values: (number | null | undefined)[];
  /** Fill down to this line (its index), as an area or a band. */
  fillTo?: number;
  /** The outline of a band, faint: one step among thousands is narrower than a pixel, and must be seen. Not in the legend. */
  outline?: boolean;
  /** The ground of a stack is not drawn. */
  hidden?: boolean;
  /** Marks at the values; alone, where there is no line. */
  points?: boolean | "alone";
  /** Lengths of dashes and gaps, in pixels. */
  dash?: number[];
  /** What to call the newest value, where it is not the height of the line (a stack). */
  latest?: number | null;
}

interface Props {
  title: string;
  unit: string;
  /** How sure the numbers are, in a word, and why so, in a sentence. */
  source?: { word: string; reason: string };
  x: (number | null)[];
  lines: Line[];
  /** `apart` is how far the marks of the axis lie from one another. */
  format: (value: number, apart?: number) => string;
  palette: Palette;
  /** Steps in sight. */
  range: Range;
  onZoom: (range: Range | null) => void;
  fromZero?: boolean;
  /** Steps between marks of the axis, where powers of ten are not the natural ones. */
  increments?: number[];
}

const HEIGHT = 168;
const SYNC = "pcbench";

function alpha(color: string, share: number): string {
  return `color-mix(in srgb, ${color} ${100 * share}%, transparent)`;
}

function options(props: Props, size: Size, live: RefObject<Props>): uPlot.Options {
  const { palette, lines, fromZero } = props;
  const axis = { stroke: palette.muted, grid: { stroke: palette.border, width: 1 }, ticks: { show: false }, font: `10px ${palette.font}` };
  return {
    width: size.width,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    scales: {
      x: { time: false, range: () => [live.current.range.min, Math.max(live.current.range.max, live.current.range.min + 1)] },
      y: { range: (_, min, max) => padded(min, max, fromZero ?? false) },
    },
    axes: [
      { ...axis, size: 26, gap: 2 },
      { ...axis, size: 58, gap: 4, ...(props.increments ? { incrs: props.increments } : {}), values: (_, ticks) => ticks.map((tick) => live.current.format(tick, ticks[1] - ticks[0])) },
    ],
    bands: lines.flatMap((line, i) =>
      line.fillTo === undefined
        ? []
        : [{ series: [i + 1, line.fillTo + 1] as [number, number], fill: alpha(palette.series[line.color], 0.28) }],
    ),
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: line.hidden ? "transparent" : line.outline ? alpha(palette.series[line.color], 0.55) : palette.series[line.color],
        width: line.hidden || line.points === "alone" ? 0 : line.outline ? 1 : 1.8,
        dash: line.dash ?? [],
        spanGaps: true,
        points: { show: Boolean(line.points), size: 6, fill: palette.background, stroke: palette.series[line.color] },
      })),
    ],
    hooks: {
      draw: [(u) => publish(u)],
      setSelect: [
        (u) => {
          if (u.select.width < 3) return;
          live.current.onZoom({ min: u.posToVal(u.select.left, "x"), max: u.posToVal(u.select.left + u.select.width, "x") });
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Which steps and heights were drawn: tests wait for them. A chart may be taken away before its last drawing. */
function publish(u: uPlot): void {
  const { x, y } = u.scales;
  Object.assign(u.root.parentElement?.dataset ?? {}, { x: `${x.min} ${x.max}`, y: `${y.min} ${y.max}` });
}

/** Room above and below the curve; a flat curve gets some too, and amounts start at zero. */
function padded(min: number | null, max: number | null, fromZero: boolean): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  if (fromZero) return [0, max > 0 ? 1.08 * max : 1];
  const room = max > min ? 0.07 * (max - min) : Math.max(1e-3, 0.05 * Math.abs(max));
  return [min - room, max + room];
}

export function Chart(props: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const live = useRef(props);
  live.current = props;
  const size = useSize(frame);
  const shape = props.lines.map((line) => line.label).join("|");
  // Before the next frame, which would draw the new lines into the old chart.
  useLayoutEffect(() => {
    if (!frame.current || size.width === 0) return;
    const current = live.current;
    const chart = new uPlot(options(current, size, live), dataOf(current), frame.current);
    chart.over.addEventListener("dblclick", () => live.current.onZoom(null));
    plot.current = chart;
    return () => {
      chart.destroy();
      plot.current = null;
    };
  }, [size.width, props.palette, shape]);
  useFrame(() => plot.current?.setData(dataOf(live.current)));
  const named = props.lines.filter((line) => !line.hidden && !line.outline);
  const latest = named.map((line) => `${line.label} ${lastOf(line, props.format)}`);
  return (
    <figure className="pcb-chart" data-chart={props.title}>
      <figcaption>
        <b>{props.title}</b> <span className="pcb-muted">{props.unit}</span>
        {props.source && <span className={`pcb-sure pcb-sure-${props.source.word}`}>{props.source.word}</span>}
        {named.map((line) => (
          <span key={line.label} className="pcb-key">
            <Swatch line={line} />
            {line.label} <b>{lastOf(line, props.format)}</b>
          </span>
        ))}
      </figcaption>
      {props.lines.length > 0 && <div ref={frame} className="pcb-plot" role="img" aria-label={`${props.title}: ${latest.join(", ")}`} />}
      {props.source && <p className="pcb-muted">{props.source.reason}</p>}
    </figure>
  );
}

/** How a line looks, beside its name. */
export function Swatch({ line }: { line: Pick<Line, "color" | "dash" | "points"> }) {
  const stroke = `var(--pcb-series-${line.color + 1})`;
  return (
    <svg width={line.dash ? 30 : 10} height="10" fill={stroke} stroke={stroke} strokeWidth="2" aria-hidden="true">
      {line.points === "alone" ? <circle cx="5" cy="5" r="3" fill="none" /> : line.dash ? <line y1="5" x2="30" y2="5" strokeDasharray={line.dash.join(" ")} /> : <rect width="10" height="10" rx="2" stroke="none" />}
    </svg>
  );
}

/** The numbers of a chart, in uPlot's order. */
export function dataOf({ x, lines }: Pick<Props, "x" | "lines">): uPlot.AlignedData {
  return [x, ...lines.map((line) => line.values)] as uPlot.AlignedData;
}

function lastOf(line: Line, format: (value: number) => string): string {
  if (line.latest !== undefined) return line.latest === null ? "–" : format(line.latest);
  for (let i = line.values.length - 1; i >= 0; i--) {
    const value = line.values[i];
    if (value != null) return format(value);
  }
  return "–";
}
