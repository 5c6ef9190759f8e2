import { options } from "preact";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";

class Page extends EventTarget {
  event: { type: string } | undefined;
}

const page = new Page();
let rendered: number;

/** Preact asks for a rendering while an event is handled. */
function ask(type: string | null): void {
  page.event = type === null ? undefined : { type };
  options.debounceRendering!(() => void rendered++);
  page.event = undefined;
}

beforeAll(async () => {
  Object.assign(globalThis, { window: page });
  await import("./rendering");
});

beforeEach(() => void (rendered = 0));

describe("what a pointer that moves has led to", () => {
  it("is rendered in a task of its own, once", async () => {
    ask("pointermove");
    await Promise.resolve();
    expect(rendered).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(rendered).toBe(1);
  });

  it("is rendered before the next key or press is handled, whose own comes at its end", async () => {
    for (const next of ["keydown", "pointerdown", "pointerup", "pointermove", "wheel", "input"]) {
      rendered = 0;
      ask("pointermove");
      page.dispatchEvent(new Event("mousemove")); // the same move once more
      expect(rendered).toBe(0);
      page.dispatchEvent(new Event(next));
      expect(rendered, next).toBe(1);
    }
    ask("keydown");
    await Promise.resolve();
    expect(rendered).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(rendered).toBe(2);
  });
});
