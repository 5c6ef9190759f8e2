import { describe, expect, it } from "vitest";
import { turned } from "./zoom";

const whole = { min: 0, max: 100 };

describe("zoom by keys", () => {
  it("halves about the middle, and doubles back to the whole run", () => {
    const near = turned("+", null, whole)!;
    expect(near).toEqual({ min: 25, max: 75 });
    expect(turned("=", near, whole)).toEqual({ min: 37.5, max: 62.5 });
    expect(turned("-", { min: 37.5, max: 62.5 }, whole)).toEqual(near);
    expect(turned("-", near, whole)).toBeNull();
  });
  it("moves by a quarter and stops at both ends", () => {
    expect(turned("ArrowRight", { min: 25, max: 75 }, whole)).toEqual({ min: 37.5, max: 87.5 });
    expect(turned("ArrowRight", { min: 40, max: 90 }, whole)).toEqual({ min: 50, max: 100 });
    expect(turned("ArrowLeft", { min: 2, max: 10 }, whole)).toEqual({ min: 0, max: 8 });
    expect(turned("ArrowLeft", null, whole)).toBeNull();
  });
  it("keeps a step in sight, and says which keys it does not know", () => {
    let zoom = turned("+", null, whole)!;
    for (let i = 0; i < 20; i++) zoom = turned("+", zoom, whole)!;
    expect(zoom.max - zoom.min).toBe(1);
    expect(turned("0", zoom, whole)).toBeNull();
    expect(turned("Escape", zoom, whole)).toBeNull();
    expect(turned("b", zoom, whole)).toBeUndefined();
  });
});
