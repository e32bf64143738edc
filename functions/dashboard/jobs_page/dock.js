// What lies at the bottom of the window: which page of the list it is, and what is selected.

import { actions, load } from "./actions.js";
import { $, h, icon, morphChildren } from "./dom.js";
import { expectFigures } from "./figures.js";
import { number } from "./format.js";
import { list } from "./job-list.js";
import { t } from "./texts.js";

export const BULK_ACTS = ["retry", "push", "undo", "sync", "cancel", "download", "delete"];

export function drawDock() {
  drawPager();
  drawSelection();
}

function drawPager() {
  const { index, first, last, total, isEnd } = list.shown;
  $("pager").hidden = $("jobs").hidden || list.jobs.length === 0 || (isEnd && index === 0) || list.selected.size > 0;
  if ($("pager").hidden) return;
  const range = { first: number(first), last: number(last), total: number(total) };
  const text = total !== null ? "pager.of" : isEnd ? "pager.end" : "pager.open";
  const turn = (step, look, isOff) =>
    h(`button.icon.${look}`, { type: "button", data: { do: "turn", step }, disabled: isOff, "aria-label": t(`pager.${look}`) }, icon("arrow"));
  morphChildren($("pager"), [turn(-1, "up", index === 0), h("span", {}, t(text, range)), turn(1, "down", isEnd)]);
}

function drawSelection() {
  const count = list.selected.size;
  $("selection").hidden = count === 0 || $("jobs").hidden;
  if ($("selection").hidden) return;
  const isAllLoaded = list.jobs.every(({ id }) => list.selected.has(id));
  const says = list.isWhole ? (list.total === null ? t("selection.whole") : t("selection.wholeOf", { n: list.total })) : t("selection.count", { n: count });
  const wider = isAllLoaded ? "pickWhole" : "pickAll";
  const isWidest = list.isWhole || (isAllLoaded && list.total === count);
  morphChildren($("selection"), [
    h("strong", {}, says),
    h("button.plain", { type: "button", data: { do: wider }, hidden: isWidest }, t(`selection.${wider}`)),
    h("span.acts", {}, BULK_ACTS.map((name) => h("button", { type: "button", data: { do: "bulk", act: name } }, t(`act.${name}`)))),
    h("button.icon", { type: "button", data: { do: "pickNone" }, "aria-label": t("selection.none") }, icon("close")),
  ]);
}

actions.turn = (button) => list.turn(Number(button.dataset.step));
actions.pick = (box, event) => list.pick(box.dataset.id, box.checked, { isRange: event.shiftKey });
actions.pickAll = () => list.pickAll();
actions.pickWhole = () => list.pickAll({ isWhole: true });
actions.pickNone = (button) => {
  const isByKeyboard = button.matches(":focus-visible");
  list.pickNone();
  if (isByKeyboard) list.focusOn(list.lastPicked); // the button has gone
};

actions.act = async (button) => (await load("act")).act(button.dataset.act, button.dataset.id);
actions.bulk = async (button) => (await load("act")).bulk(button.dataset.act);
actions.menu = async (button) => (await load("act")).openMenu(button, button.dataset.id);
actions.exportCsv = async () => (await load("csv")).exportCsv();
actions.wizard = async () => (await load("wizard")).open();
actions.help = async () => (await load("help")).open();

list.addEventListener("moved", drawPager);
list.addEventListener("picked", drawDock);
list.addEventListener("read", drawDock);
list.addEventListener("changed", () => {
  drawDock();
  expectFigures();
});
