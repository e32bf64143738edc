// One job, as a card and as a row of the compact table.

import "./before-after.js";
import { address } from "./address.js";
import { h, icon } from "./dom.js";
import { ago, cost, percent } from "./format.js";
import { say, t } from "./texts.js";
import { isActive, isWork, possible, progressOf, resultOf, storeState, titleOf, toolOf, troubles, workState } from "./words.js";

export const badge = ({ tone, text }) => h(`span.badge.${tone}`, {}, h("i"), text);
export const progressBar = (value, label) => h("progress", { max: 100, value, "aria-label": label });

/** What stands where a job has no picture. */
export const blank = (job) =>
  h("span.blank", {}, icon(isWork(job) ? "task" : "picture"), job.status === "processing" && h("b", {}, percent(job.progress)));

/** Before and after with the slider, or what there is of them. */
export function picture(job) {
  const [before, after] = [job.inputImageUrl, resultOf(job)];
  const name = titleOf(job);
  if (before && after) return h("before-after", { before, after, name });
  if (!before && !after) return blank(job);
  const alt = t(after ? "picture.after" : "picture.before", { name });
  return h("img", { src: after ?? before, alt, loading: "lazy", decoding: "async", draggable: "false" });
}

/** Link to a job's details; a click opens them in this page. */
export function jobLink(job) {
  const href = address.of({ ...address.filters(), view: address.get("view"), job: job.id });
  return h("a", { href, dir: "auto", data: { do: "open", id: job.id } }, titleOf(job));
}

const ICONS = { retry: "retry", push: "store", download: "download" };

/** A button that does something to one job. */
export const actButton = (name, job) =>
  h("button", { type: "button", data: { do: "act", act: name, id: job.id, key: name } }, ICONS[name] && icon(ICONS[name]), t(`act.${name}`));

const picker = (job, isPicked) =>
  h("label.pick", {},
    h("input", {
      type: "checkbox",
      checked: isPicked,
      data: { do: "pick", id: job.id },
      "aria-label": t("selection.pick", { name: titleOf(job) }),
    }),
    h("i", { "aria-hidden": "true" }));

const menuButton = (job) =>
  h("button.icon", {
    type: "button",
    data: { do: "menu", id: job.id },
    "aria-haspopup": "menu",
    "aria-label": t("act.more", { name: titleOf(job) }),
  }, icon("more"));

const QUICK = ["retry", "push", "download", "cancel"];

export function card(job, isPicked) {
  const [trouble] = troubles(job);
  const quick = possible(job).filter((name) => QUICK.includes(name)).slice(0, 2);
  const isUrgent = job.priority === "high" || job.priority === "urgent";
  const look = isPicked ? "li.job.card.picked" : "li.job.card";
  return h(look, { tabindex: -1, "aria-labelledby": `t-${job.id}`, data: { key: job.id, id: job.id, status: job.status } },
    h("div.picture", {}, picture(job), isActive(job) && h("div.veil", { "aria-hidden": "true" })),
    picker(job, isPicked),
    h("div.body", {},
      h("div.top", {}, h("h2", { id: `t-${job.id}` }, jobLink(job)), menuButton(job)),
      h("p.meta", {}, titleOf(job) === toolOf(job) ? null : [toolOf(job), " · "], ago(job.createdAt), isUrgent && h("span.flag", {}, say("priority", job.priority))),
      h("p.badges", {}, [workState(job), storeState(job)].filter(Boolean).map(badge)),
      job.status === "processing" && progress(job),
      trouble && h("p.trouble", {}, trouble.problem, " ", h("span", {}, trouble.advice)),
      h("div.quick", { data: { key: "quick" } }, quick.map((name) => actButton(name, job)))));
}

export const progress = (job) =>
  h("div.progress", { data: { key: "progress" } },
    progressBar(job.progress, t("progress.label", { name: titleOf(job) })),
    h("p", {}, progressOf(job), job.message && ` · ${job.message}`));

export const COLUMNS = ["pick", "picture", "title", "tool", "status", "store", "cost", "created", "more"];
/** Columns whose title only screen readers need. */
export const UNTITLED = ["pick", "picture", "more"];

export function row(job, isPicked) {
  const [trouble] = troubles(job);
  const [work, store] = [workState(job), storeState(job)];
  const shown = resultOf(job) ?? job.inputImageUrl;
  const look = isPicked ? "tr.job.picked" : "tr.job";
  const detail = trouble?.problem ?? (job.status === "processing" ? progressOf(job) : job.productTitle && job.name);
  return h(look, { tabindex: -1, "aria-labelledby": `t-${job.id}`, data: { key: job.id, id: job.id, status: job.status } },
    h("td.pick", {}, picker(job, isPicked)),
    h("td.picture", {}, shown ? h("img", { src: shown, alt: "", loading: "lazy", decoding: "async" }) : blank(job)),
    h("th.title", { scope: "row", id: `t-${job.id}` }, jobLink(job), h(trouble ? "span.sub.bad" : "span.sub", {}, detail)),
    h("td.tool", {}, toolOf(job)),
    h("td.status", {}, badge(work), job.status === "processing" && progressBar(job.progress, t("progress.label", { name: titleOf(job) }))),
    h("td.store", {}, store && badge(store)),
    h("td.cost", {}, isActive(job) ? "" : cost(job.creditsUsed, job.costMicros)),
    h("td.created", {}, ago(job.createdAt)),
    h("td.more", {}, menuButton(job)));
}
