// Which instruments exist, from /api/symbols; asked again while a venue's list is missing, less and less often, and once a minute.

import { fetchJson } from "./dom.js";
import { causeWords } from "./format.js";

const AGAIN_MS = 2000;
const REFRESH_MS = 60000;

const nameOf = ({ exchange, market_type: market, symbol }) => `${exchange}/${market}/${symbol}`;

/** How many single edits make `a` into `b`; `limit` + 1 when more than `limit`. */
export function distance(a, b, limit = 4) {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length];
}

export class Catalogue {
  /** `health`: the `Venues`, which know whom it is no use to wait for. */
  constructor(health) {
    this.health = health;
    this.tries = 0;
    this.version = 0;
    this.answered = false;
    this.take([]);
    this.error = "";
  }

  /** Read it, and keep it fresh. Resolves after the first answer, good or bad. */
  async load() {
    const before = this.version;
    try {
      const { exchanges } = await fetchJson("api/symbols");
      this.error = "";
      this.answered = true;
      this.take(exchanges);
      // The list has megabytes: one that does not grow is not read every two seconds.
      this.tries = this.version === before ? this.tries + 1 : 0;
    } catch (error) {
      this.error = error.message;
    }
    setTimeout(() => this.load(), this.missing.length || !this.venues.length ? Math.min(REFRESH_MS, AGAIN_MS * 2 ** this.tries) : REFRESH_MS);
  }

  take(exchanges) {
    const all = exchanges.flatMap(({ exchange, symbols }) => symbols.map((each) => ({ ...each, exchange })));
    const key = JSON.stringify(exchanges);
    if (key === this.key) return;
    this.key = key;
    this.version += 1;
    this.all = all;
    this.byName = new Map(all.map((each) => [nameOf(each), each]));
    this.venues = exchanges.map(({ exchange }) => exchange);
    this.filled = new Set(all.map(({ exchange }) => exchange));
  }

  /** The venues without a list. */
  get missing() {
    return this.venues.filter((exchange) => !this.filled.has(exchange));
  }

  /** Whether there is nothing to wait for: a venue whose list is missing is in trouble, and it is known in which. */
  get complete() {
    return this.venues.length > 0 && this.missing.every((exchange) => this.health.trouble(exchange));
  }

  /** Whether that venue's list is there, so that a symbol not found does not exist. */
  loaded(exchange) {
    return this.filled.has(exchange) || (this.venues.length > 0 && !this.venues.includes(exchange));
  }

  find(exchange, market, symbol) {
    return this.byName.get(nameOf({ exchange, market_type: market, symbol }));
  }

  /** A symbol as it is listed, at one venue or (without `exchange`) at any: as it is given, else in upper case. */
  spelling(exchange, market, symbol) {
    const listed = (name) => (exchange ? [exchange] : this.venues).some((venue) => this.find(venue, market, name));
    const upper = symbol.toUpperCase();
    return !listed(symbol) && listed(upper) ? upper : symbol;
  }

  /** The venues that list a symbol, in the catalogue's order. */
  venuesOf(market, symbol) {
    return this.venues.filter((exchange) => this.find(exchange, market, symbol));
  }

  /** Instruments whose "venue market symbol" holds every word of the text; the closest first. */
  search(text) {
    const words = text.toLowerCase().replace(/[/_]/g, "-").split(/\s+/).filter(Boolean);
    const found = [];
    for (const each of this.all) {
      const name = `${each.exchange} ${each.market_type} ${each.symbol} ${each.base}${each.quote} ${each.native}`.toLowerCase();
      if (words.every((word) => name.includes(word))) found.push([this.rank(each, words), each]);
    }
    return found.sort(([a], [b]) => a - b).map(([, each]) => each);
  }

  // An exact base beats a beginning, a beginning beats the middle; trading before halted, spot before perpetual.
  rank(each, words) {
    const base = each.base.toLowerCase();
    const fit = words.some((word) => word === base || word === each.symbol.toLowerCase()) ? 0 : words.some((word) => base.startsWith(word)) ? 1 : 2;
    return fit * 4 + (each.status === "trading" ? 0 : 2) + (each.market_type === "spot" ? 0 : 1);
  }

  /** Up to `n` instruments that somebody who wrote `text` ("binance spot DOGE-XYZ" or "DOGE-XYZ") may have meant. */
  near(text, n = 5) {
    const [symbol, market, exchange] = text.trim().split(/[\s/]+/).reverse();
    const wanted = symbol.toUpperCase();
    const base = wanted.split("-")[0];
    const scored = this.all.map((each) => {
      const far = Math.min(distance(each.symbol, wanted), distance(each.base, base) + 0.5);
      return [far + (each.market_type === (market ?? "spot") ? 0 : 0.3) + (!exchange || each.exchange === exchange ? 0 : 0.2), each];
    });
    return scored.filter(([far]) => far < 4).sort(([a], [b]) => a - b).slice(0, n).map(([, each]) => each);
  }
}

/** What /api/exchanges says of the venues, asked every two seconds, seldom in a hidden tab. */
export class Venues {
  constructor() {
    this.list = [];
    this.at = undefined;
    this.error = "";
  }

  async load() {
    try {
      this.list = (await fetchJson("api/exchanges")).exchanges;
      this.at = performance.now();
      this.error = "";
    } catch (error) {
      this.error = error.message;
    }
    setTimeout(() => this.load(), document.hidden ? REFRESH_MS : AGAIN_MS);
  }

  /** What is wrong with a venue, in words: "acme is offline: no route"; empty where nothing is, or no cause is known. */
  trouble(exchange) {
    const { status, cause, reason } = this.list.find(({ id }) => id === exchange) ?? {};
    if (status === "online" || !(cause || reason)) return "";
    return [`${exchange} is ${status}`, cause && causeWords(cause), reason].filter(Boolean).join(": ");
  }

  /** "simulated", "replay", "custom": every source beside "live" that any venue has. */
  get sources() {
    return [...new Set(this.list.map(({ source }) => source))].filter((source) => source !== "live");
  }
}

const QUOTES = ["USDT", "USD", "USDC", "EUR"];

/** The instrument for somebody who asked for none: BTC on the first venue that works, spot before perpetual. */
export function firstMarket(catalogue, venues) {
  const working = venues.list.filter(({ status }) => status === "online" || status === "degraded").map(({ id }) => id);
  const order = [...working, ...catalogue.venues.filter((each) => !working.includes(each))];
  const weight = ({ exchange, market_type: market, base, quote, status }) => {
    const known = QUOTES.indexOf(quote);
    const kind = (base === "BTC" ? 0 : 100) + (market === "spot" ? 0 : 10) + (known < 0 ? 9 : known);
    return (status === "trading" ? 0 : 1e5) + order.indexOf(exchange) * 1e3 + kind;
  };
  return catalogue.all.reduce((best, each) => (!best || weight(each) < weight(best) ? each : best), undefined);
}

/** Why there is nothing to show yet; commands between backticks. */
export function emptyState({ catalogue, venues }) {
  if (venues.error && !venues.list.length) return `The server does not answer (${venues.error}); asked again every 2 s.`;
  if (venues.at !== undefined && !venues.list.length) {
    return "No exchange is running. Start with `twistd -n cryptodash --exchanges binance,bybit` or try `twistd -n cryptodash --demo`.";
  }
  const troubled = venues.list.filter(({ status }) => status !== "online");
  if (catalogue.answered && troubled.length === venues.list.length && troubled.length) {
    const why = troubled.map(({ id, status }) => venues.trouble(id) || `${id} is ${status}`);
    return `No catalogue yet: ${why.join("; ")}. The server goes on trying. To look around without a network: \`twistd -n cryptodash --demo\`.`;
  }
  return "Loading the catalogue\u2026";
}
