// The pulse: looks again and again while somebody looks at the page.

import { SignedOutError } from "./api.js";

const BEAT_MS = 2_500;
const SLOWEST_MS = 30_000;
const FIRST_WAIT_MS = 2_000;
const SLOW_AFTER_MS = 6_000;

/**
 * look: one round; told whether somebody asked for it, and does not just go on looking. Whatever it raises, the next round comes, each time later: only the end of the
 * session ends it, and goes to `fail`.
 * tell: hears how things stand, { state: "live" | "slow" | "hidden" | "away", nextAt, error }. While
 * the page is hidden it rests.
 */
export class Pulse {
  #look;
  #tell;
  #fail;
  #timer = 0;
  #failures = 0;
  #isLooking = false;
  #isAsked = false;
  #isOn = false;

  constructor(look, { tell, fail }) {
    this.#look = look;
    this.#tell = tell;
    this.#fail = fail;
    for (const [target, name] of [[document, "visibilitychange"], [globalThis, "online"]]) {
      target.addEventListener(name, () => this.#isOn && this.now({ isAsked: true }));
    }
  }

  /** Begin, when everything has just been read. */
  start() {
    this.#isOn = true;
    this.#wentWell();
  }

  /** Go on after a stop: what is shown is old. */
  resume() {
    this.#isOn = true;
    return this.now({ isAsked: true });
  }

  stop() {
    this.#isOn = false;
    clearTimeout(this.#timer);
  }

  /** Look now, unless nobody would see it. isAsked: also at what is looked at less often. */
  async now({ isAsked = false } = {}) {
    this.#isAsked ||= isAsked; // a look that is under way may have passed it already: then the next one
    clearTimeout(this.#timer);
    if (document.hidden) {
      this.#tell({ state: "hidden" });
      return;
    }
    if (this.#isLooking) return;
    this.#isLooking = true;
    const isSlow = setTimeout(() => this.#failures || this.#tell({ state: "slow" }), SLOW_AFTER_MS);
    if (!this.#failures) this.#tell({ state: "live" }); // after a sleep what is shown is no longer
    const wasAsked = this.#isAsked;
    this.#isAsked = false;
    try {
      await this.#look(wasAsked);
      if (this.#isOn) this.#wentWell();
    } catch (error) {
      if (error instanceof SignedOutError) {
        this.stop();
        this.#fail(error);
      } else {
        this.wentAway(error);
      }
    } finally {
      clearTimeout(isSlow);
      this.#isLooking = false;
    }
  }

  #wentWell() {
    this.#failures = 0;
    this.#tell({ state: "live" });
    this.#plan(BEAT_MS);
  }

  /** There was no good answer: try again after a while. */
  wentAway(error) {
    this.#isOn = true;
    this.#failures += 1;
    const backOff = Math.min(SLOWEST_MS, FIRST_WAIT_MS * 2 ** (this.#failures - 1));
    const wait = Math.max((error.retryAfterS ?? 0) * 1000, backOff * (0.75 + Math.random() / 2));
    this.#tell({ state: "away", nextAt: Date.now() + wait, error });
    this.#plan(wait);
  }

  #plan(wait) {
    clearTimeout(this.#timer);
    if (this.#isOn) this.#timer = setTimeout(() => this.now(), wait);
  }
}
