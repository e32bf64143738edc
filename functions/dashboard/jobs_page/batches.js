// Batches: one tool, many images, counted together.

import { rehearse } from "./act.js";
import { actions } from "./actions.js";
import { address } from "./address.js";
import { get, post } from "./api.js";
import { badge } from "./card.js";
import { confirmed } from "./dialog.js";
import { h, icon, morphChildren, s } from "./dom.js";
import { ago, cost, number } from "./format.js";
import { showsAsOf } from "./shown.js";
import { sayTitle, t } from "./texts.js";
import { follow } from "./tray.js";

const PAGE = 20;
const IDLE_BEATS = 4; // nothing moves: look less often
const TONES = { pending: "wait", processing: "work", completed: "good", partial: "wait", failed: "bad", cancelled: "quiet" };

let frame = null;
let batches = [];
let cursor = null;
let beats = 0;

export async function open(container) {
  const answer = await get("/api/batches", { limit: PAGE });
  batches = answer.batches;
  cursor = answer.nextCursor;
  frame = h("div.frame");
  container.replaceChildren(
    h("div.heading", {}, h("h1", {}, t("batches.title")), h("div.actions", {}, h("button.primary", { type: "button", data: { do: "wizard" } }, icon("plus"), t("batches.new")))),
    frame);
  draw();
}

const isActive = (batch) => batch.status === "pending" || batch.status === "processing";

export async function beat(isAsked) {
  beats += 1;
  if (!isAsked && !batches.some(isActive) && beats % IDLE_BEATS) return;
  const begun = Date.now();
  const { batches: newest } = await get("/api/batches", { limit: PAGE });
  const known = new Set(newest.map((batch) => batch.id));
  batches = [...newest, ...batches.filter((batch) => !known.has(batch.id))];
  showsAsOf("view", begun);
  draw();
}

function draw() {
  if (!batches.length) {
    frame.replaceChildren(h("div.empty", {}, h("div.art", { "aria-hidden": "true" }, icon("cards")), h("h2", {}, t("batches.empty")), h("p", {}, t("batches.emptyWhy"))));
    return;
  }
  morphChildren(frame, [
    h("ul.batches", {}, batches.map(batchCard)),
    h("div.end", { hidden: !cursor }, h("button", { type: "button", data: { do: "moreBatches" } }, t("list.more"))),
  ]);
}

function batchCard(batch) {
  const counts = { done: batch.completedJobs, failed: batch.failedJobs, cancelled: batch.cancelledJobs, open: batch.activeJobs };
  const name = batch.name ?? sayTitle("tools", batch.toolId);
  const act = (action, text) => h("button", { type: "button", data: { do: "batchAct", act: action, id: batch.id, name } }, text);
  const filter = { batchId: batch.id };
  return h("li.batch", { data: { key: batch.id }, "aria-labelledby": `b-${batch.id}` },
    h("div.line", {},
      h("h2", { id: `b-${batch.id}` }, h("a", { href: address.of(filter), data: { do: "filterJobs", filter: JSON.stringify(filter) } }, name)),
      badge({ tone: TONES[batch.status], text: t(`batches.status.${batch.status}`) })),
    h("p.meta", {}, batch.toolName ?? sayTitle("tools", batch.toolId), " · ", t("batches.images", { n: batch.totalJobs }), " · ", ago(batch.createdAt), " · ", cost(batch.totalCreditsUsed, 0)),
    stack(counts, batch.totalJobs, t("progress.label", { name })),
    h("ul.counts", {}, Object.entries(counts).filter(([, count]) => count).map(([kind, count]) => h(`li.${kind}`, {}, h("b", {}, number(count)), " ", t(`batches.count.${kind}`)))),
    h("div.quick", {},
      isActive(batch) ? act("cancel", t("act.cancel")) : null,
      !isActive(batch) && batch.failedJobs ? act("retry", t("batches.retry", { n: batch.failedJobs })) : null,
      batch.completedJobs ? act("archive", t("batches.archive")) : null));
}

/** Draw the counts as one bar of their colours. */
function stack(counts, total, label) {
  let x = 0;
  const parts = Object.entries(counts).filter(([, count]) => count).map(([kind, count]) => {
    const width = (100 * count) / Math.max(1, total);
    x += width;
    return s("rect", { class: kind, x: x - width, width, height: 1 });
  });
  return s("svg", { class: "stack", viewBox: "0 0 100 1", preserveAspectRatio: "none", role: "img", "aria-label": label }, parts);
}

actions.moreBatches = async () => {
  const answer = await get("/api/batches", { limit: PAGE, cursor });
  batches.push(...answer.batches);
  cursor = answer.nextCursor;
  draw();
};

actions.batchAct = async ({ dataset: { act, id, name } }) => {
  const title = `${name}: ${t(`batches.doing.${act}`)}`;
  const path = `/api/batches/${id}/${act}`;
  if (act === "retry") return rehearse(act, { filter: { batchId: id, status: "failed" } }, { start: (once) => post(path, undefined, { once }), title });
  if (act === "cancel" && !(await confirmed(t("batches.cancelTitle", { name }), t("batches.cancelWhy"), t("batches.cancelYes")))) return undefined;
  const { job } = await post(path);
  return follow({ kind: "bulk", id: job.id, title, job });
};
