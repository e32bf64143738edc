// What the keyboard can do, and what the words mean.

import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { t } from "./texts.js";

const KEYS = { "/": "search", j: "next", k: "previous", o: "open", x: "select", r: "retry", p: "push", n: "new", "?": "help", Esc: "escape" };

export function open() {
  const rows = Object.entries(KEYS).map(([key, name]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(`help.keys.${name}`))));
  openDialog(t("help.title"), [h("dl.keys", {}, rows), h("p.note", {}, t("help.live"))]);
}
