// A job in a merchant's words: what state it is in, what went wrong, what can be done.

import { now } from "./clock.js";
import { appointment, duration, number, percent } from "./format.js";
import { knows, say, sayTitle, t } from "./texts.js";

const GUESSES = ["timed_out", "dispatch_unknown", "provider_job_not_found"];

export const isActive = (job) => job.status === "pending" || job.status === "processing";
export const isPushing = (job) => ["queued", "staging", "processing"].includes(job.pushStatus);
/** Whether it changes without anybody doing anything. */
export const isMoving = (job) => isActive(job) || isPushing(job) || isSaving(job);
/** Whether a program of the shop's own does it. */
export const isWork = (job) => job.provider === "worker";
export const isBulk = (job) => job.type.startsWith("bulk.");

const isLost = (output) => !output.kept && output.errorCode !== null;
const isSaving = (job) =>
  job.status === "completed" && job.outputs.some((output) => !output.kept && output.errorCode === null && output.url);

export const toolOf = (job) => job.toolName || (job.toolId ? sayTitle("tools", job.toolId) : sayTitle("types", job.type));
export const titleOf = (job) => job.productTitle || job.name || fileOf(job.inputImageUrl) || toolOf(job);
export const resultOf = (job) => job.outputs.find((output) => output.url)?.url ?? null;

const WORK_TONES = { pending: "wait", processing: "work", completed: "good", failed: "bad", cancelled: "quiet" };
const STORE_TONES = { none: "quiet", queued: "wait", staging: "work", processing: "work", pushed: "good", failed: "bad" };

/** What the AI (or a program) makes of it: { tone, text }. */
export function workState(job) {
  if (isActive(job) && job.cancelRequested) return { tone: "quiet", text: t("state.cancelling") };
  if (job.status === "pending" && job.scheduledAt && new Date(job.scheduledAt) > now()) {
    return { tone: "quiet", text: t("state.scheduled", { when: appointment(job.scheduledAt) }) };
  }
  if (isSaving(job)) return { tone: "work", text: t("state.saving") };
  if (job.status === "completed" && job.outputs.length && job.outputs.every(isLost)) {
    return { tone: "bad", text: t("state.lost") };
  }
  return { tone: WORK_TONES[job.status], text: t(`state.${isWork(job) ? "work" : "ai"}.${job.status}`) };
}

/** How far the image is on its way to the store: { tone, text }; null where none is on its way. */
export function storeState(job) {
  if (!job.productId || isWork(job)) return null;
  if (job.pushStatus === "none" && job.status !== "completed") {
    return isActive(job) && job.autoPush ? { tone: "quiet", text: t("store.willPush") } : null;
  }
  return { tone: STORE_TONES[job.pushStatus], text: t(`store.${job.pushStatus}`) };
}

/** What went wrong and what can be done about it: [{ problem, advice }]. */
export function troubles(job) {
  const found = [];
  const lost = job.status === "completed" ? job.outputs.find(isLost) : null;
  if (job.status === "failed" || lost) found.push(troubleOf(lost ? lost.errorCode : job.errorCode, job));
  if (job.pushStatus === "failed") found.push({ problem: job.pushError ?? t("store.failed"), advice: "" });
  return found;
}

function troubleOf(code, job) {
  if (code && knows(`trouble.${code}`)) return { problem: t(`trouble.${code}.problem`), advice: t(`trouble.${code}.advice`) };
  const problem = sentence(job.errorMessage ?? t("trouble.other.problem"));
  return { problem, advice: isBulk(job) ? "" : t(isWork(job) ? "trouble.other.work" : "trouble.other.advice") };
}

const sentence = (text) => (/[.!?…]$/.test(text) ? text : `${text}.`);

/** The names of what can be done with a job now, the likeliest first. */
export function possible(job) {
  const isKept = job.outputs.some((output) => output.kept);
  const can = {
    retry: job.status === "failed" || job.status === "cancelled",
    push: job.status === "completed" && job.productId && isKept && ["none", "failed"].includes(job.pushStatus),
    download: job.outputs.some((output) => output.url),
    cancel: isActive(job) && !job.cancelRequested,
    undo: job.pushStatus === "pushed",
    sync: !isWork(job) && (isActive(job) || isPushing(job) || GUESSES.includes(job.errorCode)),
    delete: !isActive(job) && !isPushing(job),
  };
  return Object.keys(can).filter((name) => can[name]);
}

/** Say how far it is: "62% · 40 of 64 · 3.2 a second · about 8 s left". */
export function progressOf(job) {
  const parts = [
    percent(job.progress),
    job.total && t("progress.of", { done: number(job.processed ?? 0), all: number(job.total) }),
    job.speed && t("progress.speed", { n: Math.round(job.speed * 10) / 10 }),
    job.etaSeconds && t("progress.eta", { time: duration(job.etaSeconds * 1000) }),
  ];
  return parts.filter(Boolean).join(" · ");
}

/** Say why a job was left out of a bulk action ("retry", "push" …). */
export const refusal = (code, act) => (code === "wrong_status" && knows(`refused.not.${act}`) ? t(`refused.not.${act}`) : say("refused", code));

/** Return the name of the file at an address, where it has one. */
function fileOf(address) {
  const name = address?.match(/^https?:\/\/[^?#]*\/([^/?#]+\.\w{3,4})(?:[?#]|$)/)?.[1] ?? "";
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // not encoded as addresses are
  }
}
