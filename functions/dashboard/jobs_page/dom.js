// Elements: made without markup, and changed without flicker.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element: h("button.primary", { type: "button", onclick }, "Save"). Strings become text
 * and nothing else, so nothing that anybody sent us can become markup. Children that are null or
 * false are left out.
 */
export function h(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  return complete(element, props, children);
}

/** Make an element of SVG. */
export const s = (name, props = {}, ...children) =>
  complete(document.createElementNS(SVG, name), props, children);

/** Make one of the icons that the index defines. */
export const icon = (name) => s("svg", { "aria-hidden": "true" }, s("use", { href: `#i-${name}` }));

export const $ = (id) => document.getElementById(id);

// What begins with "default" is what a field holds until the reader changes it.
const PROPERTIES = ["value", "checked", "indeterminate", "selected", "defaultValue", "defaultChecked"];

function complete(element, props, children) {
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (PROPERTIES.includes(key) && element.localName !== "progress") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  return element;
}

/**
 * Make `old` look like `fresh`, touching only what differs, so that focus, scroll positions and
 * pictures stay. Returns the element that is now in the document. Children with a `data-key` are
 * found by it, others by their place and name. Elements with a hyphen look after their inside; what is
 * written in a text field stays written, what is chosen in a form stays chosen, and what was unfolded
 * stays unfolded.
 */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.dataset?.key !== fresh.dataset?.key) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return old;
  }
  morphAttributes(old, fresh);
  if (!old.localName.includes("-")) morphChildren(old, [...fresh.childNodes]);
  if (old.localName === "select" && !old.form) old.value = fresh.value;
  return old;
}

const keyOf = (node) => node?.dataset?.key;

/** Give an element these children, keeping those that are already as they should be. */
export function morphChildren(old, children) {
  const wanted = new Set(children.map(keyOf));
  const held = new Map();
  for (const child of [...old.children]) {
    if (wanted.has(keyOf(child))) held.set(keyOf(child), child);
    else child.remove(); // first, so that what stays need not be moved: moving takes the focus
  }
  let at = old.firstChild;
  for (const child of children) {
    const key = keyOf(child);
    const isLikeIt = at && keyOf(at) === undefined && at.nodeName === child.nodeName;
    const known = key !== undefined ? held.get(key) : isLikeIt ? at : null;
    if (known && known === at) at = at.nextSibling;
    else if (known) old.insertBefore(known, at);
    if (known) morph(known, child);
    else old.insertBefore(child, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// What the document, and not whoever draws, knows about an element.
const OWN = ["data-broken", "open"];

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !OWN.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    const held = old.getAttribute(name);
    if (held !== value && !(LINKS.includes(name) && isSamePicture(held, value))) old.setAttribute(name, value);
  }
  if (old.localName === "input" && !old.form) old.checked = fresh.checked;
}

// The API signs links anew in every answer. A picture is loaded again only when it is another one,
// or when its link is about to die (they live for two hours).
const LINKS = ["src", "before", "after"];
const LINK_GOOD_FOR_MS = 90 * 60_000;
const firstSeen = new Map();

function isSamePicture(held, fresh) {
  if (!held || held.split("?")[0] !== fresh.split("?")[0]) return false;
  if (!firstSeen.has(held)) {
    if (firstSeen.size > 5_000) firstSeen.clear();
    firstSeen.set(held, Date.now());
  }
  return Date.now() - firstSeen.get(held) < LINK_GOOD_FOR_MS;
}

/** Show a short message that goes away by itself. `action`: an element beside it. */
export function toast(message, { isProblem = false, action = null } = {}) {
  const look = isProblem ? "div.toast.problem" : "div.toast";
  const element = h(look, {}, icon(isProblem ? "alert" : "check"), h("p", {}, message), action);
  $("toasts").append(element);
  const leave = () => (element.matches(":hover, :focus-within") ? setTimeout(leave, 2_000) : element.remove());
  setTimeout(leave, isProblem || action ? 12_000 : 6_000);
}

/** Put what is told to the reader into the dialog on top: outside of an open one nothing is seen. */
export function moveNotices() {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  (dialog ? dialog.firstElementChild : document.querySelector(".bar")).after($("banner"));
  (dialog ?? document.body).append($("toasts"));
}

// A picture whose link has died says so instead of showing nothing.
for (const kind of ["error", "load"]) {
  document.addEventListener(
    kind,
    ({ target }) => target.localName === "img" && target.toggleAttribute("data-broken", kind === "error"),
    true,
  );
}
