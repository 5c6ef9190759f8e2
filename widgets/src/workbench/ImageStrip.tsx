// Pictures that Python pushed: samples, filled-in digits, most probable completions.

import { useEffect, useMemo } from "react";
import { useStore } from "zustand";
import { Pane } from "./Pane";
import type { ImageGroup } from "./protocol";
import type { Store } from "./store";

const LEAST_SIDE = 84;

export function ImageStrip({ store }: { store: Store }) {
  const groups = useStore(store, (s) => s.images);
  if (groups.length === 0) return null;
  return (
    <Pane name="images" title="Answers" listed summary={groups[groups.length - 1].title}>
      <div className="pcb-groups">
        {[...groups].reverse().map((group) => (
          <Group key={group.id} group={group} />
        ))}
      </div>
    </Pane>
  );
}

function Group({ group }: { group: ImageGroup }) {
  const urls = useMemo(
    () => group.images.map((image) => URL.createObjectURL(new Blob([image.png], { type: "image/png" }))),
    [group],
  );
  useEffect(() => () => urls.forEach((url) => URL.revokeObjectURL(url)), [urls]);
  return (
    <section aria-label={group.title} data-group={group.id}>
      {group.title && <h3>{group.title}</h3>}
      {rowsOf(group).map((row) => (
        <div key={row.from} className="pcb-images">
          {row.shared !== null && <b className="pcb-row-name">{row.shared}</b>}
          {group.images.slice(row.from, row.to).map((image, i) => (
            <Picture key={i} image={image} url={urls[row.from + i]} titled={row.shared === null} />
          ))}
        </div>
      ))}
    </section>
  );
}

interface Row {
  from: number;
  to: number;
  /** The caption of all pictures of the row, told once. */
  shared: string | null;
}

/** Pictures in turn with the same caption (all "given", all "drawn") stand in one row, one kind beneath the other. */
export function rowsOf(group: ImageGroup): Row[] {
  const rows: Row[] = [];
  group.images.forEach((image, i) => {
    const last = rows[rows.length - 1];
    if (last && last.shared === image.caption) last.to = i + 1;
    else rows.push({ from: i, to: i + 1, shared: image.caption });
  });
  const grouped = rows.length < group.images.length && rows.every((row) => row.shared);
  return grouped ? rows : [{ from: 0, to: group.images.length, shared: null }];
}

function Picture({ image, url, titled }: { image: ImageGroup["images"][number]; url: string; titled: boolean }) {
  // Small pictures grow by a whole factor, or their pixels would come out uneven.
  const factor = Math.max(1, Math.round(LEAST_SIDE / Math.max(image.width, image.height)));
  return (
    <figure>
      <img
        src={url}
        width={factor * image.width}
        height={factor * image.height}
        className={factor > 1 ? "pcb-pixels" : ""}
        alt={image.caption || "picture"}
      />
      {titled && image.caption && <figcaption>{image.caption}</figcaption>}
    </figure>
  );
}
