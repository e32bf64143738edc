// Where the page begins: it puts the views, the pulse, the keyboard and the theme together.

import { actions, attempt, load, tell } from "./actions.js";
import { address } from "./address.js";
import { ApiError, AwayError, SignedOutError, get } from "./api.js";
import { $, h, icon, morphChildren, toast } from "./dom.js";
import { drawFigures } from "./figures.js";
import { clock } from "./format.js";
import { list } from "./job-list.js";
import { Pulse } from "./pulse.js";
import { memory, session, taste } from "./session.js";
import { asOf } from "./shown.js";
import { showExpired, showSignIn } from "./signing.js";
import { t } from "./texts.js";
import { drawShop, drawView, hasShop, look, openJob, viewNow } from "./views.js";

// ---- up to date

const OLD_MS = 60_000; // what is older is not called live: a view that is read once, and left open

const pulse = new Pulse(look, { tell: showPulse, fail: tell });
let wasAway = false;
let countdown = 0;

function showPulse({ state, nextAt, error }) {
  const live = document.querySelector(".live");
  const isOld = state === "live" && asOf() !== null && Date.now() - asOf() > OLD_MS;
  live.hidden = false;
  live.dataset.state = isOld ? "old" : state;
  live.title = t("live.since", { time: timeShown() });
  live.querySelector("span").textContent = t(`live.${live.dataset.state}`, { time: timeShown() });
  clearInterval(countdown);
  if (state === "away") {
    wasAway = true;
    showAway(nextAt, error);
  } else {
    if (wasAway && state === "live") toast(t("away.back"));
    if (state === "live") wasAway = false;
    $("banner").replaceChildren();
  }
}

const timeShown = () => (asOf() === null ? t("live.never") : clock(asOf()));

function reasonOf(error) {
  if (!navigator.onLine) return t("away.offline");
  if (error instanceof ApiError || error instanceof AwayError) return error.message;
  console.error(error);
  return t("errors.unknown");
}

function showAway(nextAt, error) {
  const left = h("span", { "aria-hidden": "true" });
  const tick = () => (left.textContent = t("away.next", { n: Math.max(0, Math.ceil((nextAt - Date.now()) / 1000)) }));
  tick();
  countdown = setInterval(tick, 1000);
  const banner = h("div.banner", {}, icon("alert"),
    h("p", {}, h("strong", {}, reasonOf(error)), " ", asOf() !== null && [t("away.asOf", { time: timeShown() }), " "], left),
    h("button", { type: "button", data: { do: "lookNow" } }, t("away.now")));
  // Changed in place: read out once, and not at each try.
  morphChildren($("banner"), [banner]);
  $("banner").querySelector("p > span")?.replaceWith(left);
}

actions.lookNow = () => pulse.now({ isAsked: true });
addEventListener("look-now", () => pulse.now());

// ---- coming and going

async function enter() {
  document.querySelector(".tabs").hidden = false;
  document.querySelector("[data-do=help]").hidden = false;
  document.querySelector("[data-do=signOut]").hidden = session.isEmbedded;
  drawShop();
  try {
    await Promise.all([drawView(), hasShop() && readShop()]);
    pulse.start();
  } catch (error) {
    if (error instanceof SignedOutError) throw error;
    pulse.wentAway(error);
  }
  if (memory.get("followed")) await load("tray");
}

async function readShop() {
  session.shop = (await get("/api/shop")).shop;
  drawShop();
}

// After a session that ended, what is shown stays where it is.
addEventListener("signed-in", () => attempt(() => ($("sign-in").hidden ? pulse.resume() : enter())));
addEventListener("signed-out", () => {
  pulse.stop();
  const hasNothingToShow = $("jobs").hidden && $("view").hidden;
  if (hasNothingToShow) {
    session.end();
    showSignIn();
  } else {
    showPulse({ state: "hidden" });
    attempt(showExpired);
  }
});

// ---- keys

const act = async (name, id) => id && (await load("act")).act(name, id);
const LIST_KEYS = {
  "/": () => $("q").focus(),
  j: () => list.step(1),
  k: () => list.step(-1),
  o: (id) => id && openJob(id),
  x: (id) => id && list.pick(id, !list.selected.has(id)),
  r: (id) => act("retry", id),
  p: (id) => act("push", id),
  Escape: () => list.pickNone(),
};
const KEYS = { n: () => hasShop() && actions.wizard(), "?": () => actions.help() };

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target === $("q") && !$("q").value) $("q").blur();
  // A dialog that has just been closed holds the focus until the next frame: it types nothing more.
  const isTyping = event.target.closest("input:not([type=checkbox], [type=range]), textarea, select, dialog[open], [popover]");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !session.isKnown) return;
  const key = KEYS[event.key] ?? (viewNow() === "jobs" ? LIST_KEYS[event.key] : undefined);
  if (!key) return;
  event.preventDefault();
  attempt(() => key(event.target.closest(".job")?.dataset.id));
});

// ---- light and dark

const THEMES = ["auto", "light", "dark"];

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  const button = document.querySelector("[data-do=theme]");
  button.title = t(`theme.${theme}`);
  button.setAttribute("aria-label", button.title);
}

const theme = () => taste.get("theme") ?? "auto";
actions.theme = () => {
  taste.set("theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  paint(theme());
};

// ---- begin

// A page that Back brings out of the browser's memory shows what was seen before signing out.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
paint(theme());
drawFigures();
// What Shopify's admin says once has done its work; it must not lie in the history.
address.set({ id_token: "", hmac: "", session: "", timestamp: "" });
if (session.isKnown) attempt(enter);
else showSignIn();
