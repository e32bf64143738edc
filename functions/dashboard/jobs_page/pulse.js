// The pulse: looks again and again while somebody looks at the page.

import { AwayError } from "./api.js";

const BEAT_MS = 2_500;
const SLOWEST_MS = 30_000;
const FIRST_WAIT_MS = 2_000;

/**
 * look: one round; it may raise AwayError, and the next round then comes later, each time later.
 * tell: hears how things stand, { state: "live" | "hidden" | "away", since, nextAt, message }, where
 * `since` is when what is shown was true. While the page is hidden it rests. Any other error of
 * `look` ends it and goes to `fail`.
 */
export class Pulse {
  #look;
  #tell;
  #fail;
  #timer = 0;
  #failures = 0;
  #isLooking = false;
  #isOn = false;
  #since = null;

  constructor(look, { tell, fail }) {
    this.#look = look;
    this.#tell = tell;
    this.#fail = fail;
    for (const [target, name] of [[document, "visibilitychange"], [globalThis, "online"]]) {
      target.addEventListener(name, () => this.#isOn && this.now());
    }
  }

  /** Begin, when everything has just been read. */
  start() {
    this.#isOn = true;
    this.#wentWell();
  }

  stop() {
    this.#isOn = false;
    clearTimeout(this.#timer);
  }

  /** Look now, unless nobody would see it. */
  async now() {
    clearTimeout(this.#timer);
    if (document.hidden) {
      this.#tell({ state: "hidden", since: this.#since });
      return;
    }
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      await this.#look();
      if (this.#isOn) this.#wentWell();
    } catch (error) {
      if (error instanceof AwayError) {
        this.wentAway(error);
      } else {
        this.stop();
        this.#fail(error);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  #wentWell() {
    this.#failures = 0;
    this.#since = Date.now();
    this.#tell({ state: "live", since: this.#since });
    this.#plan(BEAT_MS);
  }

  /** The API did not answer: try again after a while. */
  wentAway(error) {
    this.#isOn = true;
    this.#failures += 1;
    const backOff = Math.min(SLOWEST_MS, FIRST_WAIT_MS * 2 ** (this.#failures - 1));
    const wait = Math.max(error.retryAfterS * 1000, backOff) * (0.75 + Math.random() / 2);
    this.#tell({ state: "away", since: this.#since, nextAt: Date.now() + wait, message: error.message });
    this.#plan(wait);
  }

  #plan(wait) {
    clearTimeout(this.#timer);
    if (this.#isOn) this.#timer = setTimeout(() => this.now(), wait);
  }
}
