// One job in full: pictures, what can be done, its facts, and (for developers) its whole history.

import { agreesToPrice } from "./act.js";
import { actions, attempt } from "./actions.js";
import { address } from "./address.js";
import { ApiError, call, get, post } from "./api.js";
import { actButton, badge, picture, progress } from "./card.js";
import { copy, curl, curlToCreate } from "./curl.js";
import { field, openDialog } from "./dialog.js";
import { h, icon, morphChildren, toast } from "./dom.js";
import { cost, duration, instant, number } from "./format.js";
import { list } from "./job-list.js";
import { parseExactly } from "./json.js";
import { session } from "./session.js";
import { showsAsOf } from "./shown.js";
import { say, t } from "./texts.js";
import { attemptsOf, attemptsTable, entryList } from "./timeline.js";
import { beats } from "./views.js";
import { isActive, isMoving, possible, storeState, titleOf, toolOf, troubles, workState } from "./words.js";

const ENTRIES = 50;
const IDLE_MS = 10_000; // nothing moves: look less often

/** What is open: one at a time. */
let open_ = null;

/** Show a job over the page. isStep: Back closes it, so closing it goes back. */
export async function open(id, { isStep }) {
  if (open_?.id === id) return;
  open_?.dialog.close();
  const content = h("div.sections", {}, h("p.waiting", {}, h("span.spinner"), t("list.loading")));
  const dialog = openDialog(titleFor(list.job(id)), content, { look: "drawer", onclose: () => close(one) });
  const one = { id, isStep, dialog, content, job: null, etag: null, entries: [], cursor: null, dropped: 0, isOnlyEffects: false, askedAt: 0 };
  open_ = one;
  beats.add(beat);
  await beat();
}

const titleFor = (job) => (job ? titleOf(job) : t("job.title"));

function close(one) {
  if (one !== open_) return; // another one was opened in its place
  beats.delete(beat);
  showsAsOf("job", null);
  open_ = null;
  if (address.get("job") !== one.id) return; // the reader has gone elsewhere already
  if (one.isStep) globalThis.history.back();
  else address.set({ job: "" });
}

/** Look again, where it is time to. */
async function beat(isAsked = false) {
  const one = open_;
  if (!one || (!isAsked && one.job && !isMoving(one.job) && Date.now() - one.askedAt < IDLE_MS)) return;
  try {
    await read(one);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (one !== open_) return;
    one.content.replaceChildren(h("div.empty", {}, h("h2", {}, t("job.gone")), h("p", {}, error.message)));
    beats.delete(beat);
    showsAsOf("job", null);
  }
}

/** Read what has changed since the last look. */
async function read(one) {
  const begun = Date.now();
  const path = `/api/jobs/${one.id}`;
  const [answer, logs] = await Promise.all([
    call("GET", path, { etag: one.etag }),
    get(`${path}/logs`, { limit: ENTRIES }),
  ]);
  if (one !== open_) return;
  if (answer.status !== 304) {
    one.job = answer.body.job;
    one.etag = answer.headers.get("etag");
    list.put(one.job);
  }
  // The newest page is read again; older ones that were asked for stay.
  const known = new Set(logs.logs.map((entry) => entry.id));
  const older = one.entries.filter((entry) => !known.has(entry.id));
  if (!older.length) one.cursor = logs.nextCursor;
  one.entries = [...logs.logs, ...older];
  one.dropped = logs.dropped;
  one.askedAt = begun;
  showsAsOf("job", begun);
  draw();
}

/** Look now: something was done to it. */
function lookAgain() {
  return attempt(() => beat(true));
}

function draw() {
  const { dialog, content, job } = open_;
  dialog.querySelector("h2").textContent = titleOf(job);
  morphChildren(content, [overview(job), facts(job), history(), developer(job), session.isAdmin && adminTools(job)].filter(Boolean));
}

// ---- for everybody

function overview(job) {
  const states = [workState(job), storeState(job)].filter(Boolean);
  return h("section.overview", {},
    h("div.picture.whole", {}, picture(job)),
    h("p.badges", {}, states.map(badge)),
    job.status === "processing" && progress(job),
    troubles(job).map(({ problem, advice }) => h("p.trouble", {}, problem, " ", h("span", {}, advice))),
    h("div.quick", { data: { key: "quick" } }, possible(job).map((name) => actButton(name, job))),
    job.outputs.length > 1 && h("ul.outputs", {}, job.outputs.map((output) => outputTile(job, output))));
}

const outputTile = (job, output) =>
  h("li", {},
    output.url ? h("img", { src: output.url, alt: t("picture.number", { name: titleOf(job), n: output.index + 1 }), loading: "lazy" }) : h("span.blank", {}, icon("picture")),
    h("small", {}, output.width ? `${output.width} × ${output.height}` : say("trouble", output.errorCode)));

function facts(job) {
  const link = (filter, text) => h("a", { href: address.of(filter), data: { do: "filterJobs", filter: JSON.stringify(filter) } }, text);
  const productNumber = job.productId?.split("/").at(-1);
  const rows = {
    tool: job.toolId ? link({ toolId: job.toolId }, toolOf(job)) : null,
    product: job.productId && link({ productId: job.productId }, job.productTitle ?? productNumber),
    inShopify: job.productId && h("a", { href: `https://${job.shop}/admin/products/${productNumber}`, target: "_blank", rel: "noreferrer" }, t("job.openInShopify")),
    name: job.name,
    description: job.description,
    acceptanceCriteria: job.acceptanceCriteria,
    altText: job.altText,
    batch: job.batchId && link({ batchId: job.batchId }, job.batchId),
    project: job.projectId && link({ projectId: job.projectId }, job.projectId),
    priority: job.priority === "normal" ? null : say("priority", job.priority),
    created: instant(job.createdAt),
    started: job.startedAt && instant(job.startedAt),
    ended: job.completedAt && instant(job.completedAt),
    took: job.durationMs !== null ? duration(job.durationMs) : null,
    counts: job.total !== null && t("job.countsOf", { done: number(job.successful ?? job.processed ?? 0), failed: number(job.failed ?? 0), all: number(job.total) }),
    cost: isActive(job) && job.attempt === 1 ? null : cost(job.creditsUsed, job.costMicros),
    tries: job.attempt > 1 ? number(job.attempt) : null,
    shop: session.isAdmin ? job.shop : null,
  };
  const given = Object.entries(rows).filter(([, value]) => value);
  return h("section", {}, h("h3", {}, t("job.facts")), h("dl.facts", {}, given.map(([name, value]) => h("div", {}, h("dt", {}, t(`job.${name}`)), h("dd", {}, value)))));
}

// ---- for developers

function history() {
  const { job, entries, cursor, dropped, isOnlyEffects } = open_;
  const attempts = attemptsOf(job, entries);
  return h("section", {},
    h("h3", {}, t("timeline.title")),
    attempts.length > 1 && attemptsTable(attempts),
    h("label.check", {}, h("input", { type: "checkbox", checked: isOnlyEffects, data: { do: "onlyEffects" } }), " ", t("timeline.onlyEffects")),
    entryList(job, entries, { isOnlyEffects }),
    cursor && h("button", { type: "button", data: { do: "olderEntries" } }, t("timeline.older")),
    dropped > 0 && h("p.note", {}, t("timeline.dropped", { n: dropped })));
}

function developer(job) {
  const path = `/api/jobs/${job.id}`;
  const calls = {
    read: curl("GET", path),
    logs: curl("GET", `${path}/logs`),
    ...(possible(job).includes("retry") ? { retry: curl("POST", "/api/jobs/retry", { jobId: job.id }) } : {}),
    again: curlToCreate(job),
  };
  const ids = { id: job.id, provider: job.provider, providerJobId: job.providerJobId, type: job.type, nativeStatus: job.nativeStatus, errorCode: job.errorCode, pushErrorCode: job.pushErrorCode, mediaId: job.shopifyMediaId, agentId: job.agentId, templateId: job.templateId };
  const known = Object.entries(ids).filter(([, value]) => value !== null);
  const documents = ["parameters", "metadata", "result"].filter((name) => job[name] && Object.keys(job[name]).length);
  return h("section", {},
    h("h3", {}, t("job.developer")),
    h("dl.facts.mono", {}, known.map(([name, value]) => h("div", {}, h("dt", {}, t(`job.${name}`)), h("dd", {}, value)))),
    documents.map((name) => h("details", { data: { key: name } }, h("summary", {}, t(`job.${name}`)), h("pre.code", { tabindex: 0 }, JSON.stringify(job[name], null, 2)))),
    h("p.quick", {}, Object.entries(calls).map(([name, line]) => h("button", { type: "button", data: { do: "copyCurl", curl: line } }, t(`curl.${name}`)))));
}

actions.copyCurl = (button) => copy(button.dataset.curl);
actions.onlyEffects = (box) => {
  open_.isOnlyEffects = box.checked;
  draw();
};
actions.olderEntries = async () => {
  const one = open_;
  const { logs, nextCursor } = await get(`/api/jobs/${one.id}/logs`, { limit: ENTRIES, cursor: one.cursor });
  one.entries.push(...logs);
  one.cursor = nextCursor;
  draw();
};

// ---- for administrators

function adminTools(job) {
  const can = {
    resubmit: job.status === "failed" || job.status === "cancelled",
    complete: job.status !== "completed",
    reassign: job.provider === "worker" && job.status !== "completed" && job.status !== "processing",
  };
  const names = Object.keys(can).filter((name) => can[name]);
  if (!names.length) return null;
  return h("section", {}, h("h3", {}, t("admin.tools")), h("p.quick", {}, names.map((name) => h("button", { type: "button", data: { do: "adminAct", act: name } }, t(`admin.${name}`)))));
}

actions.adminAct = async ({ dataset: { act } }) => {
  const { id } = open_;
  if (act === "resubmit") return (await agreesToPrice(open_.job)) && changed(await post(`/api/admin/jobs/${id}/resubmit`));
  const form = await { complete: completeForm, reassign: reassignForm }[act]();
  const dialog = openDialog(t(`admin.${act}`), h("form", { onsubmit: (event) => attempt(() => send(event)) }, form, h("div.foot", {}, h("button.primary", { type: "submit" }, t(`admin.${act}`)))));
  async function send(event) {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    const body = act === "complete" ? { result: resultIn(values.result) } : values;
    if (body.result === null) return toast(t("errors.notJson"), { isProblem: true });
    changed(await post(`/api/admin/jobs/${id}/${act}`, body));
    dialog.close();
    return undefined;
  }
  return undefined;
};

function resultIn(text) {
  try {
    return parseExactly(text);
  } catch {
    return null;
  }
}

const completeForm = () => field(t("admin.result"), h("textarea.code", { name: "result", rows: 6, required: true, value: "{}" }), t("admin.resultHint"));

async function reassignForm() {
  const { agents } = await get("/api/admin/agents");
  const options = agents.filter((agent) => agent.isActive).map((agent) => h("option", { value: agent.id }, agent.name));
  return field(t("admin.agent"), h("select", { name: "agentId", required: true }, options));
}

function changed({ job }) {
  toast(t("done.changed"));
  list.put(job);
  return lookAgain();
}

addEventListener("job-changed", ({ detail }) => open_?.id === detail.id && lookAgain());
addEventListener("job-gone", ({ detail }) => open_?.id === detail && open_.dialog.close());
