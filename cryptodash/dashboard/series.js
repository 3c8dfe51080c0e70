// The bars of one market and interval: pages of REST and the live bar, merged by open time. A hole stays a hole.

import { Question } from "./requests.js";

const MINUTE = 60000;
/** ms of a day. */
export const DAY = 1440 * MINUTE;
const WEEK = 7 * DAY;
const FIRST_MONDAY = 4 * DAY; // 1970-01-05: venues open their weeks on Monday, UTC
const MINUTES = {
  "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "12h": 720, "1d": 1440, "1w": 10080, "1M": 43200,
};

/** Length of an interval in ms; for a month a typical one. */
export const lengthOf = (interval) => MINUTES[interval] * MINUTE;

/** The running number of the interval that holds time `ms`: neighbours differ by one, so a missing bar is seen as one. */
export function slotOf(ms, interval) {
  if (interval === "1M") {
    const date = new Date(ms);
    return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
  }
  if (interval === "1w") return Math.floor((ms - FIRST_MONDAY) / WEEK);
  return Math.floor(ms / lengthOf(interval));
}

/** When the slot opens, in ms. */
export function timeOf(slot, interval) {
  if (interval === "1M") return Date.UTC(1970, slot);
  if (interval === "1w") return slot * WEEK + FIRST_MONDAY;
  return slot * lengthOf(interval);
}

/** Where time `ms` lies on the axis of slots, with a fraction. */
export function placeOf(ms, interval) {
  const slot = slotOf(ms, interval);
  const opens = timeOf(slot, interval);
  return slot + (ms - opens) / (timeOf(slot + 1, interval) - opens);
}

/** The time at a place on the axis of slots: the way back from `placeOf`. */
export function momentOf(place, interval) {
  const slot = Math.floor(place);
  return timeOf(slot, interval) + (place - slot) * (timeOf(slot + 1, interval) - timeOf(slot, interval));
}

function barOf({ timestamp, open, high, low, close, volume, closed }, interval) {
  const time = Date.parse(timestamp);
  return { time, slot: slotOf(time, interval), open, high, low, close, volume, closed: closed === true };
}

/** Bars sorted by open time, one per slot, at most `limit`: the oldest go first. `version` grows with every change. */
export class Series {
  constructor(interval, limit = 5000) {
    this.interval = interval;
    this.limit = limit;
    this.bars = [];
    this.version = 0;
    this.folded = -Infinity; // time of the newest price that was folded in
  }

  get first() {
    return this.bars[0];
  }

  get last() {
    return this.bars[this.bars.length - 1];
  }

  get full() {
    return this.bars.length >= this.limit;
  }

  /** Index of the first bar at or after a slot. */
  indexOf(slot) {
    let low = 0;
    let high = this.bars.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bars[middle].slot < slot) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The bar of a slot, undefined in a hole. */
  at(slot) {
    const bar = this.bars[this.indexOf(slot)];
    return bar?.slot === slot ? bar : undefined;
  }

  /** The bars as they are now; they do not change any more. */
  copy() {
    return Object.assign(new Series(this.interval, this.limit), { bars: [...this.bars] });
  }

  clear() {
    this.bars = [];
    this.version += 1;
  }

  /** Takes a live `candle` payload. True when it does not join what is held: the hole wants a look at REST. */
  put(payload) {
    const bar = barOf(payload, this.interval);
    const held = this.bars.findLast(({ volume }) => volume !== undefined);
    const hole = held !== undefined && (bar.slot > held.slot + 1 || (bar.slot > held.slot && !held.closed));
    const known = this.at(bar.slot);
    if (known?.closed && !bar.closed) return false; // late: a closed bar never opens again
    this.place(bar);
    return hole;
  }

  /** Takes a page of REST. An open bar of a page may be older than the live one: the volume of a bar only grows. */
  merge(payloads) {
    for (const payload of payloads) {
      const bar = barOf(payload, this.interval);
      const known = this.at(bar.slot);
      if (!known || bar.closed || (!known.closed && !(bar.volume <= known.volume))) this.place(bar);
    }
  }

  /**
   * Moves the open bar along with a last price at a time (ms), until the venue's own bar comes. One older than what was folded before,
   * or of a bar that is closed, changes nothing. It closes no bar, and no volume is made of it: a bar that it opened has none. True when it opened one.
   */
  fold(price, time) {
    const slot = slotOf(time, this.interval);
    const { last } = this;
    if (!last || time < this.folded || slot < last.slot || (last.closed && slot === last.slot)) return false;
    this.folded = time;
    if (slot > last.slot) {
      this.place({ time: timeOf(slot, this.interval), slot, open: price, high: price, low: price, close: price, volume: undefined, closed: false });
      return true;
    }
    const high = Math.max(last.high, price);
    const low = Math.min(last.low, price);
    if (price !== last.close || high !== last.high || low !== last.low) this.place({ ...last, high, low, close: price });
    return false;
  }

  place(bar) {
    const index = this.indexOf(bar.slot);
    const known = this.bars[index]?.slot === bar.slot;
    this.bars.splice(index, known ? 1 : 0, bar);
    if (this.bars.length > this.limit) this.bars.shift();
    this.version += 1;
  }
}

// Calls each(bar, index, joined): `joined` is false where the bar before is missing.
function walk(bars, each) {
  bars.forEach((bar, index) => each(bar, index, index > 0 && bars[index - 1].slot === bar.slot - 1));
}

/** Mean close of the last `length` bars; NaN where one of them is missing. */
export function sma(bars, length) {
  const values = new Float64Array(bars.length).fill(NaN);
  let sum = 0;
  let run = 0;
  walk(bars, (bar, index, joined) => {
    if (!joined) sum = run = 0;
    sum += bar.close;
    run += 1;
    if (run > length) sum -= bars[index - length].close;
    if (run >= length) values[index] = sum / length;
  });
  return values;
}

/** Exponential mean of the close, begun with the simple mean of `length` bars and begun again after a hole. */
export function ema(bars, length) {
  const values = sma(bars, length);
  const weight = 2 / (length + 1);
  walk(bars, (bar, index, joined) => {
    const before = joined ? values[index - 1] : NaN;
    if (!Number.isNaN(before)) values[index] = before + weight * (bar.close - before);
  });
  return values;
}

/** Volume-weighted typical price since midnight UTC; NaN where a bar of the day is missing, and everywhere from one day up. */
export function vwap(bars, interval) {
  const values = new Float64Array(bars.length).fill(NaN);
  if (lengthOf(interval) >= DAY) return values;
  let whole = false;
  let money = 0;
  let volume = 0;
  walk(bars, (bar, index, joined) => {
    if (bar.time % DAY === 0) {
      whole = true;
      money = volume = 0;
    } else if (!joined) whole = false;
    money += ((bar.high + bar.low + bar.close) / 3) * bar.volume;
    volume += bar.volume;
    if (whole && volume > 0) values[index] = money / volume;
  });
  return values;
}

/** The values of an overlay by its name in the address: `ema20`, `sma50`, `vwap`. Undefined for any other name. */
export function overlay(name, series) {
  const [, kind, length] = /^(ema|sma)(\d{1,3})$/.exec(name) ?? [];
  if (name === "vwap") return vwap(series.bars, series.interval);
  if (!kind || Number(length) < 2) return undefined;
  return (kind === "ema" ? ema : sma)(series.bars, Number(length));
}

const PAGE = 500;
const PAGE_MAX = 1000;

/** Fills a series from REST. `fetch({limit, end})` resolves to an answer of /api/candles. */
export class History {
  /** @param {() => number} clock the server's time in ms */
  constructor(series, fetch, clock) {
    this.series = series;
    this.clock = clock;
    this.begun = false; // true once the oldest bar of the venue is held
    this.isStale = false; // the answer that is on its way may lack what is wanted now
    const failed = () => this.isNew();
    this.newest = new Question(() => fetch(this.missing()), { took: (answer) => this.merge(answer), every: () => (this.isStale ? 0 : undefined), failed });
    this.before = new Question(() => fetch(this.page()), { took: (answer) => this.prepend(answer), failed });
    this.questions = [this.newest, this.before];
  }

  /** The question that failed last time; undefined for none. */
  get failed() {
    return this.questions.find(({ error }) => error);
  }

  /** "loading", "ready", "failed" (it is asked again) or "refused" (on demand, or when the connection is new). */
  get state() {
    if (this.failed) return this.failed.isRefused ? "refused" : "failed";
    return this.answered ? "ready" : "loading";
  }

  /** The server's words. */
  get message() {
    return this.failed?.error.message ?? "";
  }

  /** The newest bars: a first page, or what is missing since the last closed bar. */
  recent() {
    if (this.newest.underWay) this.isStale = true;
    else this.newest.want();
  }

  /** One page before the first bar that is held; not while there are only live ones. */
  older() {
    const { first, full } = this.series;
    if (first && this.answered && !full && !this.begun && !this.before.underWay) this.before.want();
  }

  /** Ask what was refused once more. */
  retry() {
    for (const each of this.questions) if (each.error) each.ask();
  }

  /** Nothing is asked any more, and answers that are still on their way are thrown away. */
  end() {
    this.ended = true;
    for (const each of this.questions) each.stop();
  }

  missing() {
    this.isStale = false;
    const closed = this.series.bars.findLast((bar) => bar.closed);
    const missing = closed ? slotOf(this.clock(), this.series.interval) - closed.slot + 2 : PAGE;
    if (missing > PAGE_MAX) this.series.clear(); // longer away than one page reaches: begin anew, scrolling back brings the rest
    return { limit: missing > PAGE_MAX ? PAGE : Math.max(missing, 3) };
  }

  page() {
    this.paged = this.series.first;
    return { limit: PAGE, ...(this.paged && { end: this.paged.time - 1 }) };
  }

  prepend(answer) {
    this.merge(answer);
    if (this.series.first === this.paged) this.begun = true;
  }

  merge({ candles }) {
    if (this.ended) return;
    this.answered = true;
    this.series.merge(candles);
    this.isNew();
  }

  // Also an empty page and a failure are news.
  isNew() {
    this.series.version += 1;
  }
}
