// A call of the API as a line for a terminal, without what is secret in it.

import { address } from "./address.js";
import { openDialog } from "./dialog.js";
import { h, toast } from "./dom.js";
import { session } from "./session.js";
import { t } from "./texts.js";

const SECRET_NAMES = /secret|token|passw|^pass$|^pwd$|authori[sz]ation|^auth$|(api|access|private)[-_]?key|^key$|signature|^sig$|credential|cookie|bearer/i;
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

/** Take secrets out: all that is under a name that says so, and what a link is signed with. */
function scrubbed(value) {
  if (typeof value === "string") return unsigned(value);
  if (Array.isArray(value)) return value.map(scrubbed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, SECRET_NAMES.test(name) ? HIDDEN : scrubbed(each)]));
}

function unsigned(text) {
  if (!/^https?:/.test(text) || !URL.canParse(text)) return text;
  const url = new URL(text);
  url.username = "";
  url.password = "";
  const isSigned = [...url.searchParams.keys()].some((key) => SECRET_NAMES.test(key) || /^expires$/i.test(key));
  if (isSigned) url.search = "";
  return isSigned || url.href !== text ? url.href : text;
}

const REPEATED = [
  "toolId", "inputImageUrl", "parameters", "priority", "provider", "type", "productId", "productTitle", "variantId",
  "imageId", "projectId", "mode", "inputAssetId", "name", "description", "acceptanceCriteria", "altText", "autoPush",
  "metadata",
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
