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
    <Pane name="images" title="Results" summary={groups[groups.length - 1].title}>
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
      {group.title && <h4>{group.title}</h4>}
      <div className="pcb-images">
        {group.images.map((image, i) => {
          // Small pictures grow by a whole factor, or their pixels would come out uneven.
          const factor = Math.max(1, Math.round(LEAST_SIDE / Math.max(image.width, image.height)));
          return (
            <figure key={i}>
              <img
                src={urls[i]}
                width={factor * image.width}
                height={factor * image.height}
                className={factor > 1 ? "pcb-pixels" : ""}
                alt={image.caption || `${group.title} ${i + 1}`}
              />
              <figcaption>{image.caption}</figcaption>
            </figure>
          );
        })}
      </div>
    </section>
  );
}
