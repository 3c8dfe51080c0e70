// The trades of one market, newest first, in rows that are made once.

import { el, setAttr, setClass, setText, show } from "./dom.js";
import { age, iso, price, size, time, zoneName } from "./format.js";

const ROWS = 40;
const ARROWS = { buy: "buy \u25b2", sell: "sell \u25bc" };

export class Tape {
  constructor() {
    this.least = 0;
    this.paused = false;
    this.build();
  }

  build() {
    const oninput = () => this.filterBy(this.filter.value);
    this.filter = el("input", { type: "number", min: "0", step: "any", placeholder: "0", inputmode: "decimal", oninput });
    this.stop = el("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => this.pause() }, "pause");
    this.unit = el("span");
    this.controls = el("span", { class: "controls" }, el("label", {}, "min ", this.filter, " ", this.unit), this.stop);
    this.caption = el("caption", { class: "unseen" });
    this.heads = ["Time", "Price", "Size", "Side"].map((name, index) => el("th", { scope: "col", class: index && index < 3 ? "number" : "" }, name));
    const row = () => el("tr", { hidden: true }, ...["", "number", "number", ""].map((name) => el("td", { class: name })));
    this.rows = Array.from({ length: ROWS }, row);
    const body = el("tbody", { onpointerover: (event) => this.explain(event) }, ...this.rows);
    const table = el("table", { class: "tape" }, this.caption, el("thead", {}, el("tr", {}, ...this.heads)), body);
    this.room = el("div", { class: "tape-room", tabindex: "0", role: "region", "aria-label": "Trades" }, table);
    this.foot = el("p", { class: "panel-foot" });
    this.element = el("div", { class: "tape-box" }, this.room, this.foot);
  }

  /** { name, base, quote, decimals, steps } */
  setMarket(market) {
    this.market = market;
    this.since = undefined;
    this.seen = undefined;
    this.pause(false);
    this.filter.value = "";
    this.filterBy("");
    setText(this.unit, market.base);
    setText(this.caption, `Trades of ${market.name}, newest first`);
    setText(this.heads[1], `Price ${market.quote}`);
    setText(this.heads[2], `Size ${market.base}`);
  }

  setZone(zone) {
    this.zone = zone;
    this.seen = undefined;
    setText(this.heads[0], zone === "utc" || zone === "local" ? `Time ${zoneName(zone)}` : "Time");
    setAttr(this.heads[0], "title", zoneName(zone));
  }

  filterBy(text) {
    this.least = Math.max(0, Number(text) || 0);
    this.seen = undefined;
  }

  /** Hold the rows of the tape alone, or go on. */
  pause(on = !this.paused) {
    this.paused = on;
    this.seen = undefined;
    this.held = undefined;
    setText(this.stop, on ? "go on" : "pause");
    setAttr(this.stop, "aria-pressed", String(on));
  }

  /** Draws the trades of a topic. `serverNow` is the server's time in ms. */
  draw(topic, good, serverNow) {
    this.since ??= serverNow;
    if (this.paused) this.held ??= [...topic.value];
    const entries = this.held ?? topic.value;
    setText(this.foot, this.footText(topic, entries, serverNow));
    setClass(this.element, good || !topic.value.length ? "tape-box" : "tape-box doubt");
    if (this.seen === topic.version || (this.paused && this.seen !== undefined)) return;
    this.seen = topic.version;
    const chosen = this.choose(entries);
    this.rows.forEach((row, index) => this.write(row, chosen[index]));
  }

  // Newest first: trades of at least the wanted size, what was missed, and where the server's memory begins.
  choose(entries) {
    const chosen = [];
    let live = false;
    for (let at = entries.length - 1; at >= 0 && chosen.length < ROWS; at -= 1) {
      const entry = entries[at];
      if (entry.gap !== undefined) chosen.push({ note: `${entry.gap} trade${entry.gap === 1 ? "" : "s"} missed` });
      else if (entry.quantity >= this.least) {
        if (entry.replayed && live) chosen.push({ note: "before this page looked" });
        live = !entry.replayed;
        chosen.push(entry);
      }
    }
    return chosen;
  }

  write(row, entry) {
    show(row, entry !== undefined);
    row.trade = entry;
    if (!entry) return;
    const [when, at, quantity, side] = row.cells;
    const { note } = entry;
    setAttr(when, "colspan", note ? "4" : null);
    for (const cell of [at, quantity, side]) show(cell, !note);
    setClass(row, note ? "note" : entry.replayed ? `past ${entry.side}` : entry.side);
    setText(when, note ?? time(Date.parse(entry.timestamp), this.zone));
    if (note) return;
    setText(at, price(entry.price, this.market.decimals));
    setText(quantity, size(entry.quantity, this.market.steps));
    setText(side, ARROWS[entry.side] ?? "");
  }

  // A tooltip is written when somebody points at the row, not with every trade.
  explain({ target }) {
    const row = target.closest("tr");
    if (row?.trade?.id === undefined) return;
    const { timestamp, id, replayed } = row.trade;
    row.title = `${iso(Date.parse(timestamp))}, id ${id}${replayed ? ", before this page looked" : ""}`;
  }

  footText(topic, entries, serverNow) {
    const trades = entries.filter(({ gap }) => gap === undefined);
    if (!trades.length) return `no trades since ${time(this.since, this.zone)}`;
    if (this.paused) {
      const last = entries[entries.length - 1];
      const at = topic.value.lastIndexOf(last);
      return `paused, ${at < 0 ? "more than 500" : topic.value.length - 1 - at} newer`;
    }
    if (!trades.some(({ quantity }) => quantity >= this.least)) return `none of ${trades.length} trades is ${this.least} ${this.market.base} or more`;
    return `last trade ${age(serverNow - Date.parse(trades[trades.length - 1].timestamp))} ago`;
  }
}
