// What time it is by the service's clock. The reader's own may be wrong by hours.

// A header tells whole seconds, and an answer is under way for a while.
const TOLERANCE_MS = 10_000;

let ahead = 0;

/** Return the instant in milliseconds, comparable with those of the API. */
export const now = () => Date.now() + ahead;

/** Learn from an answer's `date` header. */
export function hear(date) {
  const difference = Date.parse(date ?? "") - Date.now();
  if (Number.isNaN(difference)) return;
  ahead = Math.abs(difference) < TOLERANCE_MS ? 0 : difference;
}
