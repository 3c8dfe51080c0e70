// How late each venue's messages came in the last hour, from the server's ledger. No DOM.

import { DASH } from "./format.js";
import { Question } from "./requests.js";

const ASK_MS = 10000;
/** The ledger's last bucket: anything longer. */
const LONGER_MS = 60000;

/**
 * By venue {p50, p99}, ms: the largest of its streams in use, so that of all its messages together half (99 of 100) came no later.
 * A venue whose streams carry no time of sending is left out.
 */
export function delaysByVenue(streams) {
  const found = new Map();
  for (const { exchange, in_use: used, last_1h: { delay_p50_ms: p50, delay_p99_ms: p99 } } of streams) {
    if (!used || p50 === undefined || p99 === undefined) continue;
    const before = found.get(exchange) ?? { p50: 0, p99: 0 };
    found.set(exchange, { p50: Math.max(before.p50, p50), p99: Math.max(before.p99, p99) });
  }
  return found;
}

/** A bound of the ledger as text: "at most 15 ms"; beyond its last but one bucket only "> 30 s" is known. */
export const boundText = (ms) => (ms === undefined ? DASH : ms >= LONGER_MS ? "> 30 s" : `\u2264 ${ms < 10000 ? `${ms} ms` : `${ms / 1000} s`}`);

/** Asks from `begin` to `end`, every ten seconds. */
export class Delays {
  constructor() {
    this.venues = new Map();
    const failed = () => this.venues.clear();
    this.question = new Question("api/quality", { took: ({ streams }) => { this.venues = delaysByVenue(streams); }, every: () => ASK_MS, failed });
  }

  /** The view is shown. */
  begin() {
    this.question.resume();
  }

  end() {
    this.question.stop();
  }

  /** Why they are not known; "" where that passes by itself. */
  get refused() {
    const { error, isRefused } = this.question;
    return isRefused ? `Delays are not known, the server refuses: ${error.message}` : "";
  }

  of(exchange) {
    return this.venues.get(exchange);
  }
}
