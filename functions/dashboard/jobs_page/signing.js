// Signing in with a key, and what happens when a session ends under the reader's hands.

import { actions, attempt, forms, styled } from "./actions.js";
import { address } from "./address.js";
import { AwayError, get } from "./api.js";
import { $, h, moveNotices } from "./dom.js";
import { session } from "./session.js";
import { t } from "./texts.js";

/** Show the page for people who are not signed in. */
export function showSignIn() {
  $("jobs").hidden = true;
  $("view").hidden = true;
  $("sign-in").hidden = false;
  if (session.isEmbedded) $("sign-in").replaceChildren(h("h1", {}, t("expired.title")), h("p", {}, t("expired.embedded")), reloadButton());
  else $("key").focus();
}

/** Take a key from a form; tells whether it opens. What is wrong with it is said in the form. */
async function tryKey(form) {
  const [input, problem, button] = [form.querySelector("input"), form.querySelector(".problem"), form.querySelector("[type=submit]")];
  const key = input.value.trim();
  problem.hidden = true;
  button.disabled = true;
  session.begin(key);
  try {
    session.begin(key, { isAdmin: await isAdministrators(key) });
    form.reset();
    return true;
  } catch (error) {
    session.end();
    problem.textContent = reasonFor(error);
    problem.hidden = false;
    input.select();
    return false;
  } finally {
    button.disabled = false;
  }
}

// Whose a key is says its form, as the API has it: asking for what it does not open would only
// be refused. What has neither form can be nothing but an administrator's.
const AGENTS = /^jta_/;
const STORES = /^jts_|^eyJ[^.]*\.[^.]*\.[^.]*$/; // or an ID token

class AgentError extends Error {}

async function isAdministrators(key) {
  if (AGENTS.test(key)) throw new AgentError();
  const isStores = STORES.test(key);
  if (isStores) session.shop = (await get("/api/shop")).shop;
  else await get("/api/admin/parked", { limit: 1 });
  return !isStores;
}

function reasonFor(error) {
  if (error instanceof AwayError) return error.message;
  return t(error instanceof AgentError ? "signIn.agent" : "signIn.wrong");
}

const signedIn = () => dispatchEvent(new CustomEvent("signed-in"));
const reloadButton = () => h("button.primary.wide", { type: "button", onclick: () => location.reload() }, t("errors.reload"));

forms.signIn = async (form) => {
  if (await tryKey(form)) signedIn();
};

actions.signOut = () => {
  session.end();
  location.assign(location.pathname);
};

/** Say that the session has ended, over what the reader was looking at; a new key goes on there. */
export async function showExpired() {
  if ($("expired")) return;
  const [shop, wasAdmin] = [session.shop?.shop, session.isAdmin];
  session.end();
  const form = h("form", { onsubmit: (event) => attempt(() => goOn(event)) },
    h("label", { for: "key-again" }, t("signIn.key")),
    h("input", { id: "key-again", type: "password", autocomplete: "off", spellcheck: "false", required: true }),
    h("p.problem", { role: "alert", hidden: true }),
    h("button.primary.wide", { type: "submit" }, t("expired.again")));
  const dialog = h("dialog.small", { id: "expired", "aria-labelledby": "expired-title", oncancel: (event) => event.preventDefault() },
    h("h2", { id: "expired-title" }, t("expired.title")),
    h("p", {}, t(session.isEmbedded ? "expired.embedded" : "expired.why")),
    session.isEmbedded ? reloadButton() : form);

  async function goOn(event) {
    event.preventDefault();
    if (!(await tryKey(form))) return;
    dialog.close();
    moveNotices();
    dialog.remove();
    const isSame = session.isAdmin ? wasAdmin && address.get("store") : session.shop?.shop === shop;
    // Another shop's key shows another shop: nothing of this one may stay.
    if (isSame) signedIn();
    else location.assign(location.pathname);
  }

  document.body.append(dialog);
  await styled();
  dialog.showModal();
  moveNotices();
}
