// How much lies in the book within some distances of the mid, as a table. What is not proven is a lower bound, and says so.

import { upTo } from "./book.js";
import { el, setAttr, setText, table } from "./dom.js";
import { DASH, amount, bps, compact, price } from "./format.js";

/** The distances, in basis points. */
export const DISTANCES = [10, 50, 100, 200];

/** A distance in basis points as percent: 10 -> "0.1". */
const percent = (far) => String(far / 100);

/** Per distance {far, bids, asks}, each side as `upTo` tells it; [] without a mid. */
export function totals(book, distances = DISTANCES) {
  const mid = book?.mid;
  if (mid === undefined) return [];
  return distances.map((far) => ({ far, bids: upTo(book.bids, mid * (1 - far / 1e4), -1), asks: upTo(book.asks, mid * (1 + far / 1e4), 1) }));
}

/** How far the book is known, in words: "0.071 %", or for each side where they differ. */
export function knownWords(book) {
  const { known } = book;
  if (!known) return "";
  const [bids, asks] = [known.bids, known.asks].map((each) => `${bps(each / 100)} %`);
  return bids === asks ? bids : `${bids} below, ${asks} above`;
}

export class DepthTotals {
  constructor() {
    const { element, body, heads } = table("Size in the book within a distance of the mid", ["Within", ["Bids", "number"], ["Asks", "number"]], { class: "depth-totals" });
    this.element = element;
    this.heads = heads;
    this.rows = DISTANCES.map((far) => {
      const cells = ["bid", "ask"].map((side) => el("td", { class: `number ${side}` }));
      body.append(el("tr", {}, el("th", { scope: "row" }, `${percent(far)} %`), ...cells));
      return cells;
    });
  }

  /** `inQuote`: sizes in the quote currency. */
  draw(book, market, inQuote) {
    const unit = inQuote ? market.quote : market.base;
    ["Bids", "Asks"].forEach((side, index) => setText(this.heads[index + 1], `${side} ${unit}`));
    const found = totals(book);
    const words = found.length ? knownWords(book) : "";
    this.rows.forEach((cells, index) => {
      const sums = found[index] && [found[index].bids, found[index].asks];
      cells.forEach((cell, side) => this.write(cell, sums?.[side], market, inQuote, words));
    });
  }

  write(cell, sum, { decimals, steps, base, quote }, inQuote, words) {
    if (!sum) {
      setText(cell, DASH);
      setAttr(cell, "title", null);
      return;
    }
    const round = sum.proven ? Math.round : Math.floor;
    const text = inQuote ? compact(sum.value, round) : amount(sum.quantity, steps, round);
    const exact = inQuote ? `${price(sum.value, decimals)} ${quote}` : `${price(sum.quantity, steps)} ${base}`;
    setText(cell, sum.proven ? text : `\u2265 ${text}`);
    setAttr(cell, "title", sum.proven ? exact : `at least ${exact}: the book is known to ${words}`);
  }
}
