// The order book as a table whose rows stand still: asks above, the spread pinned in the middle, bids below.

import { Bounds } from "./axis.js";
import { stepOf } from "./book.js";
import { el, fillSelect, select, setAttr, setClass, setText, show } from "./dom.js";
import { DASH, age, bps, price, size } from "./format.js";

// How many ticks may become one row.
const GROUPINGS = [1, 2, 5, 10, 50, 100];
const ROWS_MAX = 25;
const ROWS_MIN = 4;

function makeRow(side) {
  const cells = ["price", "size", "total"].map((name) => el("td", { class: `number ${name}` }));
  const [first, ...measured] = cells;
  for (const cell of measured) cell.append(cell.bar = el("i", { class: "bar" }), cell.text = el("span"));
  return Object.assign(el("tr", { class: side }, ...cells), { price: first, measured });
}

function scale(cell, share) {
  if (cell.share === share) return;
  cell.share = share;
  cell.bar.style.setProperty("transform", `scaleX(${share})`);
}

export class Ladder {
  /** `onchange({grp} or {depth})` hears what was chosen. */
  constructor(onchange) {
    this.onchange = onchange;
    this.options = { group: 1, mode: "size" };
    this.scales = { size: new Bounds(0), cum: new Bounds(0) };
    this.rows = ROWS_MAX;
    this.build();
  }

  build() {
    this.grouping = select("Group prices by", [], "1", (value) => this.onchange({ grp: value }));
    const onclick = () => this.onchange({ depth: this.options.mode === "cum" ? "size" : "cum" });
    this.mode = el("button", { type: "button", class: "toggle", title: "What the bars measure", onclick });
    this.controls = el("span", { class: "controls" }, this.grouping, this.mode);
    this.caption = el("caption", { class: "unseen" });
    this.heads = ["Price", "Size", "Total"].map((name) => el("th", { scope: "col", class: "number" }, name));
    this.asks = Array.from({ length: ROWS_MAX }, () => makeRow("ask"));
    this.bids = Array.from({ length: ROWS_MAX }, () => makeRow("bid"));
    this.spread = el("td", { colspan: "3" });
    const middle = el("tr", { class: "spread" }, this.spread);
    const body = el("tbody", {}, ...[...this.asks].reverse(), middle, ...this.bids);
    this.table = el("table", { class: "ladder" }, this.caption, el("thead", {}, el("tr", {}, ...this.heads)), body);
    this.room = el("div", { class: "ladder-room" }, this.table);
    this.foot = el("p", { class: "panel-foot" });
    this.element = el("div", { class: "ladder-box" }, this.room, this.foot);
    new ResizeObserver(() => this.fit()).observe(this.room);
  }

  // As many rows as there is room for, the same on both sides; the spread stays in the middle.
  fit() {
    const one = this.bids[0].offsetHeight;
    if (!one) return;
    const free = this.room.clientHeight - this.table.tHead.offsetHeight - this.spread.offsetHeight;
    this.rows = Math.min(ROWS_MAX, Math.max(ROWS_MIN, Math.floor(free / one / 2)));
    for (const side of [this.asks, this.bids]) side.forEach((row, index) => show(row, index < this.rows));
    this.seen = undefined;
  }

  /** { name, base, quote, decimals, steps, tick } */
  setMarket(market) {
    this.market = market;
    this.seen = undefined;
    for (const each of Object.values(this.scales)) each.reset();
    setText(this.caption, `Order book of ${market.name}: asks above the spread, bids below`);
    ["Price", "Size", "Total"].forEach((name, index) => setText(this.heads[index], `${name} ${index ? market.base : market.quote}`));
    const choices = GROUPINGS.map((factor) => {
      const { units, scale: whole } = stepOf(market.tick, factor);
      return [String(factor), price(units / whole, market.decimals)];
    });
    fillSelect(this.grouping, choices, String(this.options.group));
    this.setOptions(this.options);
  }

  /** { group: factor of the tick, mode: "size" or "cum" } */
  setOptions(options) {
    this.options = options;
    this.seen = undefined;
    this.grouping.value = String(options.group);
    setText(this.mode, options.mode === "cum" ? "bars: total" : "bars: size");
    setClass(this.table, `ladder by-${options.mode}`);
    for (const each of Object.values(this.scales)) each.reset();
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
    setClass(this.element, good || !book ? "ladder-box" : "ladder-box doubt");
    const seen = `${topic.key} ${topic.version}`;
    if (this.seen === seen) return;
    this.seen = seen;
    const { bids, asks } = book ? book.grouped(stepOf(this.market.tick, this.options.group), this.rows) : { bids: [], asks: [] };
    const shown = [...bids, ...asks];
    const column = this.options.mode === "cum" ? "total" : "quantity";
    const bounds = this.scales[this.options.mode];
    if (shown.length) bounds.fit(0, Math.max(...shown.map((row) => row[column])));
    this.write(this.asks, asks, bounds.high);
    this.write(this.bids, bids, bounds.high);
    setText(this.spread, this.spreadText(book));
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

  write(rows, levels, most) {
    const { decimals, steps } = this.market;
    const at = this.options.mode === "cum" ? 1 : 0;
    for (let index = 0; index < this.rows; index += 1) {
      const row = rows[index];
      const level = levels[index];
      const atLeast = level?.partial ? "\u2265 " : "";
      setText(row.price, level ? price(level.price, decimals) : "");
      setText(row.measured[0].text, level ? atLeast + size(level.quantity, steps) : "");
      setText(row.measured[1].text, level ? atLeast + size(level.total, steps) : "");
      scale(row.measured[at], level ? ((at ? level.total : level.quantity) / most).toFixed(3) : "0");
      setAttr(row, "title", level?.partial ? "At least: the book that is held ends within this row" : null);
    }
  }

  /** Best bid and ask in words. */
  words(book) {
    const { decimals, steps } = this.market;
    const side = ([best], name) => (best ? `${name} ${price(best[0], decimals)}, ${size(best[1], steps)}` : `${name} ${DASH}`);
    return book ? `${side(book.bids, "bid")}; ${side(book.asks, "ask")}` : "no book yet";
  }
}
