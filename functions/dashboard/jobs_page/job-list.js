// <job-list>: a shop's jobs, endless both ways, always up to date.

import { address, conditions } from "./address.js";
import { attempt } from "./actions.js";
import { ApiError, get } from "./api.js";
import { COLUMNS, UNTITLED, card, row } from "./card.js";
import { $, h, icon, morph } from "./dom.js";
import { taste } from "./session.js";
import { showsAsOf } from "./shown.js";
import { t } from "./texts.js";
import { isMoving } from "./words.js";

// Divisible by every number of columns that there is (1, 2, 3, 4, 6): blocks join without a gap.
const BLOCK = 24;
const FIRST_FETCH = 2 * BLOCK;
const NEXT_FETCH = 4 * BLOCK;
const MOST_IDS = 100; // that the API takes
const STALE_MS = 25_000;
const FRESH_MS = 3_000;
// A search in texts has no index: the API reads up to a thousand jobs for it.
const DEAR_EVERY = 6;
const STICKY_BAR_PX = 120;

/**
 * Jobs lie in blocks of 24. Only blocks near the window are in the document; the others are room
 * of the right height, so that ten thousand jobs are as light as a hundred.
 *
 * Emits `read` when it was read anew, `changed` when jobs came, went or changed their status, `moved`
 * when the window shows others, and `picked` when the selection changed.
 */
class JobList extends HTMLElement {
  jobs = [];
  /** How many there are in all; null where the API would have to count. */
  total = null;
  selected = new Set();
  /** The whole filter is selected, what is not loaded included. */
  isWhole = false;
  layout = address.get("layout") || taste.get("layout") || "cards";

  #byId = new Map();
  #askedAt = new Map(); // id → when what we know of it was asked for
  #question = null; // what was asked last: the filters
  #next; // undefined: nothing answered yet; null: that was all
  #arrivals = [];
  #arrivedAt = 0;
  #problem = null; // why the list cannot be shown
  #isGap = false; // more came than one look shows
  #round = 0; // answers of an earlier one are thrown away
  #loading = null; // the promise of the page that is on its way
  #blocks = [];
  #rowHeight = 0;
  #width = 0;
  #beats = 0;
  #near = new IntersectionObserver((entries) => this.#onNear(entries), { rootMargin: "1200px 0px" });
  #end = new IntersectionObserver(
    (entries) => entries.at(-1).isIntersecting && attempt(() => this.more()),
    { rootMargin: "2400px 0px" },
  );

  connectedCallback() {
    let isTicking = false;
    addEventListener("scroll", () => {
      if (isTicking) return;
      isTicking = true;
      requestAnimationFrame(() => {
        isTicking = false;
        this.#tell("moved");
      });
    }, { passive: true });
    new ResizeObserver(() => this.#onResize()).observe(this);
  }

  get isNewestFirst() {
    return address.get("sort") !== "createdAt";
  }

  job(id) {
    return this.#byId.get(id) ?? null;
  }

  // ---- reading

  /**
   * Read anew, by the filters of the address. What is shown stays until the answer is there; what is
   * selected stays so if it is still there, unless the filters are others.
   */
  async reset() {
    const question = JSON.stringify(conditions());
    if (question !== this.#question) {
      this.pickNone();
      this.#next = undefined; // until this one is answered nothing is
      this.#question = question;
    }
    this.#round += 1;
    const round = this.#round;
    const begun = Date.now();
    this.setAttribute("aria-busy", "true");
    if (!this.firstChild) this.#showGhosts();
    try {
      const page = await this.#firstPage();
      if (round !== this.#round) return;
      this.#arrivals = [];
      this.#isGap = false;
      this.#problem = page.problem ?? null;
      this.#next = page.nextCursor;
      this.#byId = new Map(page.jobs.map((job) => [job.id, job]));
      this.#askedAt = new Map();
      this.jobs = page.jobs;
      this.total = page.total;
      this.#noteAsked(page.jobs, begun);
      this.#dropPicked();
      this.#rebuild();
      this.#sayCount();
      if (this.getBoundingClientRect().top < 0) this.scrollIntoView({ behavior: "instant" });
      this.#tell("read");
    } finally {
      if (round === this.#round) this.removeAttribute("aria-busy");
    }
    await this.#fillUp();
  }

  // An API that refuses the question is told in the list's place: other filters may be taken.
  async #firstPage() {
    try {
      return await this.#ask({ limit: FIRST_FETCH });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { jobs: [], nextCursor: null, total: null, problem: error.message };
    }
  }

  /** Tell who does not see it what was found. */
  #sayCount() {
    const isAll = this.#next === null;
    const n = isAll ? this.jobs.length : this.total;
    $("found").textContent = n === null ? t("list.foundMany") : t("list.found", { n });
  }

  /** Read on, as far as there is more; what is on its way already is waited for. */
  async more() {
    if (this.#next) this.#loading ??= this.#readOn().finally(() => (this.#loading = null));
    await this.#loading;
  }

  async #readOn() {
    const round = this.#round;
    const begun = Date.now();
    const page = await this.#ask({ limit: NEXT_FETCH, cursor: this.#next });
    if (round !== this.#round) return;
    this.#next = page.nextCursor;
    this.#add(page.jobs, begun);
    this.#render();
  }

  // With filters a page may be short, even empty, and still not be the last one.
  async #fillUp() {
    while (this.#next && this.jobs.length < BLOCK) await this.more();
  }

  #ask(more) {
    return get("/api/jobs", { ...conditions(), sort: this.isNewestFirst ? null : "createdAt", ...more });
  }

  /** Put jobs where they belong: ids are ordered by time. */
  #add(jobs, begun) {
    const fresh = jobs.filter((job) => !this.#byId.has(job.id));
    for (const job of fresh) this.#byId.set(job.id, job);
    this.#noteAsked(fresh, begun);
    const order = this.isNewestFirst ? -1 : 1;
    this.jobs = [...this.jobs, ...fresh].sort((one, other) => (one.id < other.id ? -order : order));
  }

  // ---- staying up to date

  /**
   * One beat: look at the head of the list, and in sight at what moves and at what has not been
   * asked about for long. What is out of sight is asked about when it comes near.
   */
  async beat() {
    if (this.hasAttribute("aria-busy")) return; // it is being read anew
    if (this.#next === undefined) {
      await this.reset();
      return;
    }
    if (this.#problem) return;
    const round = this.#round;
    const begun = Date.now();
    const seen = new Set();
    const ids = new Set();
    let hasChanged = false;
    this.#beats += 1;
    const isDear = Boolean(address.get("q"));
    if (this.isNewestFirst && (!isDear || this.#beats % DEAR_EVERY === 0)) {
      const head = await this.#ask({ limit: BLOCK });
      if (round !== this.#round) return;
      hasChanged = this.#takeHead(head, seen, ids, begun);
    }
    for (const job of this.#jobsNear()) {
      if (this.#isOld(job, 0) && !seen.has(job.id)) ids.add(job.id);
    }
    for (const asked of chunksOf([...ids], MOST_IDS)) {
      const { jobs } = await get("/api/jobs", { ids: asked.join(","), type: conditions().type });
      if (round !== this.#round) return;
      const found = new Set(jobs.map((job) => job.id));
      const gone = asked.filter((id) => !found.has(id));
      hasChanged = this.#update(jobs) || hasChanged;
      this.#noteAsked(jobs, begun);
      if (gone.length) this.remove(gone);
    }
    this.#sayAge();
    if (hasChanged) this.#tell("changed");
  }

  /** Return the jobs in sight, and a little around. */
  #jobsNear() {
    return this.#blocks.filter((block) => block.isNear).flatMap((block) => this.#of(block));
  }

  /** Tell whether a job should be asked about: those that move, unless that was just now. */
  #isOld(job, freshFor) {
    return Date.now() - this.#askedAt.get(job.id) > (isMoving(job) ? freshFor : STALE_MS);
  }

  #noteAsked(jobs, at) {
    for (const job of jobs) if (this.#byId.has(job.id)) this.#askedAt.set(job.id, at);
  }

  #sayAge() {
    if (!$("jobs").hidden) showsAsOf("list", Math.min(Date.now(), ...this.#jobsNear().map((job) => this.#askedAt.get(job.id))));
  }

  #takeHead(head, seen, ids, begun) {
    for (const job of head.jobs) seen.add(job.id);
    // What is older than all that is loaded comes when it is read on.
    const oldest = this.#next === null ? "" : this.jobs.at(-1)?.id;
    const isNew = (job) => !this.#byId.has(job.id) && job.id > oldest;
    const fresh = head.jobs.filter(isNew);
    const hasChanged = this.#update(head.jobs);
    this.#noteAsked(head.jobs, begun);
    // Ours within the head's reach that are not in it have changed, or are gone.
    const reach = head.nextCursor ? head.jobs.at(-1)?.id : "";
    for (const job of this.jobs) {
      if (reach === undefined || job.id < reach) break;
      if (!seen.has(job.id)) ids.add(job.id);
    }
    if (head.total !== null) this.total = head.total;
    this.#arrivals = fresh;
    this.#arrivedAt = begun;
    this.#isGap = fresh.length === BLOCK && this.jobs.length > 0;
    if (fresh.length) this.#welcome();
    return hasChanged || fresh.length > 0;
  }

  /** Show newer data of jobs that we have; tells whether a status is another. */
  #update(jobs) {
    let hasChanged = false;
    for (const job of jobs) {
      const old = this.#byId.get(job.id);
      // An answer that was overtaken by a newer one must not undo it.
      if (!old || old.updatedAt > job.updatedAt) continue;
      hasChanged ||= old.status !== job.status || old.pushStatus !== job.pushStatus;
      Object.assign(old, job);
      const element = this.#element(job.id);
      if (element) morph(element, this.#view(old));
    }
    return hasChanged;
  }

  /** Show a job as an action has just answered it. */
  put(job) {
    if (this.#byId.has(job.id)) this.#update([job]);
    this.#tell("changed");
  }

  /** Take jobs off that are no more. */
  remove(ids) {
    const before = this.jobs.length;
    const gone = new Set(ids);
    const focused = document.activeElement?.closest(".job")?.dataset.id;
    const at = this.jobs.findIndex((job) => job.id === focused);
    this.jobs = this.jobs.filter((job) => !gone.has(job.id));
    for (const id of ids) {
      this.#byId.delete(id);
      this.#askedAt.delete(id);
      this.selected.delete(id);
    }
    if (this.total !== null) this.total -= before - this.jobs.length;
    this.#render();
    if (gone.has(focused)) this.#focusAt(at); // on what has taken its place
    this.#tell("changed");
  }

  // New jobs go on top, unless that would move what somebody points at, reads, or writes about.
  #welcome() {
    const isInUse = this.matches(":hover, :focus-within") || this.getBoundingClientRect().top < 0;
    if (this.#isGap || isInUse || document.querySelector("dialog[open]")) this.#renderPill();
    else this.showArrivals();
  }

  showArrivals() {
    if (this.#isGap) return this.reset();
    this.#add(this.#arrivals, this.#arrivedAt);
    this.#arrivals = [];
    this.#renderPill();
    this.#render();
    return undefined;
  }

  // ---- drawing

  #view(job) {
    return (this.layout === "table" ? row : card)(job, this.isWhole || this.selected.has(job.id));
  }

  #element(id) {
    return this.querySelector(`.job[data-key="${CSS.escape(id)}"]`);
  }

  #of(block) {
    return this.jobs.slice(block.index * BLOCK, (block.index + 1) * BLOCK);
  }

  #showGhosts() {
    const ghost = () => h("li.card.ghost", {}, h("div.picture"), h("div.body", {}, h("i"), h("i"), h("i")));
    const ghosts = h("ul.block", { "aria-hidden": "true" }, Array.from({ length: 12 }, ghost));
    this.replaceChildren(h("p.hush", {}, t("list.loading")), ghosts);
  }

  /** Draw the frame anew: for other jobs altogether, or in another layout. */
  #rebuild() {
    for (const block of this.#blocks.splice(0)) this.#near.unobserve(block);
    this.dataset.layout = this.layout;
    const pill = h("button.pill", { type: "button", data: { do: "arrivals" }, hidden: true });
    const end = h("div.end", { hidden: true }, h("span.spinner", { role: "img", "aria-label": t("list.loading") }));
    this.replaceChildren(pill, this.#isEmpty ? emptyState(this.#problem) : this.layout === "table" ? tableFrame() : h("div.frame"), end);
    this.#render();
  }

  get #isEmpty() {
    return this.jobs.length === 0 && this.#next === null;
  }

  #render() {
    if (this.#isEmpty !== (this.querySelector(".empty") !== null)) {
      this.#rebuild();
      return;
    }
    const frame = this.querySelector(".frame");
    const count = Math.ceil(this.jobs.length / BLOCK);
    while (this.#blocks.length < count) {
      const block = this.layout === "table" ? h("tbody.block") : h("ul.block", { role: "list" });
      Object.assign(block, { index: this.#blocks.length, isNear: true });
      this.#blocks.push(block);
      frame.append(block);
      this.#near.observe(block);
    }
    for (const block of this.#blocks.splice(count)) {
      this.#near.unobserve(block);
      block.remove();
    }
    for (const block of this.#blocks) this.#fill(block);
    const end = this.querySelector(".end");
    end.hidden = !this.#next;
    // Watched anew, it tells whether it is still in reach.
    this.#end.disconnect();
    if (this.#next) this.#end.observe(end);
    this.#sayAge();
    this.#tell("moved");
  }

  #fill(block) {
    const jobs = this.#of(block);
    if (!block.isNear) {
      this.#clear(block, jobs.length);
      return;
    }
    const held = new Map([...block.children].map((element) => [element.dataset.key, element]));
    let at = block.firstElementChild;
    for (const job of jobs) {
      const known = held.get(job.id);
      const element = known ? morph(known, this.#view(job)) : this.#view(job);
      if (element === at) at = at.nextElementSibling;
      else block.insertBefore(element, at);
    }
    while (at) {
      const next = at.nextElementSibling;
      at.remove();
      at = next;
    }
  }

  /** Leave room of the right height where a block is out of sight. */
  #clear(block, count) {
    let spacer = block.querySelector(".spacer");
    if (!spacer) {
      const isTable = this.layout === "table";
      spacer = h(isTable ? "tr.spacer" : "li.spacer", { "aria-hidden": "true" }, isTable && h("td", { colspan: COLUMNS.length }));
      block.replaceChildren(spacer);
    }
    const rows = Math.ceil(count / this.#columns());
    (spacer.firstElementChild ?? spacer).style.height = `${Math.round(rows * this.#rowHeight)}px`;
  }

  #fullBlock() {
    return this.#blocks.find((block) => block.isNear && block.children.length === BLOCK);
  }

  #columns() {
    const block = this.#fullBlock();
    return this.layout === "table" || !block ? 1 : getComputedStyle(block).gridTemplateColumns.split(" ").length;
  }

  #measure() {
    const block = this.#fullBlock();
    if (block) this.#rowHeight = block.getBoundingClientRect().height / Math.ceil(BLOCK / this.#columns());
  }

  #onNear(entries) {
    this.#measure();
    let hasOld = false;
    for (const { target, isIntersecting } of entries) {
      // What the keyboard is in stays, however far away.
      if (target.isNear === isIntersecting || (!isIntersecting && target.contains(document.activeElement))) continue;
      target.isNear = isIntersecting;
      this.#fill(target);
      hasOld ||= isIntersecting && this.#of(target).some((job) => this.#isOld(job, FRESH_MS));
    }
    this.#sayAge();
    if (hasOld) dispatchEvent(new CustomEvent("look-now"));
  }

  #onResize() {
    if (this.clientWidth === this.#width) return;
    this.#width = this.clientWidth;
    this.#measure();
    for (const block of this.#blocks) if (!block.isNear) this.#clear(block, this.#of(block).length);
    this.#tell("moved");
  }

  #renderPill() {
    const pill = this.querySelector(".pill");
    const count = this.#arrivals.length;
    pill.hidden = count === 0;
    if (count) pill.replaceChildren(icon("arrow"), this.#isGap ? t("list.manyNew") : t("list.new", { n: count }));
  }

  relayout(layout) {
    this.layout = layout;
    this.#rebuild();
  }

  /** Draw every job in the document anew. */
  redraw() {
    for (const block of this.#blocks) if (block.isNear) this.#fill(block);
    this.#tell("picked");
  }

  // ---- moving about

  /** The page that the window shows: { index, first, last, total, isEnd }, counted from one. */
  get shown() {
    const block = this.#blocks.find((each) => each.getBoundingClientRect().bottom > STICKY_BAR_PX);
    const index = (block ?? this.#blocks.at(-1))?.index ?? 0;
    const last = Math.min((index + 1) * BLOCK, this.jobs.length);
    const isEnd = this.#next === null && last === this.jobs.length;
    return { index, first: this.jobs.length && index * BLOCK + 1, last, total: this.total, isEnd };
  }

  /** Go a page on (1) or back (-1). */
  async turn(step) {
    const index = Math.max(0, this.shown.index + step);
    if (index >= this.#blocks.length) await this.more();
    const block = this.#blocks[Math.min(index, this.#blocks.length - 1)];
    if (!block) return;
    this.#bring(block);
    if (block.index === 0) scrollTo({ top: 0, behavior: "instant" });
    else block.scrollIntoView({ block: "start", behavior: "instant" });
    block.querySelector(".job")?.focus({ preventScroll: true });
    this.#tell("moved");
  }

  /** Give the next (1) or previous (-1) job the keyboard. */
  step(by) {
    const current = document.activeElement?.closest(".job");
    this.#focusAt(current ? this.jobs.findIndex((job) => job.id === current.dataset.id) + by : 0);
  }

  /** Give a job the keyboard. */
  focusOn(id) {
    this.#element(id)?.focus({ preventScroll: true });
  }

  #focusAt(at) {
    const index = Math.min(Math.max(at, 0), this.jobs.length - 1);
    const block = this.#blocks[Math.floor(index / BLOCK)];
    if (!block) return;
    this.#bring(block);
    const element = this.#element(this.jobs[index].id);
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  #bring(block) {
    if (block.isNear) return;
    block.isNear = true;
    this.#fill(block);
  }

  // ---- selecting

  lastPicked = null;

  /** Select a job or not; isRange: all from the one that was picked before. */
  pick(id, isPicked, { isRange = false } = {}) {
    if (this.isWhole) {
      this.isWhole = false;
      for (const job of this.jobs) this.selected.add(job.id);
    }
    const at = (wanted) => this.jobs.findIndex((job) => job.id === wanted);
    const ends = [at(isRange && this.#byId.has(this.lastPicked) ? this.lastPicked : id), at(id)];
    for (const job of this.jobs.slice(Math.min(...ends), Math.max(...ends) + 1)) {
      if (isPicked) this.selected.add(job.id);
      else this.selected.delete(job.id);
    }
    this.lastPicked = id;
    this.redraw();
  }

  pickAll({ isWhole = false } = {}) {
    this.isWhole = isWhole;
    for (const job of this.jobs) this.selected.add(job.id);
    this.redraw();
  }

  pickNone() {
    if (!this.selected.size) return;
    this.isWhole = false;
    this.selected.clear();
    this.redraw();
  }

  /** Select no longer what is not there any more. What is not loaded yet may be. */
  #dropPicked() {
    const last = this.jobs.at(-1)?.id;
    const isFurther = (id) => this.#next !== null && (last === undefined || (this.isNewestFirst ? id < last : id > last));
    for (const id of this.selected) if (!this.#byId.has(id) && !isFurther(id)) this.selected.delete(id);
    if (this.isWhole) for (const job of this.jobs) this.selected.add(job.id);
    if (!this.selected.size) this.isWhole = false;
  }

  #tell(name) {
    this.dispatchEvent(new CustomEvent(name));
  }
}

function tableFrame() {
  const title = (name) => h(`th.${name}`, { scope: "col" }, UNTITLED.includes(name) ? h("span.hush", {}, t(`columns.${name}`)) : t(`columns.${name}`));
  return h("div.scroller", {}, h("table.frame", { "aria-label": t("jobs.title") }, h("thead", {}, h("tr", {}, COLUMNS.map(title)))));
}

function* chunksOf(ids, size) {
  for (let at = 0; at < ids.length; at += size) yield ids.slice(at, at + size);
}

function emptyState(problem) {
  const isFiltered = Object.keys(address.filters()).length > 0 || problem !== null;
  const button = isFiltered
    ? h("button", { type: "button", data: { do: "clearFilters" } }, t("filters.clear"))
    : h("button.primary", { type: "button", data: { do: "wizard" } }, icon("plus"), t("jobs.new"));
  const kind = problem ? "refused" : isFiltered ? "filtered" : "first";
  return h("div.empty", {},
    h("div.art", { "aria-hidden": "true" }, icon(isFiltered ? "search" : "picture")),
    h("h2", {}, t(`empty.${kind}.title`)),
    h("p", {}, problem ?? t(`empty.${kind}.why`)),
    button);
}

customElements.define("job-list", JobList);
export const list = $("list");
