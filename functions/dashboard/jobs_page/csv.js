// The list as a file for a spreadsheet.

import { conditions } from "./address.js";
import { ApiError, call, post } from "./api.js";
import { h, toast } from "./dom.js";
import { list } from "./job-list.js";
import { t } from "./texts.js";
import { follow } from "./tray.js";

const ROWS_AT_ONCE = 5_000; // that one answer of the API holds
const UTF_8_MARK = "\ufeff";

/** The reader's own day. Swedes write days as ISO 8601 does. */
const today = () => new Date().toLocaleDateString("sv-SE");

/** Save all jobs that the filters find: at once if they are few, else by a bulk job. */
export async function exportCsv() {
  const filter = Object.fromEntries(Object.entries(conditions()).filter(([, value]) => value));
  if (list.total === null || list.total > ROWS_AT_ONCE) {
    const job = await startExport(filter);
    if (job) return follow({ kind: "bulk", id: job.id, title: t("csv.writing"), job });
  }
  const parts = [];
  let cursor = null;
  do {
    const { body, headers } = await call("GET", "/api/jobs/export.csv", { query: { ...filter, cursor } });
    // Each page has the line of titles; one is enough.
    parts.push(parts.length ? body.slice(body.indexOf("\n") + 1) : body);
    cursor = headers.get("x-next-cursor");
  } while (cursor);
  // Reading text takes away the mark by which spreadsheets know UTF-8.
  save(new Blob([UTF_8_MARK, ...parts], { type: "text/csv" }), `jobs-${today()}.csv`);
  return toast(t("csv.done"));
}

async function startExport(filter) {
  try {
    return (await post("/api/jobs/export", { filter })).job;
  } catch (error) {
    if (error instanceof ApiError && [404, 405].includes(error.status)) return null;
    throw error;
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
