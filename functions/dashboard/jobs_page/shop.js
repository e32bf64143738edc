// The shop's own affairs: settings and budget, keys, and the webhooks that it gets from us.

import { actions, attempt, forms } from "./actions.js";
import { call, get, getIfThere, post } from "./api.js";
import { copy } from "./curl.js";
import { confirmed, field, openDialog } from "./dialog.js";
import { h, icon, morphChildren, toast } from "./dom.js";
import { ago, money, month, number } from "./format.js";
import { Reading } from "./reading.js";
import { session } from "./session.js";
import { say, t } from "./texts.js";

let reading = null;

export async function open(container) {
  const frame = h("div.settings.narrow");
  reading = new Reading(() => read(frame));
  await reading.now();
  container.replaceChildren(h("div.heading", {}, h("h1", {}, t("nav.shop")), reading.place), frame);
}

export const beat = (isAsked) => reading.beat(isAsked);
const readAnew = () => reading.now();

async function read(frame) {
  const [{ shop }, { keys }, webhooks] = await Promise.all([get("/api/shop"), get("/api/shop/keys"), getIfThere("/api/shop/webhooks")]);
  return () => {
    session.shop = shop;
    // Changed in place: what somebody is writing stays.
    const panels = [general(shop), budget(shop), letters(shop), keyList(keys), webhooks && endpointList(webhooks.endpoints)];
    morphChildren(frame, panels.filter(Boolean));
  };
}

// ---- settings and budget

function general(shop) {
  const state = shop.installed ? (shop.token === "ok" ? "ok" : shop.token) : "missing";
  return h("section.panel", {}, h("h2", {}, t("shop.general")),
    h("p", {}, h("b", {}, shop.shop), " – ", t(`shop.token.${state}`)),
    h("form", { data: { form: "shopSettings" } },
      h("label.check", {}, h("input", { type: "checkbox", name: "autoPush", defaultChecked: shop.autoPush }), " ", t("shop.autoPush")),
      field(t("shop.retentionDays"), h("input", { type: "number", name: "retentionDays", min: 1, max: 3650, defaultValue: shop.retentionDays ?? "" }), t("shop.retentionHint")),
      h("button", { type: "submit" }, t("shop.save"))));
}

function budget(shop) {
  const { credits, costMicros } = shop.monthlyBudget;
  const meter = (label, spent, limit, format) =>
    h("div.meter", {}, h("span", {}, label), h("b", {}, limit === null ? format(spent) : t("shop.spentOf", { spent: format(spent), limit: format(limit) })),
      limit === null ? null : h("meter", { min: 0, max: Number(limit) || 1, value: Number(spent), high: Number(limit) * 0.9, "aria-label": label }));
  return h("section.panel", {}, h("h2", {}, t("shop.budget")), h("p.note", {}, t("shop.budgetNote", { month: month(shop.spent.month) })),
    meter(t("shop.credits"), shop.spent.credits, credits, number), meter(t("shop.money"), shop.spent.costMicros, costMicros, money),
    h("form.columns", { data: { form: "shopBudget" } },
      field(t("shop.creditLimit"), h("input", { type: "number", name: "credits", min: 0, step: 1, defaultValue: credits ?? "" }), t("shop.noLimit")),
      field(t("shop.moneyLimit"), h("input", { type: "number", name: "cost", min: 0, step: 0.01, defaultValue: costMicros === null ? "" : Number(costMicros) / 1e6 }), t("shop.noLimit")),
      h("button", { type: "submit" }, t("shop.save"))));
}

const whole = (text) => (text === "" ? null : Math.round(Number(text)));

async function save(changes) {
  await call("PUT", "/api/shop", { body: changes });
  toast(t("done.saved"));
  await readAnew();
}

/** Save what a form holds; from then on it holds what is stored. */
async function saveForm(form, changes) {
  await save(changes);
  form.reset();
}
forms.shopSettings = (form) => saveForm(form, { autoPush: form.autoPush.checked, retentionDays: whole(form.retentionDays.value) });
forms.shopBudget = (form) => {
  const limits = { credits: whole(form.credits.value), costMicros: form.cost.value === "" ? null : Math.round(Number(form.cost.value) * 1e6) };
  return saveForm(form, { monthlyBudget: limits.credits === null && limits.costMicros === null ? null : limits });
};

// ---- letters

const NOBODY = { emails: [], phones: [], types: null };

/** Whom we write to when jobs fail and batches end. */
function letters(shop) {
  const told = shop.notifications ?? NOBODY;
  const row = ({ address, state }) => h("li", { data: { key: address } }, h("span", {}, h("b", {}, address), h("small", {}, say("letters.state", state))),
    h("button.plain", { type: "button", data: { do: "dropAddress", address } }, t("letters.remove")));
  const addresses = [...told.emails, ...told.phones];
  return h("section.panel", {}, h("h2", {}, t("letters.title")), h("p.note", {}, t("letters.note")),
    addresses.length ? h("ul.rows", {}, addresses.map(row)) : h("p.note", {}, t("letters.none")),
    h("form.inline", { data: { form: "newAddress" } },
      h("input", { name: "address", required: true, maxlength: 254, placeholder: t("letters.address"), "aria-label": t("letters.address"), autocomplete: "off" }),
      h("button", { type: "submit" }, icon("plus"), t("letters.add"))));
}

/** Send all of it: the API takes the whole list at once. */
function saveLetters(change) {
  const told = session.shop.notifications ?? NOBODY;
  const now = { emails: told.emails.map(({ address }) => address), phones: told.phones.map(({ address }) => address), types: told.types ?? undefined };
  const { emails, phones, types } = change(now);
  return save({ notifications: emails.length || phones.length ? { emails, phones, types } : null });
}

forms.newAddress = (form) => {
  const address = form.address.value.trim();
  const kind = address.startsWith("+") ? "phones" : "emails";
  form.reset();
  return saveLetters((now) => ({ ...now, [kind]: [...now[kind], address] }));
};
actions.dropAddress = ({ dataset: { address } }) =>
  saveLetters((now) => ({ ...now, emails: now.emails.filter((each) => each !== address), phones: now.phones.filter((each) => each !== address) }));

// ---- keys

function keyList(keys) {
  const row = (key) => h("li", { data: { key: key.id } }, h("span", {}, h("b", {}, key.name), h("small", {}, t("shop.created"), " ", ago(key.createdAt), " · ", key.lastUsedAt ? [t("shop.used"), " ", ago(key.lastUsedAt)] : t("shop.unused"))),
    h("button.plain", { type: "button", data: { do: "revokeKey", id: key.id, name: key.name } }, t("shop.revoke")));
  return h("section.panel", {}, h("h2", {}, t("shop.keys")), h("p.note", {}, t("shop.keysNote")),
    keys.length ? h("ul.rows", {}, keys.map(row)) : h("p.note", {}, t("shop.noKeys")),
    h("form.inline", { data: { form: "newKey" } }, h("input", { name: "name", required: true, maxlength: 300, placeholder: t("shop.keyName"), "aria-label": t("shop.keyName"), autocomplete: "off" }), h("button", { type: "submit" }, icon("plus"), t("shop.newKey"))));
}

/** Show a secret that will never be shown again. */
function showOnce(title, secret) {
  openDialog(title, [h("p", {}, t("shop.once")), h("input.code", { value: secret, readonly: true, "aria-label": title }), h("div.foot", {}, h("button.primary", { type: "button", onclick: () => copy(secret) }, t("copy.action")))], { isKept: true });
}

forms.newKey = async (form) => {
  const { secret } = await post("/api/shop/keys", { name: form.elements.name.value.trim() });
  form.reset();
  await readAnew();
  showOnce(t("shop.newKeyTitle"), secret);
};
actions.revokeKey = async ({ dataset: { id, name } }) => {
  if (!(await confirmed(t("shop.revokeTitle", { name }), t("shop.revokeWhy"), t("shop.revoke")))) return;
  await call("DELETE", `/api/shop/keys/${id}`);
  await readAnew();
};

// ---- webhooks

function endpointList(endpoints) {
  const act = (name, endpoint) => h("button.plain", { type: "button", data: { do: "endpoint", act: name, id: endpoint.id, name: endpoint.url } }, t(`hooks.${name}`));
  const row = (endpoint) => h("li", { data: { key: endpoint.id } },
    h("span", {}, h("b", {}, endpoint.url), h("small", {}, t(endpoint.isEnabled ? "hooks.on" : "hooks.off"), endpoint.disabledReason && ` (${say("hooks.reason", endpoint.disabledReason)})`, " · ", endpoint.types.join(", "))),
    h("span.acts", {}, act("deliveries", endpoint), act("test", endpoint), act("rotate", endpoint), act(endpoint.isEnabled ? "disable" : "enable", endpoint), act("remove", endpoint)));
  return h("section.panel", {}, h("h2", {}, t("hooks.title")), h("p.note", {}, t("hooks.note")),
    endpoints.length ? h("ul.rows", {}, endpoints.map(row)) : h("p.note", {}, t("hooks.none")),
    h("form.inline", { data: { form: "newEndpoint" } }, h("input", { name: "url", type: "url", required: true, placeholder: "https://…", "aria-label": t("hooks.url"), autocomplete: "off" }), h("button", { type: "submit" }, icon("plus"), t("hooks.add"))));
}

forms.newEndpoint = async (form) => {
  const { secret } = await post("/api/shop/webhooks", { url: form.url.value.trim() });
  form.reset();
  await readAnew();
  showOnce(t("hooks.secret"), secret);
};

const endpointActs = {
  deliveries: (path) => showDeliveries(path),
  test: async (path) => {
    await post(`${path}/test`);
    toast(t("hooks.tested"));
  },
  rotate: async (path) => showOnce(t("hooks.secret"), (await post(`${path}/rotate`)).secret),
  disable: (path) => call("PATCH", path, { body: { isEnabled: false } }),
  enable: (path) => call("PATCH", path, { body: { isEnabled: true } }),
  remove: async (path, name) => (await confirmed(t("hooks.removeTitle"), name, t("hooks.remove"))) && call("DELETE", path),
};
actions.endpoint = async ({ dataset: { act, id, name } }) => {
  await endpointActs[act](`/api/shop/webhooks/${id}`, name);
  if (act !== "deliveries") await readAnew();
};

async function showDeliveries(path) {
  const content = h("div");
  const redeliver = async (id) => {
    await post(`${path}/deliveries/${id}/redeliver`);
    await fill();
  };
  const fill = async () => {
    const { deliveries } = await get(`${path}/deliveries`);
    const row = (one) => h("li", { data: { key: one.id } },
      h("span", {}, h("b", {}, one.type), h("small", {}, say("hooks.status", one.status), " · ", ago(one.createdAt), " · ", t("hooks.tries", { n: one.tryCount }), one.answer && ` · ${one.answer}`)),
      h("button.plain", { type: "button", onclick: () => attempt(() => redeliver(one.id)) }, t("hooks.again")));
    morphChildren(content, [deliveries.length ? h("ul.rows", {}, deliveries.map(row)) : h("p.note", {}, t("hooks.noDeliveries"))]);
  };
  await fill();
  openDialog(t("hooks.deliveries"), content, { look: "large" });
}
