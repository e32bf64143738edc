// A view that is read as a whole: from time to time, when somebody comes back to it, and after
// what was done in it.

import { h } from "./dom.js";
import { clock } from "./format.js";
import { showsAsOf } from "./shown.js";
import { t } from "./texts.js";

const EVERY_MS = 30_000;

/**
 * read: asks for all of it; returns what draws it. An answer that a newer one has overtaken is not
 * drawn: it would undo what somebody has just done.
 */
export class Reading {
  /** Says as of when the view is true. */
  place = h("p.as-of");
  #read;
  #rounds = 0;
  #drawn = 0;
  #begunAt = 0;

  constructor(read) {
    this.#read = read;
  }

  /** Read and draw. */
  async now() {
    const round = (this.#rounds += 1);
    const begun = (this.#begunAt = Date.now());
    const draw = await this.#read();
    if (round < this.#drawn) return;
    this.#drawn = round;
    const panel = document.activeElement.closest("section.panel");
    draw();
    // Has gone what had the keyboard, the panel's form gets it.
    if (document.activeElement === document.body) panel?.querySelector("form :is(input, button)")?.focus({ preventScroll: true });
    this.place.textContent = t("live.old", { time: clock(begun) });
    if (this.place.isConnected) showsAsOf("view", begun); // the reader may have gone elsewhere
  }

  /** A beat of the pulse: mostly it is not time yet. */
  async beat(isAsked) {
    if (isAsked || Date.now() - this.#begunAt >= EVERY_MS) await this.now();
  }
}
