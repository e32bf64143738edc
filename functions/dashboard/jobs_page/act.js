// Doing something with one job, or with many: menu, actions, dry run.

import { attempt, whileOff } from "./actions.js";
import { conditions } from "./address.js";
import { call, get, post } from "./api.js";
import { copy, curl } from "./curl.js";
import { confirmed, openDialog } from "./dialog.js";
import { $, h, toast } from "./dom.js";
import { cost, number } from "./format.js";
import { list } from "./job-list.js";
import { t } from "./texts.js";
import { follow } from "./tray.js";
import { openJob } from "./views.js";
import { isWork, possible, refusal, titleOf } from "./words.js";

const PATHS = {
  retry: "/api/jobs/retry",
  push: "/api/jobs/push-to-shopify",
  undo: "/api/jobs/undo-push",
  sync: "/api/jobs/sync",
  cancel: "/api/jobs/cancel",
  delete: "/api/jobs/delete",
};
const DANGEROUS = ["delete", "undo", "cancel"];
const MOST_IDS = 1_000;
const MOST_READ = 100; // by their ids at once
const MOST_DOWNLOADS = 20;

const busy = new Set();

// ---- one job

/** Do something to one job, at once. */
export async function act(name, id) {
  const job = list.job(id) ?? (await get(`/api/jobs/${id}`)).job;
  if (name === "download") return download(job);
  if (name === "delete") return deleteOne(job);
  if (!possible(job).includes(name)) return toast(t(`cannot.${name}`), { isProblem: true });
  if (busy.has(id)) return undefined; // a key that is held down, a second click
  busy.add(id);
  try {
    if (name === "retry" && !(await agreesToPrice(job))) return undefined;
    await doIt(name, id);
  } finally {
    busy.delete(id);
  }
  return undefined;
}

async function doIt(name, id) {
  const isByKeyboard = document.activeElement.matches(".job :focus-visible");
  enable(id, false);
  try {
    const { job: after, notice } = await post(PATHS[name], { jobId: id });
    showChanged(after);
    follow({ kind: "job", id, title: titleOf(after) });
    toast(notice ?? t(resultOf(name, after), { name: titleOf(after) }));
  } finally {
    enable(id, true);
  }
  // The button that was pressed has gone, or was off for a while: the keyboard stays at its job.
  if (isByKeyboard && document.activeElement === document.body) list.focusOn(id);
}

/** Say what another attempt costs, unless it is free, before it is begun; tells whether to begin it. */
export async function agreesToPrice(job) {
  const forecast = await post(PATHS.retry, { jobIds: [job.id], dryRun: true }, { once: null });
  // What is refused is asked for all the same: the answer says why, in a sentence.
  if (!forecast.eligible || (isWork(job) && isFree(forecast))) return true;
  return confirmed(t("retry.title", { name: titleOf(job) }), price(forecast), t("act.retry"), { look: "button.primary", isReady: true });
}

const isFree = ({ credits, costMicros }) => Number(credits) === 0 && Number(costMicros) === 0;

/** Say what retries are expected to cost; of a provider's, nothing means that nobody knows. */
const price = (forecast, isForFree = false) =>
  h("p.price", {}, t("dry.price"), " ",
    h("strong", {}, isFree(forecast) && !isForFree ? t("dry.unknownPrice") : cost(forecast.credits, forecast.costMicros)),
    h("small", {}, t(isFree(forecast) && !isForFree ? "wizard.unknownNote" : "dry.priceNote")));

function resultOf(name, job) {
  if (name === "push" && job.pushStatus === "pushed") return "done.pushed";
  if (name === "undo" && job.pushStatus === "none") return "done.undone";
  return `done.${name}`;
}

/** Tell every place that shows the job. */
function showChanged(job) {
  list.put(job);
  dispatchEvent(new CustomEvent("job-changed", { detail: job }));
}

function enable(id, isOn) {
  for (const button of document.querySelectorAll(`[data-do=act][data-id="${CSS.escape(id)}"]`)) button.disabled = !isOn;
}

async function deleteOne(job) {
  if (!(await confirmed(t("delete.title", { name: titleOf(job) }), t("delete.why"), t("act.delete")))) return;
  await call("DELETE", `/api/jobs/${job.id}`);
  list.remove([job.id]);
  dispatchEvent(new CustomEvent("job-gone", { detail: job.id }));
  toast(t("done.delete", { name: titleOf(job) }));
}

/** Save a job's results as files. */
async function download(job) {
  for (const { index } of job.outputs.filter((output) => output.url)) {
    const { url } = await get(`/api/jobs/${job.id}/output`, { index, link: 1 });
    // The link says that it is to be saved, and under which name.
    h("a", { href: url, rel: "noreferrer", download: "" }).click();
  }
}

// ---- the menu of a job

export function openMenu(button, id) {
  const job = list.job(id);
  const item = (label, run, look = "") =>
    h(`button${look}`, { type: "button", role: "menuitem", tabindex: -1, onclick: () => (menu.hidePopover(), attempt(run)) }, label);
  const menu = h("div.menu", { popover: "auto", role: "menu", "aria-label": t("act.more", { name: titleOf(job) }) },
    item(t("act.open"), () => openJob(id)),
    possible(job).filter((name) => name !== "delete").map((name) => item(t(`act.${name}`), () => act(name, id))),
    item(t("act.curl"), () => copy(curl("GET", `/api/jobs/${id}`))),
    possible(job).includes("delete") && item(t("act.delete"), () => act("delete", id), ".danger"));
  $("main").append(menu); // within a landmark; the browser shows it on top of all anyway
  menu.addEventListener("toggle", ({ newState }) => {
    if (newState === "open") return;
    menu.remove();
    button.focus();
  });
  menu.addEventListener("keydown", moveInMenu);
  menu.showPopover();
  place(menu, button);
  menu.firstElementChild.focus();
}

function place(menu, button) {
  const [at, size] = [button.getBoundingClientRect(), menu.getBoundingClientRect()];
  const isLow = at.bottom + size.height + 8 > innerHeight && at.top > size.height;
  menu.style.top = `${isLow ? at.top - size.height - 4 : at.bottom + 4}px`;
  menu.style.left = `${Math.max(8, at.right - size.width)}px`;
}

function moveInMenu(event) {
  const items = [...event.currentTarget.children];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length].focus();
}

// ---- many jobs

/** Do something to the selection: first say what it would do, then do it as a bulk job. */
export async function bulk(name) {
  if (name === "download") return downloadMany();
  const isTooMany = !list.isWhole && list.selected.size > MOST_IDS;
  if (isTooMany) return toast(t("cannot.bulkMany", { n: MOST_IDS }), { isProblem: true });
  const wish = list.isWhole ? { filter: filterNow() } : { jobIds: [...list.selected] };
  await rehearse(name, wish);
  return undefined;
}

const filterNow = () => Object.fromEntries(Object.entries(conditions()).filter(([, value]) => value));

/**
 * Say what an action would do to many jobs, and do it when the reader agrees.
 *
 * start: begins it; told the name under which it is done once, it returns the bulk job's answer.
 */
export async function rehearse(name, wish, { start = (once) => post(PATHS[name], wish, { once }), title = t(`dry.doing.${name}`) } = {}) {
  const content = h("div", { "aria-live": "polite" }, h("p.waiting", {}, h("span.spinner"), t("dry.looking")));
  const dialog = openDialog(t(`dry.title.${name}`), content);
  try {
    const forecast = await post(PATHS[name], { ...wish, dryRun: true }, { once: null });
    const isForFree = wish.jobIds?.every((id) => list.job(id) && isWork(list.job(id)));
    content.replaceChildren(...forecastOf(name, forecast, isForFree), buttons(name, forecast, dialog, { start, title }));
  } catch (error) {
    dialog.close();
    throw error;
  }
}

function forecastOf(name, { matched, eligible, refused, credits, costMicros, complete }, isForFree) {
  const reasons = refused.map(({ code, count }) => h("li", {}, h("b", {}, number(count)), " ", refusal(code, name)));
  return [
    h("p.lead", {}, t(eligible ? `dry.will.${name}` : "dry.nothing", { n: eligible }), eligible && eligible < matched ? ` ${t("dry.of", { n: matched })}` : ""),
    reasons.length ? h("div.refused", {}, h("h3", {}, t("dry.refused")), h("ul", {}, reasons)) : null,
    name === "retry" && eligible ? price({ credits, costMicros }, isForFree) : null,
    name === "cancel" && eligible ? h("p.note", {}, t("dry.cancelNote")) : null,
    complete ? null : h("p.note", {}, t("dry.incomplete")),
  ].filter(Boolean);
}

function buttons(name, { eligible, complete }, dialog, { start, title }) {
  const isEmpty = eligible === 0 && complete;
  const look = DANGEROUS.includes(name) ? "button.danger" : "button.primary";
  const once = crypto.randomUUID();
  const go = async (event) => {
    const { job } = await whileOff(event.target, () => start(once));
    dialog.close();
    list.pickNone();
    follow({ kind: "bulk", id: job.id, title, job });
  };
  return h("div.foot", {},
    h("button", { type: "button", onclick: () => dialog.close() }, t(isEmpty ? "dialog.close" : "dialog.no")),
    isEmpty ? null : h(look, { type: "button", onclick: (event) => attempt(() => go(event)) }, t(`dry.do.${name}`, { n: eligible })));
}

async function downloadMany() {
  const ids = [...list.selected];
  const further = ids.filter((id) => !list.job(id)).slice(0, MOST_READ); // selected, and not loaded any more
  const others = further.length ? (await get("/api/jobs", { ids: further.join(",") })).jobs : [];
  const jobs = [...ids.map((id) => list.job(id)), ...others].filter((job) => job && possible(job).includes("download"));
  if (!jobs.length) return toast(t("cannot.download"), { isProblem: true });
  if (list.isWhole || jobs.length > MOST_DOWNLOADS) return toast(t("cannot.downloadMany", { n: MOST_DOWNLOADS }), { isProblem: true });
  for (const job of jobs) await download(job);
  return toast(t("done.download", { n: jobs.length }));
}
