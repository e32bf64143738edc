// Dialogs: made when they are needed, gone when they are closed.

import { h, icon, moveNotices } from "./dom.js";
import { t } from "./texts.js";

let number = 0;

/**
 * Show a dialog over the page and return it. The browser keeps the keyboard in it, closes it by
 * Escape and gives the focus back.
 *
 * look: "small", "large" or "drawer". onclose: once it is closed, in whichever way. isKept: a
 * click beside it does not close it, because what is in it would be lost.
 */
export function openDialog(title, content, { look = "small", onclose = () => {}, isKept = false } = {}) {
  number += 1;
  const id = `dialog-${number}`;
  const close = h("button.icon", { type: "button", "aria-label": t("dialog.close"), onclick: () => dialog.close() }, icon("close"));
  const dialog = h(`dialog.${look}`, { "aria-labelledby": id, closedby: isKept ? "closerequest" : "any" },
    h("div.head", {}, h("h2", { id, tabindex: -1, dir: "auto" }, title), close),
    h("div.content", {}, content));
  dialog.addEventListener("close", () => {
    moveNotices();
    dialog.remove();
    onclose();
  });
  document.body.append(dialog);
  dialog.showModal();
  moveNotices();
  dialog.querySelector("h2").focus();
  return dialog;
}

/**
 * Ask before something that cannot be undone, or that costs; tells whether to do it.
 *
 * look: of the button that says yes. isReady: Enter says yes, but not one that is held down since
 * before the question was read.
 */
export function confirmed(title, why, yes, { look = "button.danger", isReady = false } = {}) {
  return new Promise((resolve) => {
    let answer = false;
    const decide = () => {
      answer = true;
      dialog.close();
    };
    const button = h(look, { type: "button", onclick: decide, onkeydown: (event) => event.repeat && event.preventDefault() }, yes);
    const dialog = openDialog(title, [
      typeof why === "string" ? h("p", {}, why) : why,
      h("div.foot", {}, h("button", { type: "button", onclick: () => dialog.close() }, t("dialog.no")), button),
    ], { onclose: () => resolve(answer) });
    if (isReady) button.focus();
  });
}

/** Label a field of a form. */
export const field = (label, input, hint) =>
  h("label.field", {}, h("span", {}, label), input, hint && h("small", {}, hint));
