// Which jobs are listed: search, filters, sorting, layout. All of it is in the address.

import { actions, attempt, forms } from "./actions.js";
import { FILTERS, NO_FILTERS, PUSH_STATUSES, address } from "./address.js";
import { get } from "./api.js";
import { $, h, icon } from "./dom.js";
import { drawFigures } from "./figures.js";
import { date } from "./format.js";
import { list } from "./job-list.js";
import { taste } from "./session.js";
import { sayTitle, t } from "./texts.js";

// Listed only when they are asked for by their type.
const BULK_TYPES = ["bulk.retry", "bulk.push", "bulk.undo-push", "bulk.sync", "bulk.cancel", "bulk.delete", "bulk.expand"];
const TYPING_MS = 350;

const shown = {
  status: (value) => t(`states.${value}`),
  pushStatus: (value) => t(`store.${value}`),
  toolId: (value) => sayTitle("tools", value),
  type: (value) => sayTitle("types", value),
  from: date,
  to: date,
};
const show = (name, value) => shown[name]?.(value) ?? value;

/** Draw what says how the list is filtered and sorted. */
export function drawToolbar() {
  drawFigures();
  drawChips();
  if (document.activeElement !== $("q")) $("q").value = address.get("q");
  document.querySelector("#sort span").textContent = t(list.isNewestFirst ? "sort.newest" : "sort.oldest");
  for (const button of document.querySelectorAll("[data-do=layout]")) {
    button.setAttribute("aria-pressed", String(button.dataset.layout === list.layout));
  }
}

function drawChips() {
  const active = Object.entries(address.filters()).filter(([name]) => name !== "status");
  const chip = ([name, value]) =>
    h("button.chip", { type: "button", data: { do: "dropFilter", name }, title: t("filters.drop") },
      h("span", {}, t(`filters.${name}`), ": ", h("b", {}, show(name, value))), icon("close"), h("span.hush", {}, t("filters.drop")));
  $("chips").hidden = !active.length;
  $("chips").replaceChildren(...active.map(chip), h("button.plain", { type: "button", data: { do: "clearFilters" } }, t("filters.clear")));
}

let choices = { tool: [], type: [], project: [] };
let isRead = false;

// What has not ended yet is in no group of the statistics: remember what was listed.
const listed = { toolId: new Set(), type: new Set(), projectId: new Set() };
function noteListed() {
  for (const job of list.jobs) for (const name of Object.keys(listed)) if (job[name]) listed[name].add(job[name]);
}
for (const event of ["read", "changed"]) list.addEventListener(event, noteListed);

/** Read the values that there are to choose from. */
async function readChoices() {
  if (isRead) return;
  const read = async (groupBy) => {
    const { groups } = await get("/api/jobs/stats", { groupBy });
    return [groupBy, groups.map(({ key }) => key).filter((key) => key && key !== "other")];
  };
  choices = Object.fromEntries(await Promise.all(Object.keys(choices).map(read)));
  isRead = true;
}

function drawFilters() {
  const labelled = (name, field) => h("label", {}, h("span", {}, t(`filters.${name}`)), field);
  const choice = (name, values) => {
    const current = address.get(name);
    const all = [...new Set([...values, current])].filter(Boolean);
    const option = (value) => h("option", { value, selected: value === current }, show(name, value));
    return labelled(name, h("select", { name }, h("option", { value: "" }, t("filters.any")), all.map(option)));
  };
  const field = (name, type = "text") =>
    labelled(name, h("input", { name, type, value: address.get(name), autocomplete: "off", maxlength: 128 }));
  $("filters").replaceChildren(
    choice("pushStatus", PUSH_STATUSES),
    choice("toolId", [...choices.tool, ...listed.toolId]),
    choice("type", [...choices.type, ...listed.type, ...BULK_TYPES]),
    choice("projectId", [...choices.project, ...listed.projectId]),
    field("productId"),
    field("batchId"),
    field("from", "date"),
    field("to", "date"),
  );
}

/** Change filters: the address first, then all that follows from it. isStep: Back undoes it. */
async function filterBy(changes, { isStep = true } = {}) {
  address.set(changes, { push: isStep });
  drawToolbar();
  if (!$("filters").hidden && !$("filters").contains(document.activeElement)) drawFilters();
  await list.reset();
}

actions.status = (button) => filterBy({ status: button.dataset.status });
actions.dropFilter = (button) => filterBy({ [button.dataset.name]: "" });
actions.clearFilters = () => filterBy(NO_FILTERS);
actions.sort = () => filterBy({ sort: list.isNewestFirst ? "createdAt" : "" });
actions.layout = (button) => {
  taste.set("layout", button.dataset.layout);
  address.set({ layout: "" });
  list.relayout(button.dataset.layout);
  drawToolbar();
};
actions.toggleFilters = async (button) => {
  const isOpening = $("filters").hidden;
  $("filters").hidden = !isOpening;
  button.setAttribute("aria-expanded", String(isOpening));
  if (!isOpening) return;
  drawFilters();
  await readChoices();
  drawFilters();
};
actions.arrivals = () => {
  scrollTo({ top: 0, behavior: "instant" });
  return list.showArrivals();
};

// Typing on is no new step: Back leads to before the search, not to half a word.
forms.search = () => filterBy({ q: $("q").value.trim() }, { isStep: !address.get("q") });
forms.filters = (form) => {
  const fields = [...new FormData(form)].filter(([name]) => FILTERS.includes(name));
  return filterBy(Object.fromEntries(fields.map(([name, value]) => [name, value.trim()])));
};

let typing;
$("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => $("q").value.trim() !== address.get("q") && attempt(forms.search), TYPING_MS);
});
$("filters").addEventListener("change", () => attempt(() => forms.filters($("filters"))));
