// How it went: day by day, and by tool, kind of work and project.

import { actions } from "./actions.js";
import { get } from "./api.js";
import { h, morphChildren, s } from "./dom.js";
import { cost, day, duration, number, percent } from "./format.js";
import { showsAsOf } from "./shown.js";
import { sayTitle, t } from "./texts.js";

const SPANS = [7, 30, 90];
const EVERY_BEATS = 8;
const GROUPS = { tool: "tools", type: "types", project: null };
const KINDS = ["completed", "failed", "cancelled"];

let frame = null;
let span = 30;
let groupBy = "tool";
let beats = 0;

export async function open(container) {
  frame = h("div.insights");
  await read();
  container.replaceChildren(h("div.heading", {}, h("h1", {}, t("insights.title")), switches("span", SPANS, span, (n) => t("insights.days", { n }))), frame);
}

export async function beat(isAsked) {
  beats += 1;
  if (isAsked || beats % EVERY_BEATS === 0) await read();
}

async function read() {
  const begun = Date.now();
  const { days, groups, stats } = await get("/api/jobs/stats", { days: span, groupBy });
  morphChildren(frame, [
    h("section.panel", {}, h("h2", {}, t("insights.daily")), h("p.note", {}, t("insights.utc")), h("day-chart", { days: JSON.stringify(days.map(({ date, completed, failed, cancelled }) => ({ date, completed, failed, cancelled }))) })),
    h("section.panel", {}, h("div.line", {}, h("h2", {}, t("insights.by")), switches("group", Object.keys(GROUPS), groupBy, (name) => t(`insights.groups.${name}`))), groupTable(groups)),
    h("section.panel", {}, h("h2", {}, t("insights.saved")), h("p.lead", {}, t("insights.savedWhy", { n: Math.round(stats.timeSavedHours * 10) / 10 }))),
  ]);
  showsAsOf("view", begun);
}

function switches(name, values, current, label) {
  return h("div.pair", { role: "group", "aria-label": t(`insights.${name}`) }, values.map((value) =>
    h("button", { type: "button", data: { do: "insight", name, value }, "aria-pressed": String(value === current) }, label(value))));
}

actions.insight = async (button) => {
  const { name, value } = button.dataset;
  if (name === "span") span = Number(value);
  else groupBy = value;
  for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String(each === button));
  await read();
};

function groupTable(groups) {
  const shown = groups.filter((group) => group.total > 0).toSorted((a, b) => b.total - a.total);
  if (!shown.length) return h("p.note", {}, t("insights.none"));
  const name = (key) => (GROUPS[groupBy] ? sayTitle(GROUPS[groupBy], key) : key) || t("insights.noName");
  const columns = {
    total: (group) => number(group.total),
    completed: (group) => number(group.completed),
    failed: (group) => number(group.failed),
    rate: (group) => (group.completed + group.failed ? percent(group.successRate) : "–"),
    time: (group) => (group.averageProcessingTime ? duration(group.averageProcessingTime) : "–"),
    cost: (group) => cost(group.totalCreditsUsed, group.totalCostMicros),
  };
  return h("div.wide-table", { tabindex: 0, role: "region", "aria-label": t("insights.by") }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t(`insights.groups.${groupBy}`)), Object.keys(columns).map((key) => h("th.figure", { scope: "col" }, t(`insights.column.${key}`))))),
    h("tbody", {}, shown.map((group) => h("tr", {}, h("th", { scope: "row" }, name(group.key)), Object.values(columns).map((show) => h("td.figure", {}, show(group))))))));
}

// ---- the chart

const [HEIGHT, LEFT, BOTTOM, TOP] = [260, 44, 26, 12];
const [NARROWEST, PX_PER_LABEL] = [260, 80];

/**
 * <day-chart days>: a stacked bar for each day. The arrow keys walk through the days; what a day
 * holds is said below, and the whole is there as a table for who cannot see it.
 */
class DayChart extends HTMLElement {
  static observedAttributes = ["days"];
  #width = 0;

  connectedCallback() {
    // One unit is one pixel, so that its letters are as large as all others.
    new ResizeObserver(() => this.clientWidth !== this.#width && this.attributeChangedCallback()).observe(this);
  }

  attributeChangedCallback() {
    const days = JSON.parse(this.getAttribute("days"));
    this.#width = this.clientWidth;
    const at = this.querySelector("[data-at]")?.dataset.at;
    this.replaceChildren(this.#draw(days), h("p.readout", { "aria-live": "polite" }), this.#legend(), table(days));
    this.#show(days, at === undefined ? days.length - 1 : Number(at));
  }

  #draw(days) {
    const width = Math.max(NARROWEST, this.#width);
    const most = Math.max(...days.map(sum), 1);
    const top = nice(most);
    const step = (width - LEFT) / days.length;
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
    const lines = [0, top / 2, top].filter(Number.isInteger).map((value) => [
      s("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      s("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)),
    ]);
    const every = Math.ceil((days.length * PX_PER_LABEL) / (width - LEFT));
    const bars = days.map((one, index) => {
      let below = 0;
      const x = LEFT + index * step;
      const parts = KINDS.filter((kind) => one[kind]).map((kind) => {
        const [from, to] = [y(below), y(below + one[kind])];
        below += one[kind];
        return s("rect", { class: kind, x: x + step * 0.16, width: step * 0.68, y: to, height: from - to });
      });
      const isLast = index === days.length - 1;
      const isNamed = (days.length - 1 - index) % every === 0;
      return s("g", { "data-index": index },
        s("rect", { class: "hit", x, width: step, y: 0, height: HEIGHT - BOTTOM }), parts,
        isNamed ? s("text", { x: isLast ? width : x + step / 2, y: HEIGHT - 6, "text-anchor": isLast ? "end" : "middle" }, day(one.date)) : null);
    });
    const total = days.reduce((all, one) => all + sum(one), 0);
    const chart = s("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", tabindex: 0, "aria-label": t("insights.chart", { n: total, days: days.length }) }, lines, bars);
    chart.addEventListener("pointermove", ({ target }) => target.closest("g") && this.#show(days, Number(target.closest("g").dataset.index)));
    chart.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      this.#show(days, Math.min(days.length - 1, Math.max(0, Number(this.querySelector("[data-at]").dataset.at) + by)));
    });
    return chart;
  }

  #show(days, at) {
    const one = days[Math.min(at, days.length - 1)];
    for (const group of this.querySelectorAll("g")) group.classList.toggle("on", Number(group.dataset.index) === at);
    const readout = this.querySelector(".readout");
    readout.dataset.at = at;
    readout.replaceChildren(h("b", {}, day(one.date)), " · ", KINDS.map((kind) => `${number(one[kind])} ${t(`insights.kind.${kind}`)}`).join(" · "));
  }

  #legend() {
    return h("ul.legend", { "aria-hidden": "true" }, KINDS.map((kind) => h(`li.${kind}`, {}, h("i"), t(`insights.kind.${kind}`))));
  }
}

const sum = (one) => KINDS.reduce((all, kind) => all + one[kind], 0);

/** Round up to a number that halves well: 1, 2, 4, 10, 20, 40, 100 … */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((factor) => factor * power).find((each) => each >= value);
}

function table(days) {
  return h("div.hush", {}, h("table", {}, h("caption", {}, t("insights.daily")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("insights.day")), KINDS.map((kind) => h("th", { scope: "col" }, t(`insights.kind.${kind}`))))),
    h("tbody", {}, days.map((one) => h("tr", {}, h("th", { scope: "row" }, day(one.date)), KINDS.map((kind) => h("td", {}, number(one[kind]))))))));
}

customElements.define("day-chart", DayChart);
