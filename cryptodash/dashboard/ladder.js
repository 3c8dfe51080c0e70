// The order book as a table whose rows stand still: asks above, last price and spread pinned in the middle, bids below.

import { Bounds } from "./axis.js";
import { stepOf } from "./book.js";
import { Column } from "./column.js";
import { el, fillSelect, select, setAttr, setClass, setText, show } from "./dom.js";
import { DASH, age, amount, bps, compact, price, size } from "./format.js";
import { CLOCK } from "./panel.js";

// How many ticks may become one row.
const GROUPINGS = [1, 2, 5, 10, 50, 100];
const ROWS_MAX = 50;
const ROWS_USUAL = 25;
const ROWS_MIN = 4;

function makeRow(side) {
  const cells = ["price", "size", "total"].map((name) => el("td", { class: `number ${name}` }));
  const [first, ...measured] = cells;
  for (const cell of measured) cell.append((cell.bar = el("i", { class: "bar" })), (cell.text = el("span")));
  return Object.assign(el("tr", { class: side }, ...cells), { price: first, measured });
}

function scale(bar, share) {
  if (bar.share === share) return;
  bar.share = share;
  bar.style.setProperty("transform", `scaleX(${share})`);
}

export class Ladder {
  /** `onchange({grp}, {depth} or {unit})` hears what was chosen, `onchange({})` that `tall` has changed. */
  constructor(onchange) {
    this.onchange = onchange;
    this.options = { group: 1, mode: "size", unit: "base" };
    this.bounds = new Bounds(0);
    this.rows = ROWS_USUAL;
    this.tall = false;
    this.build();
  }

  build() {
    this.grouping = select("Group prices by", [], "1", (value) => this.onchange({ grp: value }));
    const onclick = () => this.onchange({ depth: this.options.mode === "cum" ? "size" : "cum" });
    this.mode = el("button", { type: "button", class: "toggle", title: "What the bars measure", onclick });
    const onunit = () => this.onchange({ unit: this.options.unit === "quote" ? "base" : "quote" });
    this.unit = el("button", { type: "button", class: "toggle", title: "Sizes in the base or in the quote currency", onclick: onunit });
    this.controls = el("span", { class: "controls" }, this.grouping, this.mode, this.unit);
    this.caption = el("caption", { class: "unseen" });
    this.heads = ["Price", "Size", "Total"].map((name) => el("th", { scope: "col", class: "number" }, name));
    this.asks = Array.from({ length: ROWS_MAX }, () => makeRow("ask"));
    this.bids = Array.from({ length: ROWS_MAX }, () => makeRow("bid"));
    this.lastAmount = el("span");
    this.arrow = el("span", { class: "arrow" });
    this.lastDoubt = el("span", { class: "last-doubt" });
    this.last = el("strong", { class: "last" }, this.lastAmount, this.arrow);
    this.spread = el("span", { class: "gap", title: "spread" });
    this.middle = el("td", { colspan: "3" }, el("div", { class: "between" }, this.last, this.lastDoubt, this.spread));
    const middle = el("tr", { class: "spread" }, this.middle);
    this.priceColumn = new Column();
    const body = el("tbody", {}, ...[...this.asks].reverse(), middle, ...this.bids);
    this.table = el("table", { class: "ladder" }, this.caption, el("colgroup", {}, this.priceColumn.element, el("col"), el("col")), el("thead", {}, el("tr", {}, ...this.heads)), body);
    this.room = el("div", { class: "ladder-room" }, this.table);
    this.foot = el("p", { class: "panel-foot" });
    [this.bidShare, this.askShare] = [el("span"), el("span")];
    this.shareBar = el("i", { class: "bar" });
    this.balance = el("p", { class: "balance" }, this.bidShare, el("span", { class: "share" }, this.shareBar), this.askShare);
    this.element = el("div", { class: "ladder-box" }, this.room, this.balance, this.foot);
    new ResizeObserver(() => this.fit()).observe(this.room);
  }

  // As many rows as there is room for, the same on both sides; the spread stays in the middle.
  fit() {
    const one = this.bids[0].offsetHeight;
    if (!one) return;
    const free = this.room.clientHeight - this.table.tHead.offsetHeight - this.middle.offsetHeight;
    this.rows = Math.min(ROWS_MAX, Math.max(ROWS_MIN, Math.floor(free / one / 2)));
    for (const side of [this.asks, this.bids]) side.forEach((row, index) => show(row, index < this.rows));
    this.seen = undefined;
    if (this.tall === this.rows > ROWS_USUAL) return;
    this.tall = !this.tall;
    this.onchange({});
  }

  /** { name, base, quote, decimals, steps, tick } */
  setMarket(market) {
    this.market = market;
    this.priceColumn.reset();
    setText(this.caption, `Order book of ${market.name}: asks above the last price and the spread, bids below`);
    setText(this.heads[0], `Price ${market.quote}`);
    const choices = GROUPINGS.map((factor) => {
      const { units, scale: whole } = stepOf(market.tick, factor);
      return [String(factor), price(units / whole, market.decimals)];
    });
    fillSelect(this.grouping, choices, String(this.options.group));
    this.setOptions(this.options);
  }

  /** { group: factor of the tick, mode: "size" or "cum", unit: "base" or "quote" } */
  setOptions(options) {
    this.options = options;
    this.seen = undefined;
    const { base, quote } = this.market;
    const inQuote = options.unit === "quote";
    setText(this.unit, `in ${inQuote ? quote : base}`);
    setText(this.heads[1], inQuote ? `Value ${quote}` : `Size ${base}`);
    setText(this.heads[2], `Total ${inQuote ? quote : base}`);
    for (const head of this.heads.slice(1)) setAttr(head, "title", inQuote ? "price \u00d7 size of every level" : null);
    this.grouping.value = String(options.group);
    setText(this.mode, options.mode === "cum" ? "bars: total" : "bars: size");
    setClass(this.table, `ladder by-${options.mode}`);
    this.bounds.reset();
  }

  /** The next grouping, after the last the first. */
  get nextGroup() {
    return GROUPINGS[(GROUPINGS.indexOf(this.options.group) + 1) % GROUPINGS.length];
  }

  /** Draws the book of a topic if it changed. `good` is false while it may not be believed. */
  draw(topic, good, now) {
    const { value: book } = topic;
    if (book) setText(this.foot, this.proof(book, topic, now));
    else setText(this.foot, "");
    // Before the first book its rows and columns have not found their place.
    setClass(this.element, !book && !topic.error ? "ladder-box pending" : good ? "ladder-box" : "ladder-box doubt");
    const seen = `${topic.key} ${topic.version}`;
    if (this.seen === seen) return;
    this.seen = seen;
    const { bids, asks } = book ? book.grouped(stepOf(this.market.tick, this.options.group), this.rows) : { bids: [], asks: [] };
    const inQuote = this.options.unit === "quote";
    const of = (rows) => rows.map((row) => ({ ...row, sizes: inQuote ? [row.value, row.worth] : [row.quantity, row.total] }));
    const [below, above] = [of(bids), of(asks)];
    const at = this.options.mode === "cum" ? 1 : 0;
    if (below.length + above.length) this.bounds.fit(0, Math.max(...[...below, ...above].map(({ sizes }) => sizes[at])));
    this.write(this.asks, above, at);
    this.write(this.bids, below, at);
    this.drawBalance(below, above);
    setText(this.spread, this.spreadText(book));
  }

  /** The last price (a LastPrice) between the two sides, with its own doubt. */
  drawLast(last) {
    const text = price(last.price, this.market.decimals);
    setText(this.lastAmount, text);
    setText(this.arrow, last.arrow);
    setClass(this.arrow, `arrow ${last.moved}`);
    setClass(this.last, `last ${last.classes}`);
    setText(this.lastDoubt, last.why ? `${CLOCK} ${last.why}` : "");
  }

  // Whose size is more of what is shown, in the column's unit.
  drawBalance(bids, asks) {
    const [bid, ask] = [bids, asks].map((side) => side.at(-1)?.sizes[1]);
    const known = bid !== undefined && ask !== undefined && bid + ask > 0;
    const share = known ? Math.round((bid / (bid + ask)) * 1000) : undefined;
    setText(this.bidShare, known ? `bids ${(share / 10).toFixed(1)} %` : "");
    setText(this.askShare, known ? `asks ${((1000 - share) / 10).toFixed(1)} %` : "");
    scale(this.shareBar, known ? (share / 1000).toFixed(3) : "0");
    const part = bids.at(-1)?.partial || asks.at(-1)?.partial ? "; the outermost rows as far as they are known" : "";
    setAttr(this.balance, "title", `Share of the ${this.options.unit === "quote" ? "value" : "size"} in the ${this.rows} rows of each side${part}`);
  }

  proof(book, topic, now) {
    const held = Math.min(book.bids.length, book.asks.length);
    const proven = book.complete ? "" : `, only ${held} of ${book.depth} levels proven`;
    return `seq ${price(book.sequence, 0)}, age ${age(topic.age(now))}${proven}`;
  }

  spreadText(book) {
    if (!book) return "";
    const { mid } = book;
    if (mid === undefined) return "one side is empty";
    const gap = book.asks[0][0] - book.bids[0][0];
    return `${price(gap, this.market.decimals)} (${bps((gap / mid) * 10000)} bp)`;
  }

  write(rows, levels, at) {
    for (let index = 0; index < this.rows; index += 1) {
      const row = rows[index];
      const level = levels[index];
      const text = level ? price(level.price, this.market.decimals) : "";
      this.priceColumn.fit(text);
      setText(row.price, text);
      row.measured.forEach((cell, column) => this.writeSize(cell, level, column));
      scale(row.measured[at].bar, level ? (level.sizes[at] / this.bounds.high).toFixed(3) : "0");
      setAttr(row, "title", level?.partial ? "At least: the book that is held ends within this row" : null);
    }
  }

  // What the cell has no room for stands in its title.
  writeSize(cell, level, column) {
    const { decimals, steps } = this.market;
    const inQuote = this.options.unit === "quote";
    const number = level?.sizes[column];
    const round = level?.partial ? Math.floor : Math.round;
    const text = level ? (inQuote ? compact(number, round) : amount(number, steps, round)) : "";
    const exact = level ? price(number, inQuote ? decimals : steps) : "";
    setText(cell.text, level?.partial ? `\u2265 ${text}` : text);
    setAttr(cell, "title", exact === text ? null : exact);
  }

  /** Best bid and ask in words. */
  words(book) {
    const { decimals, steps } = this.market;
    const side = ([best], name) => (best ? `${name} ${price(best[0], decimals)}, ${size(best[1], steps)}` : `${name} ${DASH}`);
    return book ? `${side(book.bids, "bid")}; ${side(book.asks, "ask")}` : "no book yet";
  }
}
