// The venues' books as one: each level with whose it is, and what could be gained at once where they cross.

import { decimalsOf, DASH, bps, price, size, stateWords } from "./format.js";
import { agedWords } from "./compare_quotes.js";
import { crossedVenues, netCrossing } from "./crossing.js";
import { Rows, el, setAttr, setClass, setText, show } from "./dom.js";
import { CLOCK, doubt } from "./panel.js";
import { offBps } from "./rules.js";

const DEPTH = 20;
const SHOWN = 10;
const MAX_RATE = 10;
const GROUPS = 6;

/** The fewest first letters that tell the names apart: {binance: "BI", bybit: "BY", okx: "O"}. */
export function marksOf(names) {
  const short = (name, length = 1) => (length < name.length
    && names.some((each) => each !== name && each.startsWith(name.slice(0, length))) ? short(name, length + 1) : name.slice(0, length).toUpperCase());
  return Object.fromEntries(names.map((name) => [name, short(name)]));
}

function makeRow(side) {
  const [amount, worth, whose] = ["number price", "number size", "whose"].map((name) => el("td", { class: name }));
  const parts = new Rows(whose, () => ({ element: el("span") }));
  return { element: el("tr", { class: side }, amount, worth, whose), amount, worth, parts };
}

export class ConsolidatedBook {
  /** `feeOf(exchange)` is the taker fee in percent, undefined where none was entered. */
  constructor(app, feeOf) {
    this.app = app;
    this.feeOf = feeOf;
    this.asks = Array.from({ length: SHOWN }, () => makeRow("ask"));
    this.bids = Array.from({ length: SHOWN }, () => makeRow("bid"));
    this.spread = el("td", { colspan: "3" });
    const heads = ["Price", "Size", "Whose"].map((name, index) => el("th", { scope: "col", class: index < 2 ? "number" : null }, name));
    const body = el("tbody", {}, ...this.asks.map(({ element }) => element).reverse(), el("tr", { class: "spread" }, this.spread),
      ...this.bids.map(({ element }) => element));
    this.table = el("table", { class: "grid natural merged" }, el("caption", { class: "unseen" }, "Consolidated order book"), el("thead", {}, el("tr", {}, ...heads)), body);
    this.state = el("span", { class: "panel-state" });
    this.marks = el("p", { class: "lines-legend" });
    this.legend = new Rows(this.marks, () => ({ element: el("span") }));
    this.gross = el("p", { class: "gross" });
    this.net = el("p", { class: "net" });
    this.left = el("p", { class: "left-out" });
    this.element = el("section", { class: "panel", "aria-label": "Consolidated order book" },
      el("div", { class: "panel-head" }, el("h2", {}, "Consolidated order book"), this.state), this.gross, this.net, this.left, this.marks,
      el("div", { class: "scroll" }, this.table));
  }

  open({ market, symbol, venues }) {
    this.venues = venues;
    this.names = venues.map(({ exchange }) => exchange);
    this.short = marksOf(this.names);
    const instruments = venues.map(({ instrument }) => instrument);
    this.decimals = Math.max(0, ...instruments.map((each) => each.price_precision));
    this.sizeDecimals = Math.max(0, ...instruments.map((each) => decimalsOf(each.step_size) ?? 0));
    const [{ base, quote } = {}] = instruments;
    Object.assign(this, { base, quote });
    show(this.element, venues.length > 1);
    this.topic = venues.length < 2 ? undefined
      : this.app.feed.open({ channel_type: "order_book", exchange: "composite", market_type: market, symbol, depth: DEPTH, max_rate: MAX_RATE });
  }

  close() {
    this.app.feed.close(this.topic, MAX_RATE);
    this.topic = undefined;
  }

  // What a choice of venues leaves out is not in the book that is shown: levels without the others, none invented.
  chosen() {
    const { value } = this.topic;
    const only = (levels) => levels.map(([at, , venues]) => {
      const kept = Object.entries(venues).filter(([name]) => this.names.includes(name));
      return [at, kept.reduce((sum, [, quantity]) => sum + quantity, 0), Object.fromEntries(kept)];
    }).filter(([, , venues]) => Object.keys(venues).length);
    return value && { bids: only(value.bids), asks: only(value.asks), merged: value.merged, excluded: value.excluded ?? [] };
  }

  draw(now) {
    if (!this.topic) return;
    const { feed } = this.app;
    const why = this.topic.error?.message ?? doubt(this.topic, feed, now);
    setText(this.state, why ? `${CLOCK} ${why}` : this.topic.status.state);
    setClass(this.state, why ? "panel-state doubtful" : "panel-state");
    setClass(this.table, why ? "grid natural merged untrusted" : "grid natural merged");
    const book = this.chosen() ?? { bids: [], asks: [], excluded: [] };
    this.asks.forEach((row, index) => this.drawLevel(row, book.asks[index]));
    this.bids.forEach((row, index) => this.drawLevel(row, book.bids[index]));
    this.legend.fill(this.names, ({ element }, name) => this.drawMark(element, name, `${this.short[name]} ${name}`));
    const left = book.excluded.flatMap((each) => {
      const venue = this.venues.find(({ exchange }) => exchange === each.exchange);
      return venue ? [`${each.exchange} ${agedWords(stateWords(each), venue.topic, now)}`] : [];
    });
    setText(this.left, left.length ? `left out ${left.join("; ")}` : "");
    setClass(this.left, left.length ? "left-out warned" : "left-out");
    this.drawSpread(book, why);
  }

  drawLevel(row, level) {
    const [at, quantity, venues] = level ?? [];
    setText(row.amount, level ? price(at, this.decimals) : "");
    setText(row.worth, level ? size(quantity, this.sizeDecimals) : "");
    row.parts.fill(level ? Object.entries(venues) : [], ({ element }, [name, part]) => {
      this.drawMark(element, name, `${this.short[name]} ${size(part, this.sizeDecimals)}`);
    });
  }

  // By a mark in letters, and by the colour and the pattern that the venue has in the chart of lines.
  drawMark(element, name, text) {
    setText(element, text);
    setAttr(element, "title", name);
    setClass(element, `lines-name lines-${this.names.indexOf(name) % GROUPS}`);
  }

  drawSpread(book, why) {
    const { bids: [bid], asks: [ask] } = book;
    const gap = bid && ask ? offBps(ask[0], bid[0]) : undefined;
    setText(this.spread, gap === undefined ? DASH : gap < 0 ? `crossed by ${bps(-gap)} bp` : gap === 0 ? "locked" : `spread ${bps(gap)} bp`);
    if (why || gap === undefined) {
      setText(this.gross, `crossing: ${DASH}`);
      setText(this.net, "nothing can be compared");
      return;
    }
    const counted = new Set([...book.bids, ...book.asks].flatMap(([, , venues]) => Object.keys(venues)));
    if (counted.size < 2) {
      setText(this.gross, `crossing: ${DASH}`);
      setText(this.net, `only ${[...counted]} counts: nothing can be compared`);
      return;
    }
    const crossed = crossedVenues(book);
    if (!crossed.length) {
      setText(this.gross, "no crossing before fees");
      setText(this.net, "no crossing after fees");
      return;
    }
    const lacking = crossed.filter((exchange) => this.feeOf(exchange) === undefined);
    setText(this.gross, `gross, before fees: ${this.words(netCrossing(book, {}, this.digits))}`);
    if (lacking.length) setText(this.net, `net: enter the taker fee of ${lacking.join(", ")}`);
    else {
      const found = netCrossing(book, Object.fromEntries(crossed.map((exchange) => [exchange, this.feeOf(exchange)])), this.digits);
      setText(this.net, found ? `net, after fees: ${this.words(found)}: buy ${found.buys.join(", ")}, sell ${found.sells.join(", ")}` : "no crossing after fees");
    }
  }

  get digits() {
    return { sizeDecimals: this.sizeDecimals, profitDecimals: Math.max(2, this.decimals) };
  }

  words({ size: amount, profit, atLeast }) {
    const mark = atLeast ? "\u2265 " : "";
    return `${mark}${size(amount, this.sizeDecimals)} ${this.base}, profit ${mark}${price(profit, this.digits.profitDecimals)} ${this.quote}`;
  }
}
