// What happened to a job, entry by entry, and its attempts side by side.

import { getIfThere } from "./api.js";
import { h } from "./dom.js";
import { date, duration, instant, number, stamp } from "./format.js";
import { say, t } from "./texts.js";

const EFFECTIVE = ["applied", "progressed", "noted"];

/** Draw the timeline, newest first. */
export function entryList(job, entries, { isOnlyEffects }) {
  const rows = [];
  let lastDay = null;
  entries.forEach((entry, at) => {
    if (isOnlyEffects && !EFFECTIVE.includes(entry.outcome)) return;
    const day = date(entry.at);
    if (day !== lastDay) rows.push(h("li.day", { data: { key: day } }, day));
    lastDay = day;
    rows.push(entryRow(job, entry, entries[at + 1]));
  });
  return h("ol.timeline", { "aria-label": t("timeline.title"), data: { key: "timeline" } }, rows);
}

function entryRow(job, entry, before) {
  const isEffective = EFFECTIVE.includes(entry.outcome);
  const delay = before ? new Date(entry.at) - new Date(before.at) : null;
  const move = entry.to && entry.to !== entry.from ? `${entry.from ? `${say("states", entry.from)} → ` : ""}${say("states", entry.to)}` : "";
  const raw = entry.hasBody || entry.hasPayload;
  return h(isEffective ? "li.entry" : "li.entry.idle", { data: { key: entry.id, to: isEffective ? (entry.to ?? "") : "" } },
    h("time", { datetime: entry.at, title: instant(entry.at) }, stamp(entry.at), h("small", {}, delay === null ? "" : `+${duration(delay)}`)),
    h("div", {},
      h("p", {}, h("b", {}, say("source", entry.source)), entry.attempt > 1 && h("span.chip-small", {}, t("timeline.attempt", { n: entry.attempt })),
        entry.proof && h("span.chip-small", { title: t("timeline.proof") }, say("proof", entry.proof)),
        !isEffective && h("span.chip-small.warn", {}, say("outcome", entry.outcome)),
        move && h("span.move", {}, move)),
      h("p.says", {}, entry.message, entry.nativeStatus && h("code", {}, entry.nativeStatus), entry.actor && h("small", {}, ` ${entry.actor}`)),
      entry.receivedAt && h("p.says", {}, t("timeline.received", { at: instant(entry.receivedAt) })),
      raw && h("raw-payload", { path: `/api/jobs/${job.id}/logs/${encodeURIComponent(entry.id)}` })));
}

/** <raw-payload path>: what was really sent, fetched when somebody wants to see it. */
class RawPayload extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    const details = h("details", {}, h("summary", {}, t("timeline.raw")));
    details.addEventListener("toggle", () => this.#fetch(details), { once: true });
    this.append(details);
  }

  async #fetch(details) {
    const place = h("p.waiting", {}, h("span.spinner"));
    details.append(place);
    const answer = await getIfThere(this.getAttribute("path")).catch((error) => ({ error }));
    if (!answer || answer.error) {
      place.replaceWith(h("p.note", {}, answer?.error?.message ?? t("timeline.noRaw")));
      return;
    }
    const texts = [answer.body, answer.request && JSON.stringify(answer.request, null, 2), answer.response && JSON.stringify(answer.response, null, 2)];
    place.replaceWith(...texts.filter(Boolean).map((text) => h("pre.code", { tabindex: 0 }, indented(text))));
  }
}
customElements.define("raw-payload", RawPayload);

/**
 * Indent JSON without reading it: parsing would round integers beyond 2^53. Any other text comes
 * back as it is.
 */
export function indented(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let depth = 0;
  let written = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, at) => {
    if (token === "{" || token === "[") {
      depth += 1;
      written += token + (/[}\]]/.test(tokens[at + 1]) ? "" : line());
    } else if (token === "}" || token === "]") {
      depth = Math.max(0, depth - 1);
      written += (/[{[]/.test(tokens[at - 1]) ? "" : line()) + token;
    } else if (token === ",") {
      written += token + line();
    } else {
      written += token === ":" ? ": " : token;
    }
  });
  return written;
}

/** Sum up what the timeline says of each attempt, the first one first. */
export function attemptsOf(job, entries) {
  const attempts = new Map();
  for (const entry of entries.toReversed()) {
    if (!entry.attempt) continue;
    const one = attempts.get(entry.attempt) ?? { number: entry.attempt, from: entry.at, status: "pending", events: 0, idle: 0, problem: "" };
    one.to = entry.at;
    one.events += 1;
    if (!EFFECTIVE.includes(entry.outcome)) one.idle += 1;
    else if (entry.to) {
      one.status = entry.to;
      one.endedAt = ["completed", "failed", "cancelled"].includes(entry.to) ? entry.at : null;
      one.problem = entry.to === "failed" ? entry.message : "";
    }
    attempts.set(entry.attempt, one);
  }
  return [...attempts.values()];
}

/** Put attempts side by side. */
export function attemptsTable(attempts) {
  const rows = {
    status: (one) => say("states", one.status),
    began: (one) => instant(one.from),
    took: (one) => (one.endedAt ? duration(new Date(one.endedAt) - new Date(one.from)) : "–"),
    events: (one) => number(one.events),
    idle: (one) => number(one.idle),
    problem: (one) => one.problem || "–",
  };
  return h("div.scroller.attempts", { data: { key: "attempts" }, tabindex: 0, role: "region", "aria-label": t("attempts.title") }, h("table", {},
    h("thead", {}, h("tr", {}, h("td"), attempts.map((one) => h("th", { scope: "col" }, t("timeline.attempt", { n: one.number }))))),
    h("tbody", {}, Object.entries(rows).map(([name, show]) => h("tr", {}, h("th", { scope: "row" }, t(`attempts.${name}`)), attempts.map((one) => h("td", {}, show(one))))))));
}
