// Which instruments exist, from /api/symbols; asked again less and less often since it last changed, and once a minute.

import { Question } from "./requests.js";

const AGAIN_MS = 2000;
const REFRESH_MS = 60000;

// What is left of a symbol without its signs: BTCUSDT, btc/usdt and BTC-USDT are the same.
const bare = (symbol) => symbol.replace(/[^\p{L}\p{N}]/gu, "").toUpperCase();

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
    this.unchanged = 0;
    this.version = 0;
    this.answered = false;
    this.error = this.refused = "";
    this.take([]);
    this.question = new Question("api/symbols", {
      took: ({ exchanges }) => this.answer(exchanges),
      every: () => this.pause(),
      failed: (error, isFinal) => {
        this.error = error.message;
        this.refused = isFinal ? error.message : "";
      },
    });
  }

  /** Read it, and keep it fresh. Resolves after the first answer, good or bad. */
  load() {
    return this.question.ask();
  }

  /** Read it soon and often again: something has changed. */
  again() {
    this.unchanged = 0;
    return this.question.ask();
  }

  answer(exchanges) {
    const before = this.version;
    this.error = this.refused = "";
    this.answered = true;
    this.take(exchanges);
    this.unchanged = this.version === before ? this.unchanged + 1 : 0;
  }

  // A venue's markets are read one after the other, so that what is there may not be all. The list has megabytes: one that does not grow is not
  // read every two seconds.
  pause() {
    return Math.min(REFRESH_MS, AGAIN_MS * 2 ** this.unchanged);
  }

  take(exchanges) {
    const all = exchanges.flatMap(({ exchange, symbols }) => symbols.map((each) => ({ ...each, exchange })));
    const key = JSON.stringify(exchanges);
    if (key === this.key) return;
    this.key = key;
    this.version += 1;
    this.all = all;
    this.byName = new Map(all.map((each) => [nameOf(each), each]));
    this.byBare = Map.groupBy?.(all, (each) => nameOf({ ...each, symbol: bare(each.symbol) })) ?? new Map();
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

  /** A symbol as it is listed, at one venue or (without `exchange`) at any: as it is given, in upper case, else by its letters and digits alone. */
  spelling(exchange, market, symbol) {
    const venues = exchange ? [exchange] : this.venues;
    const listed = (name) => venues.some((venue) => this.find(venue, market, name));
    const upper = symbol.toUpperCase();
    if (listed(symbol)) return symbol;
    if (listed(upper)) return upper;
    const alike = venues.flatMap((venue) => this.byBare.get(nameOf({ exchange: venue, market_type: market, symbol: bare(symbol) })) ?? []);
    const names = new Set(alike.map((each) => each.symbol));
    return names.size === 1 ? [...names][0] : symbol;
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

/** Why there is nothing to show yet; commands between backticks. Why a venue cannot be reached is said above every view. */
export function emptyState({ catalogue, venues }) {
  const refused = venues.refused || catalogue.refused;
  if (refused) return `The server refuses to say what there is: ${refused}`;
  if (venues.error && !venues.list.length) return `The server does not answer (${venues.error}); it is asked again.`;
  if (venues.at !== undefined && !venues.list.length) {
    return "No exchange is running. Start with `twistd -n cryptodash --exchanges binance,bybit` or try `twistd -n cryptodash --demo`.";
  }
  if (catalogue.answered && venues.list.length && venues.list.every(({ status }) => status !== "online")) {
    return "No list of markets yet: no exchange can be used. The server goes on trying. To look around without a network: `twistd -n cryptodash --demo`.";
  }
  return "Loading the catalogue\u2026";
}
