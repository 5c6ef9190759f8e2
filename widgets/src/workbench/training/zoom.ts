// Which steps all charts show: pure, so that keys and pointer share it.

export interface Range {
  min: number;
  max: number;
}

/** Steps that stay in sight at least. */
const LEAST = 1;

/** What a key makes of the range in sight; null is the whole run, undefined a key that means nothing here. */
export function turned(key: string, zoom: Range | null, whole: Range): Range | null | undefined {
  const { min, max } = zoom ?? whole;
  const width = max - min;
  switch (key) {
    case "+":
    case "=":
      return inside(min + width / 4, Math.max(LEAST, width / 2), whole);
    case "-":
      return inside(min - width / 2, 2 * width, whole);
    case "ArrowLeft":
      return zoom && inside(min - width / 4, width, whole);
    case "ArrowRight":
      return zoom && inside(min + width / 4, width, whole);
    case "0":
    case "Escape":
      return null;
  }
}

/** A range of this width that stays within the whole run, which is no zoom at all. */
function inside(min: number, width: number, whole: Range): Range | null {
  if (width >= whole.max - whole.min) return null;
  const left = Math.min(Math.max(min, whole.min), whole.max - width);
  return { min: left, max: left + width };
}
