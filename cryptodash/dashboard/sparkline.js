// The last 24 hours of a market as a small line: what is fetched, what is kept, how it is drawn.

import { DASH, price } from "./format.js";
import { fetchJson, setAttr, setText } from "./dom.js";
import { failing, isPermanent, pauseAfter } from "./requests.js";

const HOURS = 24;
const HOUR_MS = 3600000;
const WIDTH = 96;
const HEIGHT = 20;
const AT_ONCE = 2;
const KEPT = 300;
const FRESH_MS = 600000;

/** The path of hourly closes; an hour without a bar is a gap, and a bar between two gaps a dot. */
export function sparkPath(bars) {
  const values = bars.map(({ close }) => close);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const end = Date.parse(bars.at(-1).timestamp);
  let before;
  return bars.map(({ timestamp, close }) => {
    const hour = Math.round((Date.parse(timestamp) - end) / HOUR_MS) + HOURS - 1;
    const at = `${((hour / (HOURS - 1)) * WIDTH).toFixed(1)} ${(HEIGHT - 1 - ((close - low) / span) * (HEIGHT - 2)).toFixed(1)}`;
    const joined = before === hour - 1;
    before = hour;
    return joined ? `L${at}` : `M${at}h0`;
  }).join("");
}

/** The same in words. */
export function sparkWords(bars, decimals) {
  const values = bars.map(({ close }) => close);
  const said = [values[0], values.at(-1), Math.min(...values), Math.max(...values)].map((each) => price(each, decimals));
  const [begin, end] = [bars[0], bars.at(-1)].map(({ timestamp }) => `${timestamp.slice(0, 10)} ${timestamp.slice(11, 16)}`);
  return `${bars.length} hourly closes, ${begin} to ${end} UTC: from ${said[0]} to ${said[1]}, low ${said[2]}, high ${said[3]}`;
}

/** Ask the server for them. */
export async function hourlyBars({ exchange, market_type: market, symbol }) {
  const query = new URLSearchParams({ exchange, market_type: market, symbol, interval: "1h", limit: HOURS });
  return (await fetchJson(`api/candles?${query}`)).candles;
}

/** The bars of the rows in sight: a few requests at a time, a bounded store; what was refused is asked again by `ask`, what failed after growing pauses. */
export class SparkStore {
  /** `fetchBars(instrument)` resolves to the bars or throws as `fetchJson` does. */
  constructor(fetchBars) {
    this.fetchBars = fetchBars;
    this.kept = new Map();
    this.refused = new Map(); // words; there are no more of them than instruments
    this.running = 0;
    this.queue = [];
    this.paused = new Map(); // by exchange, until when its budget of requests is used up
  }

  /** Ask what failed again, as soon as it is in sight. */
  ask() {
    failing.delete(this);
    this.refused.clear();
    this.paused.clear();
    for (const each of this.kept.values()) if (each.tries) each.until = 0;
  }

  /** What is refused, in words of the last answer; "" for nothing. */
  get words() {
    const { size } = this.refused;
    return size ? `No line of ${size} ${size > 1 ? "markets" : "market"}, the server refuses: ${[...this.refused.values()].at(-1).error}` : "";
  }

  /** `{bars}` or `{error}` of an instrument; undefined before the first answer. */
  get(id) {
    return this.kept.get(id) ?? this.refused.get(id);
  }

  /** These `[id, instrument]` are in sight, first things first; what is not any more is not asked for. */
  want(entries, now) {
    const isDue = ([id, { exchange }]) => !this.refused.has(id) && !(this.kept.get(id)?.until > now) && !(this.paused.get(exchange) > now);
    this.queue = entries.filter(isDue);
    this.pump();
  }

  pump() {
    while (this.running < AT_ONCE && this.queue.length) {
      const [id, instrument] = this.queue.shift();
      this.keep(id, { ...this.kept.get(id), until: Infinity }); // on its way
      this.fetch(id, instrument);
    }
  }

  async fetch(id, instrument) {
    this.running += 1;
    const before = this.kept.get(id);
    try {
      const bars = await this.fetchBars(instrument);
      this.keep(id, { ...(bars.length ? { bars } : { error: "no bars" }), until: performance.now() + FRESH_MS });
    } catch (error) {
      this.fail(id, instrument, before, error);
    }
    this.running -= 1;
    this.pump();
  }

  fail(id, { exchange }, { bars, tries = 0 }, error) {
    failing.add(this);
    if (isPermanent(error)) {
      this.kept.delete(id);
      this.refused.set(id, { error: error.message });
      return;
    }
    const until = performance.now() + pauseAfter(tries + 1, error);
    this.keep(id, { bars, error: error.message, tries: tries + 1, until });
    if (error.status === 429) this.pause(exchange, until);
  }

  pause(exchange, until) {
    this.paused.set(exchange, until);
    this.queue = this.queue.filter(([, instrument]) => instrument.exchange !== exchange);
  }

  keep(id, found) {
    this.kept.delete(id);
    this.kept.set(id, found);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
  }
}

/** The cell's content. */
export class Sparkline {
  constructor() {
    const make = (name, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) setAttr(made, key, value);
      return made;
    };
    this.path = make("path", {});
    this.element = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "sparkline", role: "img", preserveAspectRatio: "none" });
    this.element.append(this.path);
    this.none = document.createElement("span");
  }

  draw(found, decimals) {
    const bars = found?.bars;
    setText(this.none, bars ? "" : found?.error ? DASH : "");
    setAttr(this.none, "title", bars ? null : found?.error);
    if (this.drawn === bars) return;
    this.drawn = bars;
    this.words = bars ? sparkWords(bars, decimals) : undefined;
    setAttr(this.path, "d", bars ? sparkPath(bars) : "");
    setAttr(this.element, "aria-label", this.words);
    setAttr(this.element, "aria-hidden", bars ? null : "true");
  }
}
