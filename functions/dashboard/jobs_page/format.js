// Numbers, money, spans and instants as people write them, in the reader's language and zone.

import { now } from "./clock.js";
import { h } from "./dom.js";
import { CURRENCY, LANGUAGE, t } from "./texts.js";

const numbers = new Intl.NumberFormat(LANGUAGE);
const percents = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 1 });
const dates = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium" });
const days = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", timeZone: "UTC" });
const months = new Intl.DateTimeFormat(LANGUAGE, { month: "long", year: "numeric", timeZone: "UTC" });
const instants = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "medium" });
const appointments = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
const clocks = new Intl.DateTimeFormat(LANGUAGE, { timeStyle: "medium" });
const relatives = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });
const stamps = new Intl.DateTimeFormat(LANGUAGE, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});

export const NOTHING = "–";

/** Format a number. Integers beyond 2^53 come as strings, and stay exact. */
export const number = (value) => (value === null || value === undefined ? NOTHING : numbers.format(value));
export const percent = (value) => percents.format(value / 100);
export const clock = (at) => clocks.format(at);
export const stamp = (text) => stamps.format(new Date(text));
export const instant = (text) => (text ? instants.format(new Date(text)) : NOTHING);
export const appointment = (text) => appointments.format(new Date(text));
/** Name a day in the reader's zone ("2026-11-26", or an instant). */
export const date = (text) => dates.format(new Date(text.length === 10 ? `${text}T00:00` : text));
/** Name a UTC day of the statistics. */
export const day = (text) => days.format(new Date(`${text}T00:00:00Z`));
/** Name a UTC month ("2026-11"). */
export const month = (text) => months.format(new Date(`${text}-01T00:00:00Z`));

/** Format millionths of the currency: all of them below one, else hundredths, of any size. */
export function money(micros) {
  const isSmall = Math.abs(Number(micros)) < 1_000_000;
  const format = new Intl.NumberFormat(LANGUAGE, {
    style: "currency",
    currency: CURRENCY,
    minimumFractionDigits: 2,
    maximumFractionDigits: isSmall ? 6 : 2,
  });
  return format.format(`${micros}e-6`);
}

/** Say what something costs: credits, money, both, or nothing. */
export function cost(credits, micros) {
  const isSome = (amount) => amount && amount !== "0";
  const parts = [
    isSome(credits) && t("cost.credits", { n: Number(credits), amount: number(credits) }),
    isSome(micros) && money(micros),
  ];
  return parts.filter(Boolean).join(" · ") || t("cost.none");
}

/** Say how long something takes: "840 ms", "3.2 s", "12 s", "3 min 20 s", "2 h 5 min". */
export function duration(ms) {
  if (ms === null || ms === undefined) return NOTHING;
  const value = Number(ms);
  if (value < 1000) return t("duration.ms", { n: Math.round(value) });
  if (value < 10_000) return t("duration.s", { n: Math.round(value / 100) / 10 });
  const seconds = Math.round(value / 1000);
  if (seconds < 60) return t("duration.s", { n: seconds });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return t("duration.min", { m: minutes, s: seconds % 60 });
  return t("duration.h", { h: Math.floor(minutes / 60), m: minutes % 60 });
}

const STEPS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];
const RELATIVE_FOR_DAYS = 7;

function relative(text) {
  const seconds = (new Date(text) - now()) / 1000;
  const step = STEPS.find(([, size]) => Math.abs(seconds) >= size);
  if (!step) return t(seconds > 5 ? "time.soon" : "time.now");
  const [unit, size] = step;
  if (seconds < -RELATIVE_FOR_DAYS * 86_400) return date(text);
  return relatives.format(Math.round(seconds / size), unit);
}

/** Make an element that says how long ago an instant was, and goes on being true. */
export const ago = (text) => h("time", { datetime: text, title: instant(text), data: { ago: "" } }, relative(text));

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const text = relative(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}, 15_000);
