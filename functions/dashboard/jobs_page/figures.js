// The figures above the list, and the states with their counts.

import { STATUSES, address } from "./address.js";
import { get } from "./api.js";
import { $, h, morphChildren } from "./dom.js";
import { NOTHING, duration, money, number, percent } from "./format.js";
import { showsAsOf } from "./shown.js";
import { t } from "./texts.js";

const OLD_AFTER_MS = 15_000;
const SOON_MS = 300;
const STATES = ["", ...STATUSES];

let sums = null;
let dueAt = 0;

/** Something ended: the sums are soon read anew, once for all that end together. */
export const expectFigures = () => (dueAt = Math.min(dueAt, Date.now() + SOON_MS));

export async function readFigures({ ifDue = false } = {}) {
  if (ifDue && Date.now() < dueAt) return;
  const begun = Date.now();
  dueAt = begun + OLD_AFTER_MS; // now: what ends meanwhile brings it forward again
  sums = (await get("/api/jobs/stats")).stats;
  if (!$("jobs").hidden) showsAsOf("figures", begun);
  drawFigures();
}

export function drawFigures() {
  const of = (name, format = number) => (sums === null ? NOTHING : format(sums[name]));
  const hasEnded = sums !== null && sums.completed + sums.failed > 0;
  const figures = {
    total: of("total"),
    waiting: of("pending"),
    working: of("processing"),
    done: of("completed"),
    failed: of("failed"),
    rate: hasEnded ? of("successRate", percent) : NOTHING,
    time: sums?.averageProcessingTime ? of("averageProcessingTime", duration) : NOTHING,
    credits: of("totalCreditsUsed"),
    cost: of("totalCostMicros", money),
  };
  morphChildren($("figures"), Object.entries(figures).map(([name, value]) =>
    h("div", { data: { key: name } }, h("dt", {}, t(`figures.${name}`)), h("dd", {}, value))));
  const current = address.get("status");
  morphChildren($("states"), STATES.map((state) =>
    h("button", { type: "button", data: { do: "status", status: state, key: state }, "aria-pressed": String(state === current) },
      t(`states.${state || "all"}`), state && sums?.[state] ? h("span", {}, number(sums[state])) : null)));
}
