import { expect, test } from "vitest";
import { stands } from "./typed";

test("a text stands while it means the value, however it is written", () => {
  for (const text of ["0.5", "0.50", ".5", "5e-1"]) expect(stands(text, false, 0.5)).toBe(true);
  expect(stands("0.0", false, 0)).toBe(true);
  expect(stands("", false, null)).toBe(true);
});

test("what is half typed stays", () => {
  expect(stands("", true, 0.5)).toBe(true);
});

test("what was not taken is put right", () => {
  expect(stands("99", false, 8)).toBe(false);
  expect(stands("", false, 0)).toBe(false);
  expect(stands("3", false, null)).toBe(false);
});
