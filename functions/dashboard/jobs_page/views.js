// Which view is shown, and its place in the address. All but the list are loaded when asked for.

import { actions, attempt, load } from "./actions.js";
import { NO_FILTERS, address } from "./address.js";
import { $, h } from "./dom.js";
import { drawDock } from "./dock.js";
import { readFigures } from "./figures.js";
import { drawToolbar } from "./filters.js";
import { list } from "./job-list.js";
import { session } from "./session.js";
import { showsAsOf } from "./shown.js";
import { t } from "./texts.js";

const VIEWS = ["jobs", "batches", "insights", "shop", "admin"];

/** What looks again at each beat beside the view: a job's details, work under way. */
export const beats = new Set();
let beatOfView = null;

/** Whether it is known whose jobs are looked at: an administrator names a store first. */
export const hasShop = () => !session.isAdmin || address.get("store") !== "";

export function viewNow() {
  if (!hasShop()) return "admin";
  const name = address.get("view");
  return VIEWS.includes(name) && (name !== "admin" || session.isAdmin) ? name : "jobs";
}

/** Go to a view. */
export function showView(name, changes = {}) {
  const view = name === "jobs" ? "" : name;
  closeDialogs();
  address.set({ ...NO_FILTERS, sort: "", job: "", view, ...changes }, { push: true });
  return drawView();
}

/** Draw what the address says. */
export async function drawView() {
  const name = viewNow();
  const job = address.get("job"); // now: another may have been opened before all is drawn
  const isList = name === "jobs";
  $("sign-in").hidden = true;
  $("jobs").hidden = !isList;
  $("view").hidden = isList;
  document.title = isList ? t("title") : `${t(`nav.${name}`)} – ${t("title")}`;
  beatOfView = null;
  for (const part of ["list", "figures", "view", "service"]) showsAsOf(part, null);
  drawLinks();
  drawDock();
  if (isList) {
    drawToolbar();
    beatOfView = (isAsked) => Promise.all([list.beat(), readFigures({ ifDue: !isAsked })]);
    await Promise.all([list.reset(), readFigures()]);
  } else {
    await openView(name);
  }
  if (job && hasShop()) await openJob(job, { isStep: false });
}

async function openView(name) {
  const ghosts = h("div.ghosts", { "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  $("view").replaceChildren(h("p.hush", {}, t("list.loading")), ghosts);
  const open = async () => {
    const module = await load(name);
    const begun = Date.now();
    await module.open($("view"));
    if (viewNow() !== name) return;
    showsAsOf("view", begun);
    beatOfView = module.beat;
  };
  beatOfView = open; // until it has worked
  await open();
}

/** One round of the pulse. isAsked: somebody wants to know how all of it is now. */
export const look = (isAsked) => Promise.all([beatOfView?.(isAsked), ...[...beats].map((other) => other(isAsked))]);

/** Show a job's details over the view. isStep: Back closes them. */
export async function openJob(id, { isStep = true } = {}) {
  address.set({ job: id }, { push: isStep });
  await (await load("job")).open(id, { isStep });
}

// All but the one that asks for the key: nobody gets round that.
function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]:not(#expired)")) dialog.close();
}

function drawLinks() {
  for (const link of document.querySelectorAll("a[data-view]")) {
    const { view } = link.dataset;
    link.href = address.of({ view: view === "jobs" ? "" : view });
    link.toggleAttribute("aria-current", view === viewNow());
    if (view === viewNow()) link.setAttribute("aria-current", "page");
  }
}

/** Draw whose jobs these are. */
export function drawShop() {
  const chosen = session.isAdmin ? address.get("store") : (session.shop?.shop ?? address.get("shop"));
  const name = chosen || "";
  const button = document.querySelector(".shop");
  button.hidden = !name && !session.isAdmin;
  button.disabled = !session.isAdmin;
  button.textContent = name ? name.replace(/\.myshopify\.com$/, "") : t("admin.choose");
  button.title = name;
  for (const link of document.querySelectorAll("a[data-view]")) link.hidden = link.dataset.view === "admin" ? !session.isAdmin : !hasShop();
}

const isForNewTab = (event) => event.metaKey || event.ctrlKey || event.shiftKey;

actions.open = async (link, event) => {
  if (isForNewTab(event)) return;
  event.preventDefault();
  await openJob(link.dataset.id);
};
actions.filterJobs = (element, event) => {
  event.preventDefault();
  return showView("jobs", JSON.parse(element.dataset.filter));
};
actions.chooseShop = async () => (await load("admin")).chooseShop();

document.querySelector(".tabs").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || isForNewTab(event)) return;
  event.preventDefault();
  attempt(() => showView(link.dataset.view));
});

addEventListener("popstate", () => {
  closeDialogs();
  const job = address.get("job");
  // The list under a job stays as it was: how far it was read, and what was selected.
  if (address.hasMoved()) attempt(drawView);
  else if (job && hasShop()) attempt(() => openJob(job, { isStep: false }));
});
