// The HTTP API, as anybody calls it.

import { address } from "./address.js";
import { hear } from "./clock.js";
import { session } from "./session.js";
import { t } from "./texts.js";

/** The API said no. `code` is stable, the message a sentence for people. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body?.error ?? t("errors.unknown"));
    this.status = status;
    this.code = body?.code ?? "unknown";
    this.requestId = body?.requestId ?? null;
  }
}

/** The API is not there, or cannot answer now. Trying again may help. */
export class AwayError extends Error {
  constructor(message = t("away.error"), retryAfterS = 0) {
    super(message);
    this.retryAfterS = retryAfterS;
  }
}

/** The reader is not known (any more). */
export class SignedOutError extends Error {}

// API Gateway gives up after 30.
const ANSWER_WITHIN_MS = 32_000;

/**
 * Call the API; returns { status, body, headers }, where a 304 has no body.
 * Raises ApiError, AwayError, SignedOutError.
 *
 * once: a name for this wish. Sent again under the same name it is still done once.
 * isForAllShops: not for the one that an administrator looks at.
 */
export async function call(method, path, { query = {}, body, once, etag, isForAllShops = false } = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (once) headers["idempotency-key"] = once;
  if (etag) headers["if-none-match"] = etag;
  if (session.isAdmin && address.get("store") && !isForAllShops) headers["x-shop"] = address.get("store");
  const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" };
  let answer = await send(url, request);
  // An ID token lives for a minute; Shopify's rule is to get a new one and to try once more.
  const isTokenOld = answer.status === 401 && answer.headers.has("x-shopify-retry-invalid-session-request");
  if (isTokenOld && session.isEmbedded) answer = await send(url, request);
  return read(answer);
}

async function send(url, request) {
  const credential = await session.credential().catch(() => {
    throw new AwayError(); // App Bridge could not ask Shopify
  });
  if (credential === null) throw new SignedOutError();
  const headers = { ...request.headers, authorization: `Bearer ${credential}` };
  try {
    const answer = await fetch(url, { ...request, headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    hear(answer.headers.get("date"));
    return answer;
  } catch {
    throw new AwayError();
  }
}

async function read(answer) {
  const { status, headers } = answer;
  const isJson = headers.get("content-type")?.includes("json") ?? false;
  const body = await (isJson ? answer.json() : answer.text()).catch(() => null);
  if (answer.ok || status === 304) return { status, body, headers };
  if (status === 401) throw new SignedOutError();
  if (status === 429 || status >= 500) throw new AwayError(body?.error, Number(headers.get("retry-after")) || 0);
  throw new ApiError(status, isJson ? body : null);
}

export const get = async (path, query) => (await call("GET", path, { query })).body;

const wishes = new Map();

/** Ask for a change. The same wish a second time while the first is under way (a double click) is one. */
export function post(path, body, { once = crypto.randomUUID() } = {}) {
  const wish = JSON.stringify([path, body]);
  if (!wishes.has(wish)) {
    const answer = call("POST", path, { body, once }).finally(() => wishes.delete(wish));
    wishes.set(wish, answer.then((told) => told.body));
  }
  return wishes.get(wish);
}

/** Ask for what a deployment may not have, or not for this reader: null then. */
export async function getIfThere(path, query) {
  try {
    return await get(path, query);
  } catch (error) {
    if (error instanceof ApiError && [403, 404, 405].includes(error.status)) return null;
    throw error;
  }
}
