// How much each venue's book holds near its middle, and the taker fees that somebody enters.

import { stateText } from "./compare_quotes.js";
import { sizesWithin } from "./crossing.js";
import { Rows, cells, el, setAttr, setClass, setText, table } from "./dom.js";
import { DASH, decimalsOf, size } from "./format.js";
import { CLOCK } from "./panel.js";
import { soundFee } from "./settings.js";
import { freshness } from "./topics.js";

const DEPTH = 500;
const MAX_RATE = 1;
const BPS = [5, 10, 25];
/** More digits of a sum tell nothing; what is cut off is never added. */
const DECIMALS = 4;
const SIDES = [["bids", "bid"], ["asks", "ask"]];

const sizeText = (found, decimals) => (found ? `${found.atLeast ? "\u2265 " : ""}${size(found.size, decimals)}` : DASH);

export class Sizes {
  constructor(app) {
    this.app = app;
    const columns = ["Exchange", ["Taker fee %", "number"], ...BPS.map((bp) => [`within ${bp} bp`, "number"]), ["State", "wrap"]];
    const { element, body } = table("Size near the middle, and taker fees", columns, { class: "grid natural sizes" });
    this.heading = el("h2", {}, "Size near the middle");
    this.rows = new Rows(body, () => this.makeRow());
    this.problem = el("p", { class: "problem", role: "status" });
    const note = "Bids above, asks below. \u2265: the book is not proven that deep, there may be more. Fees stay in this browser.";
    this.element = el("section", { class: "panel", "aria-label": "Size near the middle" }, this.heading, el("div", { class: "scroll" }, element),
      this.problem, el("p", { class: "muted" }, note));
    this.venues = [];
  }

  makeRow() {
    const row = cells(["", "number", ...BPS.map(() => "number"), "state wrap"]);
    row.fee = el("input", { type: "number", class: "fee", min: "0", max: "10", step: "any", inputmode: "decimal", placeholder: DASH, onchange: () => this.enter(row) });
    row.cells[1].append(row.fee);
    row.near = row.cells.slice(2, -1).map((cell) => SIDES.map(([, name]) => {
      const part = el("span", { class: name });
      cell.append(part);
      return part;
    }));
    return row;
  }

  open({ market, symbol, venues }) {
    this.market = market;
    this.venues = venues.map(({ exchange, instrument }) => ({
      exchange, decimals: Math.min(DECIMALS, decimalsOf(instrument.step_size) ?? DECIMALS),
      topic: this.app.feed.open({ channel_type: "order_book", exchange, market_type: market, symbol, depth: DEPTH, max_rate: MAX_RATE }),
    }));
    setText(this.heading, `Size near the middle${venues.length ? `, ${venues[0].instrument.base}` : ""}`);
    setText(this.problem, "");
    // What stands there is of another symbol.
    for (const row of this.rows.rows) {
      row.seen = undefined;
      for (const part of row.near.flat()) setText(part, DASH);
    }
  }

  close() {
    for (const { topic } of this.venues) this.app.feed.close(topic, MAX_RATE);
    this.venues = [];
  }

  /** The taker fee of a venue on the market shown, in percent; undefined where none was entered. */
  feeOf(exchange) {
    return this.app.settings.get("fees")[`${exchange}/${this.market}`];
  }

  enter({ fee, exchange }) {
    const text = fee.value.trim();
    const percent = Number(text);
    const wrong = fee.validity.badInput || (text !== "" && !soundFee(percent));
    setAttr(fee, "aria-invalid", wrong || null);
    setText(this.problem, wrong ? "A taker fee is a number of percent from 0 to 10." : "");
    if (wrong) return;
    const { [`${exchange}/${this.market}`]: before, ...others } = this.app.settings.get("fees");
    this.app.settings.set("fees", text === "" ? others : { ...others, [`${exchange}/${this.market}`]: percent });
  }

  draw(now) {
    this.adding = true;
    this.rows.fill(this.venues, (row, venue) => this.drawRow(row, venue, now));
  }

  drawRow(row, { exchange, topic, decimals }, now) {
    const { feed } = this.app;
    const { good, kind } = freshness(topic, feed);
    row.exchange = exchange;
    setText(row.cells[0], `${good ? "" : `${CLOCK} `}${exchange}`);
    setAttr(row.fee, "aria-label", `Taker fee of ${exchange}, percent`);
    const fee = this.feeOf(exchange);
    const text = fee === undefined ? "" : String(fee);
    if (document.activeElement !== row.fee && !row.fee.matches("[aria-invalid]") && row.fee.value !== text) row.fee.value = text;
    const state = row.cells.at(-1);
    setText(state, stateText(topic, feed, now));
    setClass(state, `state wrap ${kind}`);
    setClass(row.element, good ? "" : "untrusted");
    // Half a thousand levels are added up when they have changed, those of one venue with each picture.
    const seen = `${topic.key} ${topic.version}`;
    if (row.seen === seen || !this.adding) return;
    row.seen = seen;
    this.adding = false;
    SIDES.forEach(([side], which) => {
      const found = topic.value ? sizesWithin(topic.value, side, BPS, decimals) : [];
      row.near.forEach((parts, at) => setText(parts[which], sizeText(found[at], decimals)));
    });
  }
}
