// Ordering new images: which ones, what is to be done with them, and what it costs before it is
// ordered. One image becomes a job, several become a batch.

import { actions, attempt } from "./actions.js";
import { ApiError, AwayError, get, getIfThere, post } from "./api.js";
import { field, openDialog } from "./dialog.js";
import { h, morphChildren, toast } from "./dom.js";
import { appointment, number } from "./format.js";
import { parseExactly } from "./json.js";
import { session } from "./session.js";
import { say, sayTitle, t } from "./texts.js";
import { follow, tellMe } from "./tray.js";

const STEPS = ["images", "tool", "review"];
const PRIORITIES = ["low", "normal", "high", "urgent"];
const MOST_IMAGES = 1_000; // of a batch
const TYPING_MS = 350;

let wish = null;
let dialog = null;

/** Begin a new order. */
export async function open() {
  wish = {
    step: 0,
    source: "catalogue",
    images: new Map(), // address → { inputImageUrl, productId, productTitle, imageId }
    left: 0, // lines that are no addresses, or too many
    products: null,
    catalogueProblem: "",
    cursor: null,
    search: "",
    tools: [],
    templates: [],
    choice: null, // { kind: "tool" | "template", id }
    options: { priority: "normal", autoPush: session.shop?.autoPush ?? false, name: "", when: "", parameters: "" },
    once: crypto.randomUUID(),
  };
  const waiting = h("p.waiting", {}, h("span.spinner"), t("list.loading"));
  dialog = openDialog(t("wizard.title"), h("div.wizard", {}, waiting), { look: "large", isKept: true });
  try {
    const [tools, templates] = await Promise.all([readTools(), getIfThere("/api/templates"), readProducts()]);
    wish.tools = tools;
    wish.templates = templates?.templates ?? [];
  } catch (error) {
    dialog.close();
    throw error;
  }
  draw();
}

/** The provider's tools with their prices; where it cannot be asked, those that were used. */
async function readTools() {
  const [offered, used] = await Promise.all([getIfThere("/api/tools").catch(() => null), get("/api/jobs/stats", { groupBy: "tool", days: 90 })]);
  const average = new Map(used.groups.map(({ key, total, totalCreditsUsed }) => [key, total ? Number(totalCreditsUsed) / total : null]));
  if (!offered) return used.groups.filter(({ key }) => key && key !== "other").map(({ key }) => ({ id: key, name: sayTitle("tools", key), average: average.get(key) }));
  return offered.tools.filter((tool) => tool.isActive).map((tool) => ({ ...tool, average: average.get(tool.id) ?? null }));
}

async function readProducts({ more = false } = {}) {
  const { search } = wish;
  try {
    const answer = await get("/api/products", { q: search, cursor: more ? wish.cursor : null });
    if (search !== wish.search) return; // overtaken by what was typed meanwhile
    wish.products = more ? [...wish.products, ...answer.products] : answer.products;
    wish.cursor = answer.nextCursor;
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof AwayError)) throw error;
    // Not installed, no longer let in, Shopify away: images by their address still work.
    wish.catalogueProblem = error.message;
    wish.source = "addresses";
  }
}

function draw() {
  const name = STEPS[wish.step];
  const body = { images: imagesStep, tool: toolStep, review: reviewStep }[name]();
  const marks = STEPS.map((step, at) => h("li", { "aria-current": at === wish.step ? "step" : null, class: at < wish.step ? "done" : "" }, h("i", {}, at + 1), t(`wizard.step.${step}`)));
  morphChildren(dialog.querySelector(".wizard"), [
    h("ol.steps", {}, marks),
    h("div.step", { data: { key: name + wish.source } }, body),
    h("div.foot", {},
      h("p", { role: "status" }, wish.images.size ? t("wizard.chosen", { n: wish.images.size }) : t("wizard.chooseSome"),
        wish.left ? ` ${t("wizard.leftOut", { n: wish.left })}` : ""),
      wish.step > 0 ? h("button", { type: "button", data: { do: "wizardStep", by: -1, key: "back" } }, t("wizard.back")) : null,
      name === "review"
        ? h("button.primary", { type: "button", data: { do: "order", key: "order" } }, t("wizard.order", { n: wish.images.size }))
        : h("button.primary", { type: "button", disabled: !isStepDone(), data: { do: "wizardStep", by: 1, key: "next" } }, t("wizard.next"))),
  ]);
}

const isStepDone = () => wish.images.size > 0 && (wish.step === 0 || wish.choice !== null);

// ---- which images

function imagesStep() {
  const tab = (name) => h("button", { type: "button", "aria-pressed": String(wish.source === name), data: { do: "wizardSource", source: name } }, t(`wizard.from.${name}`));
  const tabs = wish.products ? h("div.pair.tabs-like", { role: "group", "aria-label": t("wizard.step.images") }, tab("catalogue"), tab("addresses")) : null;
  const problem = wish.catalogueProblem && h("p.note", {}, wish.catalogueProblem);
  return [tabs, problem, wish.source === "catalogue" ? catalogue() : addresses()];
}

function catalogue() {
  const search = h("input", { type: "search", placeholder: t("wizard.search"), "aria-label": t("wizard.search"), data: { wizard: "search" } });
  const products = wish.products.map((product) => h("li.product", { data: { key: product.id } },
    h("h3", {}, product.title),
    imagesOf(product).length
      ? h("ul.images", {}, imagesOf(product).map((image, at) => imageChoice(product, image, at)))
      : h("p.note", {}, t("wizard.noImages"))));
  return [
    search,
    products.length ? h("ul.products", {}, products) : h("p.note", {}, t("wizard.noProducts")),
    wish.cursor ? h("button", { type: "button", data: { do: "moreProducts" } }, t("list.more")) : null,
  ];
}

const imagesOf = (product) => (product.images ?? []).filter((image) => image.url);

function imageChoice(product, image, at) {
  const isChosen = wish.images.has(image.url);
  const chosen = { inputImageUrl: image.url, productId: product.id, productTitle: product.title, imageId: image.id };
  return h("li", {}, h("label.choice", {},
    h("input", { type: "checkbox", checked: isChosen, data: { wizard: "image", image: JSON.stringify(chosen) }, "aria-label": t("wizard.image", { name: product.title, n: at + 1 }) }),
    h("img", { src: image.url, alt: image.alt ?? "", loading: "lazy" }),
    h("i", { "aria-hidden": "true" })));
}

function addresses() {
  const lines = [...wish.images.values()].map((image) => image.inputImageUrl).join("\n");
  return field(t("wizard.addresses"), h("textarea.code", { rows: 8, value: lines, data: { wizard: "addresses" }, placeholder: "https://…" }), t("wizard.addressesHint", { n: MOST_IMAGES }));
}

function takeAddresses(text) {
  const lines = [...new Set(text.split(/\s+/).filter(Boolean))];
  const urls = lines.filter((line) => /^https?:\/\/\S+$/.test(line)).slice(0, MOST_IMAGES);
  wish.left = lines.length - urls.length;
  wish.images = new Map(urls.map((url) => [url, wish.images.get(url) ?? { inputImageUrl: url }]));
}

// ---- what to do with them

function toolStep() {
  const { options } = wish;
  const option = (kind, id, title, text, price) =>
    h("label.option", {},
      h("input", { type: "radio", name: "choice", value: `${kind} ${id}`, checked: wish.choice?.kind === kind && wish.choice.id === id, data: { wizard: "choice" } }),
      h("span", {}, h("b", {}, title), text && h("small", {}, text)), price && h("em", {}, price));
  const templates = wish.templates.map((each) => option("template", each.id, each.name, each.description ?? sayTitle("tools", each.toolId), priceText(toolOf({ kind: "template", id: each.id }))));
  const tools = wish.tools.map((tool) => option("tool", tool.id, tool.name, tool.description, priceText(tool)));
  const isOne = wish.images.size === 1;
  return [
    templates.length ? h("fieldset.options", {}, h("legend", {}, t("wizard.templates")), templates) : null,
    h("fieldset.options", {}, h("legend", {}, t("wizard.tools")), tools.length ? tools : h("p.note", {}, t("wizard.noTools"))),
    tools.length ? null : field(t("wizard.toolId"), h("input", { data: { wizard: "toolId" }, maxlength: 128 })),
    h("div.columns", {},
      field(t("wizard.priority"), h("select", { data: { wizard: "priority" } }, PRIORITIES.map((each) => h("option", { value: each, selected: each === options.priority }, say("priority", each))))),
      field(t("wizard.when"), h("input", { type: "datetime-local", value: options.when, data: { wizard: "when" } }), t("wizard.whenHint")),
      field(t(isOne ? "wizard.name" : "wizard.batchName"), h("input", { value: options.name, maxlength: 300, data: { wizard: "name" } }))),
    h("label.check", {}, h("input", { type: "checkbox", checked: options.autoPush, data: { wizard: "autoPush" } }), " ", t("wizard.autoPush")),
    h("details", {}, h("summary", {}, t("wizard.parameters")), h("textarea.code", { rows: 5, value: options.parameters, "aria-label": t("wizard.parameters"), placeholder: "{ }", data: { wizard: "parameters" } })),
  ];
}

const templateOf = (choice) => (choice?.kind === "template" ? wish.templates.find((each) => each.id === choice.id) : null);
const toolOf = (choice) => wish.tools.find((tool) => tool.id === (templateOf(choice)?.toolId ?? choice?.id)) ?? null;

/** What one image costs: { credits, isQuote }, or null where nobody knows. */
function priceOf(tool) {
  const quoted = tool?.quotes?.[wish.options.priority] ?? tool?.creditsRequired;
  if (quoted !== null && quoted !== undefined) return { credits: Number(quoted), isQuote: true };
  return tool?.average ? { credits: tool.average, isQuote: false } : null;
}

function priceText(tool) {
  const price = priceOf(tool);
  return price && t(price.isQuote ? "wizard.each" : "wizard.eachAbout", { n: price.credits, amount: number(Math.round(price.credits * 10) / 10) });
}

// ---- what it costs

function reviewStep() {
  const { options, images, choice } = wish;
  const tool = toolOf(choice);
  const price = priceOf(tool);
  const total = price && Math.ceil(price.credits * images.size);
  const { monthlyBudget, spent } = session.shop ?? {};
  const left = monthlyBudget?.credits === null || !monthlyBudget ? null : Number(monthlyBudget.credits) - Number(spent.credits);
  const rows = {
    images: t("wizard.chosen", { n: images.size }),
    tool: templateOf(choice)?.name ?? tool?.name ?? choice.id,
    priority: say("priority", options.priority),
    when: options.when ? appointment(options.when) : t("wizard.now"),
    store: t(options.autoPush ? "wizard.pushes" : "wizard.pushesNot"),
  };
  return [
    h("ul.strip", {}, [...images.values()].slice(0, 8).map((image) => h("li", {}, h("img", { src: image.inputImageUrl, alt: image.productTitle ?? "" }))), images.size > 8 ? h("li.rest", {}, `+${number(images.size - 8)}`) : null),
    h("dl.facts", {}, Object.entries(rows).map(([name, value]) => h("div", {}, h("dt", {}, t(`wizard.row.${name}`)), h("dd", {}, value)))),
    h("div.bill", {},
      h("span", {}, t("wizard.total")),
      h("strong", {}, price ? t(price.isQuote ? "wizard.credits" : "wizard.creditsAbout", { n: total }) : t("wizard.unknown")),
      h("small", {}, left === null ? t(price ? "wizard.billNote" : "wizard.unknownNote") : t(total > left ? "wizard.overBudget" : "wizard.left", { n: left }))),
  ];
}

function body() {
  const { options, images, choice } = wish;
  const parameters = options.parameters.trim() ? parseExactly(options.parameters) : undefined;
  const common = {
    [choice.kind === "template" ? "templateId" : "toolId"]: choice.id,
    priority: options.priority,
    autoPush: options.autoPush,
    name: options.name.trim() || undefined,
    scheduledAt: options.when ? new Date(options.when).toISOString() : undefined,
    parameters,
  };
  const [first, ...others] = images.values();
  return others.length ? { ...common, images: [first, ...others] } : { ...common, ...first };
}

actions.order = async (button) => {
  button.disabled = true;
  try {
    const isBatch = wish.images.size > 1;
    const answer = await post(isBatch ? "/api/batches" : "/api/jobs", body(), { once: wish.once });
    dialog.close();
    toast(t("wizard.ordered", { n: wish.images.size }), { action: tellMe() });
    const made = answer.batch ?? answer.job;
    follow({ kind: isBatch ? "batch" : "job", id: made.id, title: made.name ?? t("wizard.chosen", { n: wish.images.size }), batch: answer.batch });
    dispatchEvent(new CustomEvent("look-now"));
  } catch (error) {
    button.disabled = false;
    // Refused: what is ordered next is another wish. Without an answer it may be the same one.
    if (error instanceof ApiError) wish.once = crypto.randomUUID();
    if (error.code === "idempotency_key_reused") return toast(t("wizard.perhapsOrdered"), { isProblem: true });
    if (error instanceof SyntaxError) return toast(t("errors.notJson"), { isProblem: true });
    throw error;
  }
  return undefined;
};

// ---- what the reader does

actions.wizardStep = (button) => {
  wish.step += Number(button.dataset.by);
  draw();
  dialog.querySelector(".content").scrollTop = 0;
  dialog.querySelector("h2").focus();
};
actions.wizardSource = (button) => {
  wish.source = button.dataset.source;
  wish.left = 0;
  draw();
};
actions.moreProducts = async () => {
  await readProducts({ more: true });
  draw();
};

const fields = {
  image(input) {
    const image = JSON.parse(input.dataset.image);
    if (input.checked && wish.images.size < MOST_IMAGES) wish.images.set(image.inputImageUrl, image);
    else wish.images.delete(image.inputImageUrl);
  },
  addresses: (input) => takeAddresses(input.value),
  choice: (input) => {
    const [kind, ...id] = input.value.split(" ");
    wish.choice = { kind, id: id.join(" ") };
    const preset = templateOf(wish.choice);
    if (preset) Object.assign(wish.options, { priority: preset.priority ?? wish.options.priority, autoPush: preset.autoPush ?? wish.options.autoPush });
  },
  toolId: (input) => (wish.choice = input.value.trim() ? { kind: "tool", id: input.value.trim() } : null),
  autoPush: (input) => (wish.options.autoPush = input.checked),
};

document.addEventListener("input", ({ target }) => {
  const name = target.dataset?.wizard;
  if (!name || !wish) return;
  if (name === "search") return search(target.value.trim());
  if (fields[name]) fields[name](target);
  else wish.options[name] = target.value;
  draw();
  return undefined;
});

let typing;
function search(text) {
  clearTimeout(typing);
  typing = setTimeout(() => attempt(async () => {
    wish.search = text;
    await readProducts();
    draw();
  }), TYPING_MS);
}
