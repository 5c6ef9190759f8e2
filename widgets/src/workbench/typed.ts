/** Whether a field's text may stand for a value: it means it, or is on its way to a number (“-”, “1e”). */
export function stands(text: string, unfinished: boolean, value: number | null): boolean {
  if (unfinished) return true;
  return text.trim() === "" ? value === null : value !== null && Number(text) === value;
}
