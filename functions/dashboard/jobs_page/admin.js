// For administrators: every store's jobs, what came without a job, agents, and how the service is.

import { actions, attempt, forms, whileOff } from "./actions.js";
import { address } from "./address.js";
import { call, get, getIfThere, post } from "./api.js";
import { badge } from "./card.js";
import { confirmed, field, openDialog } from "./dialog.js";
import { h, icon, morphChildren, toast } from "./dom.js";
import { ago, appointment, instant, number } from "./format.js";
import { Reading } from "./reading.js";
import { memory, taste } from "./session.js";
import { showsAsOf } from "./shown.js";
import { knows, say, t } from "./texts.js";
import { storeState, titleOf, toolOf, workState } from "./words.js";

const STORES_KEPT = 12;
const PAGE = 50;

let frame = null;
let reading = null;
let day = "";
const wanted = { jobs: PAGE, quarantine: PAGE };
let shown = null; // what was read last
let service = null; // what others told: the provider, the queues

export async function open(container) {
  frame = h("div.settings");
  day = new Date().toISOString().slice(0, 10);
  Object.assign(wanted, { jobs: PAGE, quarantine: PAGE });
  service = null;
  reading = new Reading(read);
  await reading.now();
  container.replaceChildren(h("div.heading", {}, h("h1", {}, t("admin.title")), reading.place), frame);
}

export const beat = (isAsked) => reading.beat(isAsked);
const readAnew = () => reading.now();

/** Read all panels; what asks others comes when it has answered. */
async function read() {
  attempt(readService);
  const [jobs, { parked }, agents, quarantine] = await Promise.all([
    // Of all stores: with one, the API would list that one's only.
    readPages("/api/admin/jobs", "jobs", { query: { day }, isForAllShops: true }),
    get("/api/admin/parked"),
    address.get("store") ? get("/api/admin/agents") : null,
    readPages("/api/admin/quarantine", "quarantine"),
  ]);
  return () => {
    shown = { jobs, parked, agents: agents?.agents, quarantine };
    draw();
  };
}

/** Read as many as are to be shown; returns the last answer, with all of them in it. */
async function readPages(path, name, { query = {}, ...options } = {}) {
  const found = [];
  let answer;
  do {
    answer = (await call("GET", path, { query: { ...query, limit: PAGE, cursor: answer?.nextCursor }, ...options })).body;
    found.push(...answer[name]);
  } while (answer.nextCursor && found.length < wanted[name]);
  return { ...answer, [name]: found };
}

async function readService() {
  const [begun, place] = [Date.now(), frame];
  const paths = [["/health", { deep: 1 }], ["/api/admin/credits"], ["/api/admin/secrets"]];
  const [health, credits, secrets] = await Promise.all(paths.map(([path, query]) => getIfThere(path, query).catch(() => null)));
  if (place !== frame) return;
  service = { health, credits, secrets };
  if (shown) draw();
  if (frame.isConnected) showsAsOf("service", begun);
}

function draw() {
  const { agents, parked } = shown;
  const panels = [storePanel(), dayPanel(), parkedPanel(parked), quarantinePanel(), agents && agentsPanel(agents), ...servicePanels()];
  // Changed in place: what somebody is writing stays.
  morphChildren(frame, panels.filter(Boolean));
}

const panel = (name, ...content) => h("section.panel", { data: { key: name } }, ...content);

actions.moreOf = async ({ dataset: { list: name } }) => {
  wanted[name] += PAGE;
  await readAnew();
};
const moreButton = (name) => shown[name].nextCursor && h("button", { type: "button", data: { do: "moreOf", list: name } }, t("list.more"));

// ---- choosing a store

const recent = () => JSON.parse(taste.get("stores") ?? "[]");

function storePanel() {
  return panel("store", h("h2", {}, t("admin.choose")), storeForm());
}

function storeForm() {
  const known = [...new Set([...recent(), ...(shown?.jobs.jobs ?? []).map((job) => job.shop)])];
  return h("form.inline", { data: { form: "store" } },
    h("input", { name: "store", required: true, list: "stores", defaultValue: address.get("store"), placeholder: "name.myshopify.com", "aria-label": t("admin.store"), autocomplete: "off", spellcheck: "false" }),
    h("datalist", { id: "stores" }, known.map((store) => h("option", { value: store }))),
    h("button.primary", { type: "submit" }, t("admin.show")));
}

export function chooseShop() {
  openDialog(t("admin.choose"), storeForm());
}

forms.store = (form) => {
  const typed = form.store.value.trim().toLowerCase();
  const store = typed.includes(".") ? typed : `${typed}.myshopify.com`;
  taste.set("stores", JSON.stringify([store, ...recent().filter((each) => each !== store)].slice(0, STORES_KEPT)));
  // Everything of the store before goes with the page, and what was begun there.
  memory.set("followed", null);
  location.assign(`${location.pathname}?store=${encodeURIComponent(store)}`);
};

// ---- all stores' jobs of a day

function dayPanel() {
  const { jobs } = shown.jobs;
  const row = (job) => h("tr", { data: { key: job.id } },
    h("th", { scope: "row" }, h("a", { href: `?store=${job.shop}&job=${job.id}` }, titleOf(job)), h("span.sub", {}, job.shop)),
    h("td", {}, toolOf(job)), h("td", {}, badge(workState(job))), h("td", {}, storeState(job)?.text), h("td", {}, job.errorCode ?? ""), h("td", {}, ago(job.createdAt)));
  const heads = ["title", "tool", "status", "store", "error", "created"];
  return panel("day", h("div.line", {}, h("h2", {}, t("admin.all")), h("input", { type: "date", value: day, "aria-label": t("admin.day"), onchange: (event) => attempt(() => showDay(event.target.value)) })),
    jobs.length
      ? h("div.wide-table", { tabindex: 0, role: "region", "aria-label": t("admin.all") }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, t(`columns.${name}`))))), h("tbody", {}, jobs.map(row))))
      : h("p.note", {}, t("admin.noneThatDay")),
    moreButton("jobs"));
}

async function showDay(chosen) {
  day = chosen || day;
  wanted.jobs = PAGE;
  await readAnew();
}

// ---- deliveries without a job

function parkedPanel(parked) {
  const row = (one) => h("li", { data: { key: `${one.provider} ${one.providerJobId}` } }, h("span", {}, h("b", {}, one.provider), " ", h("code", {}, one.providerJobId), h("small", {}, ago(one.receivedAt), " · ", say("proof", one.proof))),
    h("button.plain", { type: "button", data: { do: "adopt", provider: one.provider, id: one.providerJobId } }, t("admin.adopt")));
  return panel("parked", h("h2", {}, t("admin.parked")), h("p.note", {}, t("admin.parkedNote")),
    parked.length ? h("ul.rows", {}, parked.map(row)) : h("p.note", {}, t("admin.noParked")));
}

actions.adopt = ({ dataset: { provider, id } }) => {
  const fields = ["shop", "toolId", "productId"];
  const dialog = openDialog(t("admin.adopt"), h("form", { onsubmit: (event) => attempt(() => send(event)) },
    h("p", {}, h("b", {}, provider), " ", h("code", {}, id)),
    fields.map((name) => field(t(`admin.field.${name}`), h("input", { name, required: name === "shop", value: name === "shop" ? address.get("store") : "", autocomplete: "off" }))),
    h("div.foot", {}, h("button.primary", { type: "submit" }, t("admin.adopt")))));
  async function send(event) {
    event.preventDefault();
    const given = [...new FormData(event.target)].filter(([, value]) => value.trim());
    await post("/api/admin/parked/adopt", { provider, providerJobId: id, ...Object.fromEntries(given) });
    dialog.close();
    toast(t("done.changed"));
    await readAnew();
  }
};

// ---- deliveries that failed their check

function quarantinePanel() {
  const { quarantine, fullHours } = shown.quarantine;
  const row = (one) => h("li", { data: { key: one.id } }, h("span", {}, h("b", {}, one.provider), h("small", {}, ago(one.receivedAt), " · ", say("admin.failed", one.reason), " · ", t("admin.bytes", { n: one.bytes }))),
    h("small", {}, t("admin.keptUntil", { when: appointment(one.endsAt) })));
  return panel("quarantine", h("h2", {}, t("admin.quarantine")), h("p.note", {}, t("admin.quarantineNote")),
    fullHours.map((hour) => h("p.trouble", {}, t("admin.full", { provider: hour.provider, when: appointment(hour.from) }))),
    quarantine.length ? h("ul.rows", {}, quarantine.map(row)) : h("p.note", {}, t("admin.noQuarantine")),
    h("p.line", {},
      moreButton("quarantine"),
      quarantine.length > 0 && h("button", { type: "button", data: { do: "reverify" } }, icon("retry"), t("admin.reverify"))));
}

/** Check all of it, some seconds' worth a call, and say what came of it. */
actions.reverify = async (button) => {
  const sums = { accepted: 0, refused: 0, failing: 0 };
  await whileOff(button, async () => {
    let cursor = null;
    do {
      const done = await post("/api/admin/quarantine/reverify", cursor ? { cursor } : {});
      for (const name of Object.keys(sums)) sums[name] += done[name];
      cursor = done.nextCursor;
    } while (cursor);
  });
  const parts = Object.keys(sums).filter((name) => sums[name] > 0).map((name) => t(`admin.reverified.${name}`, { n: sums[name] }));
  toast([!sums.accepted && t("admin.reverified.none"), ...parts].filter(Boolean).join(" "));
  await readAnew();
};

// ---- agents

function agentsPanel(agents) {
  const row = (agent) => h("li", { data: { key: agent.id } }, h("span", {}, h("b", {}, agent.name), h("small", {}, t(agent.isActive ? "admin.active" : "admin.inactive"), " · ", ago(agent.createdAt), agent.description && ` · ${agent.description}`)),
    agent.isActive ? h("button.plain", { type: "button", data: { do: "retireAgent", id: agent.id, name: agent.name } }, t("admin.retire")) : null);
  return panel("agents", h("h2", {}, t("admin.agents")),
    agents.length ? h("ul.rows", {}, agents.map(row)) : h("p.note", {}, t("admin.noAgents")),
    h("form.inline", { data: { form: "newAgent" } }, h("input", { name: "name", required: true, maxlength: 300, placeholder: t("admin.agentName"), "aria-label": t("admin.agentName"), autocomplete: "off" }), h("button", { type: "submit" }, icon("plus"), t("admin.addAgent"))));
}

forms.newAgent = async (form) => {
  const { secret } = await post("/api/admin/agents", { name: form.elements.name.value.trim() });
  form.reset();
  await readAnew();
  openDialog(t("admin.agentKey"), [h("p", {}, t("shop.once")), h("input.code", { value: secret, readonly: true, "aria-label": t("admin.agentKey") })], { isKept: true });
};
actions.retireAgent = async ({ dataset: { id, name } }) => {
  if (!(await confirmed(t("admin.retireTitle", { name }), t("admin.retireWhy"), t("admin.retire")))) return;
  await call("DELETE", `/api/admin/agents/${id}`);
  await readAnew();
};

// ---- the service itself

function servicePanels() {
  if (!service) return [panel("service", h("h2", {}, t("admin.service")), h("p.waiting", {}, h("span.spinner"), t("list.loading")))];
  const { health, credits, secrets } = service;
  return [secrets && secretsPanel(secrets.secrets), servicePanel(health, credits)];
}

const REMOVAL_TONES = { safe: "good", in_use: "work", watching: "work", unproven: "wait", seals_more: "wait" };

/** Which secrets webhooks are verified with, by fingerprints; where there are two, how the change goes. */
function secretsPanel(secrets) {
  const sum = (key) => key.hours.reduce((all, hour) => all + hour.deliveries, 0);
  const use = (key) => h("small", {}, t(key.isCurrent ? "admin.currentKey" : "admin.olderKey"), " ", h("code", {}, key.fingerprint), " · ", t("admin.matches", { n: sum(key) }), key.lastMatchAt && [" · ", ago(key.lastMatchAt)]);
  const row = ({ provider, name, keys, reason, safeAt }) => h("li", { data: { key: `${provider} ${name}` } },
    h("span", {}, h("b", {}, provider), " ", h("code", {}, name), keys.length > 1 ? keys.map(use) : keys.map((key) => h("small", {}, h("code", {}, key.fingerprint)))),
    h("span", {}, badge({ tone: REMOVAL_TONES[reason] ?? "quiet", text: t(`admin.removal.${reason}`) }),
      safeAt && reason !== "safe" && h("small", {}, t("admin.safeAt", { when: appointment(safeAt) }))));
  return panel("secrets", h("h2", {}, t("admin.secrets")), h("p.note", {}, t("admin.secretsNote")), h("ul.rows", {}, secrets.map(row)));
}

function servicePanel(health, credits) {
  const nameOf = (check) => {
    const [kind, ...name] = check.split(" "); // "queue push"
    return knows(`admin.check.${kind}`) ? t(`admin.check.${kind}`, { name: name.join(" ") }) : check;
  };
  const check = ({ name, ok, reason }) => h("li", {}, badge({ tone: ok ? "good" : "bad", text: nameOf(name) }), reason && h("small", {}, ` ${reason}`));
  return panel("service", h("h2", {}, t("admin.service")),
    health ? h("p.note", {}, t("admin.version", { version: health.version, python: health.python })) : h("p.trouble", {}, t("admin.unhealthy")),
    health?.checks && h("ul.checks", {}, health.checks.map(check)),
    credits && h("p", {}, t("admin.credits", { provider: credits.provider, balance: number(credits.credits.balance) }), h("small", {}, ` ${instant(credits.fetchedAt)}`)));
}
