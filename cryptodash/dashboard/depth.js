// What lies in the book up to each price: two staircases and the mid between them.

import { Bounds, valueMarks } from "./axis.js";
import { DepthTotals, knownWords } from "./depthtotals.js";
import { el, setClass, setText } from "./dom.js";
import { DASH, bps, mark, price, size } from "./format.js";
import { Surface, hatch, snap } from "./surface.js";

/** What is further from the mid is not drawn. */
const FAR = 0.022;
const AXIS_HEIGHT = 18;
const AXIS_WIDTH = 46;

// Levels with their running sums: [price, total].
function stairs(levels) {
  let total = 0;
  return levels.map(([at, quantity]) => [at, (total += quantity)]);
}

export class Depth {
  constructor() {
    this.reading = el("p", { class: "depth-reading" });
    this.plot = el("div", { class: "depth-plot", role: "img" });
    this.totals = new DepthTotals();
    this.element = el("div", { class: "depth" }, this.reading, this.plot, this.totals.element);
    this.surface = new Surface(this.plot, (...all) => this.paint(...all));
    this.reach = new Bounds(0.02);
    this.height = new Bounds(0.08);
    this.plot.addEventListener("pointermove", ({ offsetX }) => this.point(offsetX));
    this.plot.addEventListener("pointerleave", () => this.point(undefined));
  }

  /** { name, decimals, steps } of the market that is shown. */
  setMarket(market) {
    this.market = market;
    this.book = null;
    this.told = undefined; // of the book what has not been said in words yet
    this.reach.reset();
    this.height.reset();
    this.plot.setAttribute("aria-label", `Depth of the order book of ${market.name}; the book beside it holds the same figures.`);
    this.surface.invalidate();
  }

  /** The book as it is now; `good` false while it may not be believed, `inQuote` for totals in the quote currency. */
  setBook(book, good, inQuote) {
    const known = book?.known && `book known to ${knownWords(book)}`;
    this.book = book && { mid: book.mid, known, bids: stairs(book.bids), asks: stairs(book.asks) };
    this.good = good;
    this.told = { book, inQuote };
    this.surface.invalidate();
  }

  draw() {
    if (!this.market) return;
    this.surface.draw();
    if (this.told) this.tell(this.told);
    this.told = undefined;
  }

  // In words, after the picture.
  tell({ book, inQuote }) {
    this.totals.draw(book, this.market, inQuote);
    setClass(this.element, this.good || !book ? "depth" : "depth doubt");
  }

  point(x) {
    this.pointer = x;
    this.surface.soon();
  }

  paint(context, width, height, colours, unit) {
    const mid = this.book?.mid;
    if (mid === undefined) {
      setText(this.reading, this.book ? "one side of the book is empty" : "no book yet");
      return;
    }
    // The same distance to both sides; where one ends earlier it is hatched, because nothing is known there.
    const ends = [this.book.bids, this.book.asks].map((side) => side.at(-1)[0]);
    this.reach.fit(0, Math.min(mid * FAR, Math.max(mid - ends[0], ends[1] - mid)));
    const [bids, asks] = [this.book.bids, this.book.asks].map((side) => this.near(side, mid));
    this.height.fit(0, Math.max(bids.at(-1)[1], asks.at(-1)[1]));
    const right = width - AXIS_WIDTH;
    const bottom = height - AXIS_HEIGHT;
    this.mid = mid;
    this.x = (value) => right / 2 + ((value - mid) / this.reach.high) * (right / 2);
    this.y = (total) => bottom - (total / this.height.high) * (bottom - 4);
    const pane = { context, colours, unit, right, bottom };
    this.paintAxes(pane);
    this.paintSide(pane, bids, this.good ? colours.up : colours.muted);
    this.paintSide(pane, asks, this.good ? colours.down : colours.muted);
    if (!this.good) hatch(context, 0, 0, right, bottom, colours.muted);
    else this.paintUnknown(pane, ...ends.map((end) => Math.min(right, Math.max(0, this.x(end)))));
    this.paintMid(pane);
    this.read(pane, this.book.bids, this.book.asks);
  }

  // The levels that the picture has room for; the step that leads out of it goes to its edge.
  near(levels, mid) {
    const beyond = levels.findIndex(([at]) => Math.abs(at - mid) > this.reach.high);
    if (beyond < 1) return levels;
    return [...levels.slice(0, beyond), [mid + Math.sign(levels[0][0] - mid) * this.reach.high, levels[beyond - 1][1]]];
  }

  paintUnknown({ context, colours, right, bottom }, from, to) {
    hatch(context, 0, 0, from, bottom, colours.muted);
    hatch(context, to, 0, right - to, bottom, colours.muted);
  }

  paintAxes({ context, colours, unit, right, bottom }) {
    context.strokeStyle = colours.line;
    context.fillStyle = colours.muted;
    context.lineWidth = unit;
    context.textAlign = "left";
    context.beginPath();
    for (const total of valueMarks(0, this.height.high, Math.max(2, bottom / 40))) {
      const y = snap(this.y(total), unit) + unit / 2;
      context.moveTo(0, y);
      context.lineTo(right, y);
      if (total && y > 8) context.fillText(mark(total), right + 4, y);
    }
    context.stroke();
    context.textAlign = "center";
    const { decimals } = this.market;
    const spread = this.reach.high;
    for (const value of valueMarks(this.mid - spread, this.mid + spread, Math.max(2, right / 110), 10 ** -(decimals ?? 8))) {
      const x = this.x(value);
      if (x > 24 && x < right - 24) context.fillText(price(value, decimals), x, bottom + AXIS_HEIGHT / 2);
    }
  }

  paintSide({ context, unit, bottom }, levels, colour) {
    context.beginPath();
    context.moveTo(this.x(levels[0][0]), bottom);
    let y = bottom;
    for (const [at, total] of levels) {
      const x = snap(this.x(at), unit);
      context.lineTo(x, y);
      y = this.y(total);
      context.lineTo(x, y);
    }
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineTo(this.x(levels[levels.length - 1][0]), bottom);
    context.globalAlpha = 0.18;
    context.fill();
    context.globalAlpha = 1;
  }

  paintMid({ context, colours, unit, right, bottom }) {
    context.strokeStyle = colours.muted;
    context.lineWidth = unit;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(snap(right / 2, unit) + unit / 2, 0);
    context.lineTo(snap(right / 2, unit) + unit / 2, bottom);
    if (this.pointer !== undefined && this.pointer < right) {
      context.moveTo(this.pointer, 0);
      context.lineTo(this.pointer, bottom);
    }
    context.stroke();
    context.setLineDash([]);
  }

  // Under the pointer: how much one could trade up to that price, and how far it is from the mid.
  read({ right }, bids, asks) {
    const { decimals, steps } = this.market;
    const mid = `mid ${price(this.mid, (decimals ?? 0) + 1)}`;
    if (this.pointer === undefined || this.pointer >= right) {
      setText(this.reading, `${mid}; ${this.book.known}`);
      return;
    }
    const at = this.mid + ((this.pointer - right / 2) / (right / 2)) * this.reach.high;
    const levels = at < this.mid ? bids : asks;
    const known = at < this.mid ? at >= bids[bids.length - 1][0] : at <= asks[asks.length - 1][0];
    const within = levels.filter(([level]) => (at < this.mid ? level >= at : level <= at));
    const total = known ? size(within.length ? within[within.length - 1][1] : 0, steps) : DASH;
    const far = bps((Math.abs(at - this.mid) / this.mid) * 10000);
    setText(this.reading, `${mid}; to ${price(at, decimals)} (${far} bp): ${total}${known ? "" : " (beyond the book that is held)"}`);
  }
}
