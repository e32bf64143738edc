// <before-after before after name>: two pictures of one product, and a slider between them that a
// mouse, a finger and a keyboard move.

import { h } from "./dom.js";
import { t } from "./texts.js";

class BeforeAfter extends HTMLElement {
  static observedAttributes = ["before", "after", "name"];
  #before = layer("before");
  #after = layer("after");
  #slider = h("input", { type: "range", min: 0, max: 100, value: 50, oninput: () => this.#move() });

  connectedCallback() {
    if (this.firstChild) return;
    const tag = (side) => h(`span.tag.${side}-tag`, { "aria-hidden": "true" }, t(`picture.tag.${side}`));
    this.append(this.#before, this.#after, h("i", { "aria-hidden": "true" }), this.#slider, tag("before"), tag("after"));
    this.#move();
  }

  attributeChangedCallback() {
    const name = this.getAttribute("name") ?? "";
    for (const [image, kind] of [[this.#before, "before"], [this.#after, "after"]]) {
      const src = this.getAttribute(kind);
      if (src && image.getAttribute("src") !== src) image.setAttribute("src", src);
      image.alt = t(`picture.${kind}`, { name });
    }
    this.#slider.setAttribute("aria-label", t("picture.slider", { name }));
  }

  #move() {
    const at = Number(this.#slider.value);
    this.style.setProperty("--at", `${at}%`);
    this.#slider.setAttribute("aria-valuetext", t("picture.sliderAt", { n: 100 - at }));
  }
}

const layer = (kind) => h(`img.${kind}`, { loading: "lazy", decoding: "async", draggable: "false" });

customElements.define("before-after", BeforeAfter);
