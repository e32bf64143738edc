// Work that the reader began: bulk jobs, batches, files that are being written. Each shows its
// progress at the bottom of the window until it is put away, and says when it is over.

import { actions } from "./actions.js";
import { ApiError, get, post } from "./api.js";
import { progressBar } from "./card.js";
import { $, h, icon, morphChildren, toast } from "./dom.js";
import { number } from "./format.js";
import { list } from "./job-list.js";
import { memory } from "./session.js";
import { t } from "./texts.js";
import { beats } from "./views.js";
import { isPushing, refusal, workState } from "./words.js";

const QUIET_LOOK_MS = 15_000;
const ENDED = ["completed", "failed", "cancelled", "partial"];

/** Each: { kind: "job" | "bulk" | "batch", id, title, now }. `now` is its last answer. */
const followed = new Map(read().map((each) => [each.id, each]));

function read() {
  try {
    return JSON.parse(memory.get("followed") ?? "[]");
  } catch {
    return [];
  }
}

function keep() {
  memory.set("followed", JSON.stringify([...followed.values()].map(({ kind, id, title }) => ({ kind, id, title }))));
}

/** Follow something until it has ended. */
export function follow({ kind, id, title, job = null, batch = null }) {
  followed.set(id, { kind, id, title, now: job ?? batch });
  keep();
  draw();
  if (kind !== "job") dispatchEvent(new CustomEvent("look-now"));
}

/** A button that asks to be told when something has ended; null where that is settled. */
export function tellMe(look = "button") {
  if (globalThis.Notification?.permission !== "default") return null;
  return h(look, { type: "button", data: { do: "askToNotify" } }, t("tray.tellMe"));
}

const isOver = ({ now }) => now && ENDED.includes(now.status) && !isPushing(now);

async function look() {
  for (const each of [...followed.values()].filter((one) => !isOver(one))) {
    await lookAt(each);
  }
  draw();
}

async function lookAt(each) {
  try {
    const body = await get(each.kind === "batch" ? `/api/batches/${each.id}` : `/api/jobs/${each.id}`);
    each.now = body.job ?? body.batch;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    followed.delete(each.id); // deleted, or another shop's
    keep();
    return;
  }
  if (!isOver(each)) return;
  announce(each);
  if (each.kind === "job") followed.delete(each.id);
  keep();
  if (!$("jobs").hidden) await list.beat();
}

function announce(each) {
  if (each.isTold) return;
  each.isTold = true;
  const text = each.kind === "job" ? workState(each.now).text : summary(each);
  const isUnseen = document.hidden || !document.hasFocus();
  if (isUnseen && notify(each, text)) return;
  if (each.kind !== "job") toast(`${each.title}: ${text}`);
}

/** Show a notification of the browser's; tells whether it could be. */
function notify({ title, id }, body) {
  if (globalThis.Notification?.permission !== "granted") return false;
  try {
    new Notification(title, { body, tag: id }).onclick = () => globalThis.focus();
    return true;
  } catch {
    return false; // phones take notifications from service workers only
  }
}

/** Say in a line how something stands. */
function summary({ kind, now }) {
  if (!now) return t("tray.starting");
  if (kind === "batch") return t("tray.batch", { done: number(now.completedJobs), all: number(now.totalJobs), failed: number(now.failedJobs) });
  const [done, left] = [now.successful ?? 0, now.failed ?? 0];
  if (now.status === "pending") return t("tray.starting");
  return left ? t("tray.doneAndLeft", { done: number(done), left: number(left) }) : t("tray.done", { n: Number(done), done: number(done) });
}

function draw() {
  const shown = [...followed.values()].filter((each) => each.kind !== "job");
  morphChildren($("tray"), shown.map(workCard));
}

/** Name what a bulk job does as the page does: "bulk.undo-push" is "undo". */
const actOf = ({ type }) => type?.replace(/^bulk\.|-push$/g, "") ?? "";

function workCard(each) {
  const { now } = each;
  const over = isOver(each);
  const refused = now?.result?.refused ?? [];
  const url = now?.result?.url;
  return h("section.followed", { "aria-label": each.title, data: { key: each.id, status: now?.status ?? "pending" } },
    h("div.line", {}, h("strong", {}, each.title), h("span", {}, summary(each)),
      h("button.icon", { type: "button", data: { do: "putAway", id: each.id }, "aria-label": t("tray.putAway") }, icon("close"))),
    over ? null : progressBar(now?.progress ?? 0, each.title),
    now?.status === "failed" && now.errorMessage ? h("p.trouble", {}, now.errorMessage) : null,
    refused.length ? h("p.why", {}, refused.map(({ code, count }) => `${number(count)} ${refusal(code, actOf(now))}`).join(" · ")) : null,
    h("div.line", {},
      over ? null : h("button.plain", { type: "button", data: { do: "stopWork", id: each.id } }, t("tray.stop")),
      over ? null : tellMe("button.plain"),
      url ? h("a.button", { href: url, rel: "noreferrer", download: "" }, icon("download"), t("act.download")) : null,
      each.kind === "batch" ? h("a", { href: "?", data: { do: "filterJobs", filter: JSON.stringify({ batchId: each.id }) } }, t("batches.see")) : null));
}

actions.putAway = (button) => {
  followed.delete(button.dataset.id);
  keep();
  draw();
};
actions.stopWork = async ({ dataset: { id } }) => {
  const { kind } = followed.get(id);
  await post(kind === "batch" ? `/api/batches/${id}/cancel` : "/api/jobs/cancel", kind === "batch" ? undefined : { jobId: id });
  await look();
};
actions.askToNotify = async () => {
  await Notification.requestPermission();
  draw();
};

beats.add(look);
draw();
// With the session what it had begun was forgotten. Here it goes on: the same shop has signed in.
addEventListener("signed-in", keep);

// While nobody sees the page the pulse rests; who asked to be told is told all the same.
setInterval(async () => {
  const isWanted = document.hidden && globalThis.Notification?.permission === "granted" && followed.size > 0;
  if (isWanted) await look().catch(() => {});
}, QUIET_LOOK_MS);
