// The address says what is looked at: it can be sent to somebody, and Back goes back.

// What Shopify's admin adds, and needs again when its frame is loaded anew. `store`: which one an
// administrator looks at.
const STAYING = ["shop", "host", "embedded", "locale", "store"];

export const FILTERS = [
  "status", "pushStatus", "type", "toolId", "productId", "batchId", "projectId", "agentId", "from", "to", "q",
];
export const NO_FILTERS = Object.fromEntries(FILTERS.map((name) => [name, ""]));

export const STATUSES = ["pending", "processing", "completed", "failed", "cancelled"];
export const PUSH_STATUSES = ["none", "queued", "staging", "processing", "pushed", "failed"];
const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
// A link may come from anybody: what cannot be is as if it were not there.
const CHECKS = {
  status: (word) => STATUSES.includes(word),
  pushStatus: (word) => PUSH_STATUSES.includes(word),
  from: isDay,
  to: isDay,
};
const isGood = (name, value) => FILTERS.includes(name) && value !== "" && (CHECKS[name]?.(value) ?? true);

const parameters = () => new URLSearchParams(location.search);

/** What is looked at, whichever job is open over it. */
function place() {
  const query = parameters();
  query.delete("job");
  return query.toString();
}
let placeShown = place();

export const address = {
  get: (name) => parameters().get(name) ?? "",

  /** Change parameters ("" takes one away). push: a step that Back undoes. */
  set(changes, { push = false } = {}) {
    const query = parameters();
    for (const [name, value] of Object.entries(changes)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const search = query.size ? `?${query}` : "";
    if (search === location.search) return;
    history[push ? "pushState" : "replaceState"](null, "", search || location.pathname);
    placeShown = place();
  },

  /** Tell whether Back or Forward has led elsewhere, and not just to or from a job. */
  hasMoved() {
    const before = placeShown;
    placeShown = place();
    return placeShown !== before;
  },

  /** Return a link that shows this and nothing else. */
  of(wanted) {
    const kept = [...parameters()].filter(([name]) => STAYING.includes(name));
    const asked = Object.entries(wanted).filter(([, value]) => value);
    return `?${new URLSearchParams([...kept, ...asked])}`;
  },

  filters: () => Object.fromEntries([...parameters()].filter(([name, value]) => isGood(name, value))),
};

/** Return the filters as the API takes them: days are the reader's own, the last one included. */
export function conditions() {
  const { from, to, ...rest } = address.filters();
  return { ...rest, from: from && midnight(from, 0), to: to && midnight(to, 1) };
}

function midnight(text, daysLater) {
  const [year, month, dayOfMonth] = text.split("-").map(Number);
  const at = new Date(year, month - 1, dayOfMonth + daysLater);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}
