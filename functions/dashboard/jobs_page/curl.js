// A call of the API as a line for a terminal, without what is secret in it.

import { address } from "./address.js";
import { openDialog } from "./dialog.js";
import { h, toast } from "./dom.js";
import { session } from "./session.js";
import { t } from "./texts.js";

const SECRET_NAMES = /secret|token|password|authorization|api[-_]?key|signature|credential/i;
const HIDDEN = "…";

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Write a call with curl. The key stays in the variable KEY of whoever runs it. */
export function curl(method, path, body) {
  const parts = [method === "GET" ? "curl" : `curl -X ${method}`, quoted(location.origin + path), `-H "Authorization: Bearer $KEY"`];
  const store = session.isAdmin && address.get("store");
  if (store) parts.push(`-H ${quoted(`X-Shop: ${store}`)}`);
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(scrubbed(body)))}`);
  return parts.join(" \\\n  ");
}

/** Take secrets out: values whose names say so, and what a signed link is signed with. */
function scrubbed(value, name = "") {
  if (typeof value === "string") return SECRET_NAMES.test(name) ? HIDDEN : unsigned(value);
  if (Array.isArray(value)) return value.map((each) => scrubbed(each, name));
  if (value === null || typeof value !== "object") return SECRET_NAMES.test(name) ? HIDDEN : value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, scrubbed(each, key)]));
}

function unsigned(text) {
  if (!/^https?:/.test(text) || !URL.canParse(text)) return text;
  const url = new URL(text);
  url.username = "";
  url.password = "";
  const isSigned = [...url.searchParams.keys()].some((key) => SECRET_NAMES.test(key) || /^(sig|expires)$/i.test(key));
  if (isSigned) url.search = "";
  return isSigned || url.href !== text ? url.href : text;
}

const REPEATED = [
  "toolId", "inputImageUrl", "parameters", "priority", "provider", "type", "productId", "productTitle", "variantId",
  "projectId", "name", "altText", "autoPush", "metadata",
];

/** The call that would make a job like this one. */
export function curlToCreate(job) {
  const wanted = REPEATED.filter((name) => job[name] !== null && JSON.stringify(job[name]) !== "{}");
  return curl("POST", "/api/jobs", Object.fromEntries(wanted.map((name) => [name, job[name]])));
}

/** Copy a text; where the browser does not let us, show it to be copied by hand. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copy.done"));
  } catch {
    const area = h("textarea.code", { rows: 8, readonly: true, "aria-label": t("copy.title"), value: text });
    openDialog(t("copy.title"), [h("p", {}, t("copy.byHand")), area], { look: "large" });
    area.select();
  }
}
