// As of when what is shown is true: the page never claims to be younger than its oldest part.

const parts = new Map();

/** Note that a part of the page shows what was true at an instant (milliseconds); null: no more. */
export function showsAsOf(part, at) {
  if (at === null) parts.delete(part);
  else parts.set(part, at);
}

/** Return the instant of the oldest part, or null where nothing is shown yet. */
export const asOf = () => (parts.size ? Math.min(...parts.values()) : null);
