// Questions to the server by REST. What was refused for good is asked again only on demand or when something has changed; what failed for
// now, after growing pauses.

import { fetchJson } from "./dom.js";

const FIRST_MS = 2000;
const MOST_MS = 60000;
/** Refusals that pass by themselves: too late, not yet known, too early, too many. */
const PASSING = [408, 409, 425, 429];
/** What a venue said that it will say again (the server answers 502 for it). */
const FINAL_CAUSES = ["rejected", "blocked"];

/** Whether an error of `fetchJson` is no use to ask again after: the server or the venue has understood, and says no. */
export function isPermanent({ status, body }) {
  return (status >= 400 && status < 500 && !PASSING.includes(status)) || FINAL_CAUSES.includes(body?.error?.cause);
}

/** ms to wait after failure number `tries` (the first is 1): growing, and at least what the server asked for. */
export const pauseAfter = (tries, { retryMs = 0 } = {}) => Math.max(retryMs, Math.min(MOST_MS, FIRST_MS * 2 ** (tries - 1)));

/** Whatever failed, for good or for now: objects that `askAgain` has `ask()`. */
export const failing = new Set();

/** Ask again whatever failed: the connection is new, or somebody wants it. */
export function askAgain() {
  for (const each of [...failing]) each.ask();
}

/** A question that is asked again and again while its answers are good. */
export class Question {
  /**
   * `path`: below the page, or a function that fetches and resolves to the answer. `took(answer)` gets each answer; `every()` is the time to the next question (ms), undefined for none; `failed(error, isFinal)` hears of each
   * failure, with `isFinal` where it is not asked again by itself.
   */
  constructor(path, { took, every = () => undefined, failed = () => {} }) {
    Object.assign(this, { path, took, every, failed });
    this.tries = 0;
    this.error = undefined; // of the last answer
  }

  /** Whether it was refused for good. */
  get isRefused() {
    return this.error !== undefined && isPermanent(this.error);
  }

  /** Ask now, unless a question is on its way. Resolves after the answer, good or bad. */
  ask() {
    clearTimeout(this.timer);
    this.isStopped = false;
    this.underWay ??= this.run().finally(() => {
      this.underWay = undefined;
    });
    return this.underWay;
  }

  /** Ask now, unless the last answer was a failure: then it is asked again after its pause, or by `askAgain`. */
  want() {
    if (!this.error) this.ask();
  }

  /** Go on after `stop`: ask now or, where the next question was not due yet, when it is. */
  resume() {
    const wait = this.due - performance.now();
    if (!(wait > 0)) return void this.ask();
    this.isStopped = false;
    this.timer = setTimeout(() => this.ask(), wait);
  }

  /** No more questions until the next `ask` or `resume`. An answer that is on its way is still taken. */
  stop() {
    this.isStopped = true;
    clearTimeout(this.timer);
    failing.delete(this);
  }

  async run() {
    let wait;
    try {
      const answer = await (typeof this.path === "function" ? this.path() : fetchJson(this.path));
      this.tries = 0;
      this.error = undefined;
      this.took(answer);
      failing.delete(this);
      wait = this.every();
    } catch (error) {
      this.tries += 1;
      this.error = error;
      const isFinal = this.isRefused;
      if (!this.isStopped) failing.add(this);
      this.failed(error, isFinal);
      wait = isFinal ? undefined : pauseAfter(this.tries, error);
    }
    this.due = wait === undefined ? undefined : performance.now() + wait;
    if (wait !== undefined && !this.isStopped) this.timer = setTimeout(() => this.ask(), wait);
  }
}
