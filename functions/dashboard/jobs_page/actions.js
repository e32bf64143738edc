// What the reader does: clicks on [data-do] and forms with [data-form] go to actions by name.

import { ApiError, AwayError, SignedOutError } from "./api.js";
import { h, toast } from "./dom.js";
import { t } from "./texts.js";

/** name → (element, event). Each view adds its own. */
export const actions = {};
/** name → (form). */
export const forms = {};

/** Run something that the reader asked for; what goes wrong is told in the way that it deserves. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    tell(error);
    return undefined;
  }
}

/** Tell about an error. */
export function tell(error) {
  if (error instanceof SignedOutError) {
    dispatchEvent(new CustomEvent("signed-out"));
  } else if (error instanceof ApiError || error instanceof AwayError) {
    toast(error.message, { isProblem: true });
  } else {
    console.error(error);
    // A module of another version than this page is no longer there: the page has been updated.
    const isOutdated = error instanceof TypeError && /module/.test(error.message);
    const reload = h("button", { type: "button", onclick: () => location.reload() }, t("errors.reload"));
    toast(t(isOutdated ? "errors.outdated" : "errors.unknown"), { isProblem: true, action: reload });
  }
}

document.addEventListener("click", (event) => {
  const element = event.target.closest("[data-do]");
  const action = element && !element.disabled && actions[element.dataset.do];
  if (action) attempt(() => action(element, event));
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-form]");
  if (!form) return;
  event.preventDefault();
  attempt(() => submit(form));
});

/** Do something while its button cannot be pressed again; the button keeps the keyboard. */
export async function whileOff(button, work) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

/** Run a form's action. Where it has a button to send it, it is not sent again meanwhile. */
function submit(form) {
  const button = form.querySelector("[type=submit]");
  const send = () => forms[form.dataset.form](form);
  return button ? whileOff(button, send) : send();
}

/** Load a module that the first view does not need, and the style of all of those. */
export async function load(name) {
  const [module] = await Promise.all([import(`./${name}.js`), styled()]);
  return module;
}

let style = null;

/** Load the style of everything beyond the first view, once. */
export function styled() {
  const { version } = document.documentElement.dataset;
  style ??= new Promise((resolve) => {
    const link = h("link", { rel: "stylesheet", href: `/page/${version}/more.css`, onload: resolve, onerror: resolve });
    document.head.append(link);
  });
  return style;
}
