// Candles, volume and overlays of one series on a canvas; the legend, the notes and the table of bars are ordinary text.

import { Bounds } from "./axis.js";
import { barTime, paintCandles } from "./candles.js";
import { el, setClass, setText, show } from "./dom.js";
import { DASH, compact, price, signedPercent, size, zoneName } from "./format.js";
import { lengthOf, overlay, slotOf, timeOf } from "./series.js";
import { Surface } from "./surface.js";

const DAY = 86400000;
const AHEAD_PX = 36;
const PREFETCH_BARS = 60;
const BAR_MIN = 1.5;
const BAR_MAX = 48;
const BAR_START = 7;
const TABLE_ROWS = 200;
const TABLE_MS = 1000;
const COLUMNS = ["Open", "High", "Low", "Close", "Volume", "Change"];

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Candles that can be moved, read and listened to. */
export class Chart {
  /** `announce(text)` speaks to a screen reader. `clock()` is the time of the server. */
  constructor({ announce, clock }) {
    this.announce = announce;
    this.clock = clock;
    this.width = BAR_START; // of a bar and the space after it, CSS pixels
    this.right = undefined; // slot at the right edge; undefined while the newest bar is followed
    this.cross = undefined; // { slot, y } under the pointer or the arrow keys
    this.pointers = new Map();
    this.prices = new Bounds();
    this.volumes = new Bounds(0);
    this.options = { log: false, overlays: [], zone: "utc" };
    this.trust = { good: true, since: undefined, text: "" };
    this.build();
  }

  build() {
    this.legend = el("p", { class: "chart-legend" });
    this.note = el("p", { class: "chart-note" });
    this.latest = el("button", { class: "chart-latest", type: "button", title: "End", onclick: () => this.follow() }, "latest \u2192");
    this.plot = el("div", { class: "chart-plot", tabindex: "0", role: "application", "aria-roledescription": "candle chart" });
    this.body = el("tbody");
    this.zoneHead = el("th", { scope: "col" });
    this.caption = el("caption");
    const head = el("tr", {}, this.zoneHead, ...COLUMNS.map((name) => el("th", { scope: "col", class: "number" }, name)));
    const bars = el("table", {}, this.caption, el("thead", {}, head), this.body);
    this.table = el("div", { class: "chart-table", role: "region", "aria-label": "Bars", tabindex: "0", hidden: true }, bars);
    this.element = el("div", { class: "chart" }, this.legend, this.plot, this.table);
    this.surface = new Surface(this.plot, (...all) => this.paint(...all));
    this.plot.append(this.note, this.latest);
    this.legendParts = [];
    this.listen();
  }

  /** What is drawn: names and decimals of the market, its series and the history that fills it. */
  setSeries(series, history, market) {
    Object.assign(this, { series, history, market, shown: series.copy(), right: undefined, cross: undefined, seen: -1, lines: [] });
    this.nowSlot = slotOf(this.clock(), series.interval);
    this.prices.reset();
    this.volumes.reset();
    const keys = "Arrows read bars, Shift and arrows pan, plus and minus zoom, Enter speaks the bar.";
    this.plot.setAttribute("aria-label", `${market.name}, ${series.interval} candles. ${keys}`);
    this.surface.invalidate();
  }

  /** { log, overlays: ["ema20"], zone } */
  setOptions(options) {
    if (options.log !== undefined && options.log !== this.options.log) this.prices.reset();
    Object.assign(this.options, options);
    this.seen = -1;
    this.surface.invalidate();
  }

  /** Whether the newest bar may be believed; else since when (ms of the server) it may not, and why. */
  setTrust(good, since, text) {
    const { trust } = this;
    if (trust.good === good && trust.text === text && (good || trust.since === since)) return;
    this.trust = { good, since, text };
    this.surface.invalidate();
  }

  /** Show the bars as a table, or as a chart again; true when it is a table now. */
  toggleTable() {
    const on = this.table.hidden;
    show(this.table, on);
    show(this.plot, !on);
    this.tableAt = -TABLE_MS;
    this.surface.invalidate();
    return on;
  }

  /** Go back to the newest bar. */
  follow() {
    this.right = undefined;
    this.cross = undefined;
    this.surface.soon();
  }

  /** Draws what is new. */
  draw(now) {
    if (!this.series) return;
    if (this.series.version !== this.seen) this.take();
    const slot = slotOf(this.clock(), this.shown.interval);
    if (slot !== this.nowSlot) {
      this.nowSlot = slot;
      this.surface.invalidate();
    }
    if (!this.table.hidden) this.drawTable(now);
    this.surface.draw();
    if (this.wantsOlder()) this.history.older();
  }

  // What is shown changes here and nowhere else: a hand on the chart must not move a picture that is paused.
  take() {
    this.seen = this.series.version;
    this.shown = this.series.copy();
    this.lines = this.options.overlays.map((name) => ({ name, values: overlay(name, this.shown) })).filter(({ values }) => values);
    this.surface.invalidate();
  }

  // Before the left edge is reached, and while the day of a VWAP is not whole.
  wantsOlder() {
    const { first, last, interval } = this.shown;
    if (!first) return false;
    const day = this.options.overlays.includes("vwap") && lengthOf(interval) < DAY && first.time > last.time - (last.time % DAY);
    return day || this.from() < first.slot + PREFETCH_BARS;
  }

  // ---- the axis of time: slots and pixels

  // A stale stream does not stop the clock: the axis goes on, and what is missing is seen.
  edge() {
    if (this.right !== undefined) return this.right;
    return this.newest();
  }

  newest() {
    return Math.max(this.shown.last?.slot ?? -Infinity, this.nowSlot) + 1 + AHEAD_PX / this.width;
  }

  // While the table hides the plot, the part of time that was seen stays chosen.
  plotWidth() {
    if (this.surface.width) this.plotted = Math.max(1, this.surface.width - (this.axisWidth ?? 60));
    return this.plotted ?? 1;
  }

  from() {
    return this.edge() - this.plotWidth() / this.width;
  }

  x(slot) {
    return this.plotWidth() - (this.edge() - slot) * this.width;
  }

  slotAt(x) {
    return this.edge() - (this.plotWidth() - x) / this.width;
  }

  // ---- moving

  pan(bars) {
    this.moveTo(this.edge() + bars);
  }

  moveTo(right) {
    const { first } = this.shown;
    if (!first) return;
    const moved = Math.max(right, first.slot + 10);
    this.right = moved >= this.newest() ? undefined : moved;
    this.surface.soon();
  }

  zoom(factor, x = this.plotWidth()) {
    const slot = this.slotAt(x);
    this.width = clamp(this.width * factor, BAR_MIN, BAR_MAX);
    this.surface.soon();
    if (this.right !== undefined || x < this.plotWidth() * 0.75) this.moveTo(slot + (this.plotWidth() - x) / this.width);
  }

  point(slot, y) {
    const { last } = this.shown;
    if (!last) return;
    this.cross = { slot, y };
    if (slot < this.from() + 1) this.moveTo(slot + this.plotWidth() / this.width - 2);
    if (slot + 1 > this.edge()) this.moveTo(slot + 2);
    this.surface.soon();
  }

  listen() {
    const { plot } = this;
    plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    plot.addEventListener("pointerdown", (event) => this.down(event));
    plot.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) plot.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    plot.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && this.leave());
    plot.addEventListener("dblclick", () => this.follow());
    plot.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && this.key(event)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
  }

  leave() {
    this.cross = undefined;
    this.surface.soon();
  }

  wheel(event) {
    if (!this.shown) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan((event.deltaX || event.deltaY) * lines / this.width);
    else this.zoom(Math.exp(clamp(-event.deltaY * lines, -200, 200) * 0.002), event.offsetX);
  }

  down(event) {
    if (event.target.closest("button")) return;
    this.pointers.set(event.pointerId, event.offsetX);
    this.plot.setPointerCapture(event.pointerId);
    if (event.pointerType !== "mouse") this.hover(event);
  }

  move(event) {
    if (!this.shown) return;
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) {
      this.hover(event);
      return;
    }
    if (this.pointers.size === 2) this.pinch(event);
    else this.pan((before - event.offsetX) / this.width);
    this.pointers.set(event.pointerId, event.offsetX);
    if (event.pointerType === "mouse") this.hover(event);
  }

  pinch(event) {
    const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    const before = Math.abs(this.pointers.get(event.pointerId) - other);
    const after = Math.abs(event.offsetX - other);
    if (before > 8 && after > 8) this.zoom(after / before, (event.offsetX + other) / 2);
  }

  hover(event) {
    if (event.target !== this.plot && event.target !== this.surface.canvas) return;
    this.cross = { slot: Math.floor(this.slotAt(event.offsetX)), y: event.offsetY };
    this.surface.soon();
  }

  key({ key, shiftKey }) {
    if (!this.shown?.last) return false;
    const at = this.cross?.slot ?? this.shown.last.slot + 1;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (step && shiftKey) this.pan(step * Math.max(1, Math.round(this.plotWidth() / this.width / 10)));
    else if (step) this.point(clamp(at + step, this.shown.first.slot, this.shown.last.slot));
    else if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "Home") this.point(this.shown.first.slot);
    else if (key === "End") this.follow();
    else if (key === "Enter") this.announce(this.words(this.cross?.slot ?? this.shown.last.slot));
    else if (key === "Escape" && this.cross) this.leave();
    else return false;
    return true;
  }

  // ---- text

  change(bar) {
    const before = this.shown.at(bar.slot - 1)?.close ?? bar.open;
    return before ? ((bar.close - before) / before) * 100 : undefined;
  }

  cells(bar) {
    const { decimals, steps } = this.market;
    const prices = [bar.open, bar.high, bar.low, bar.close].map((value) => price(value, decimals));
    return [...prices, size(bar.volume, steps), signedPercent(this.change(bar))];
  }

  words(slot) {
    const { interval } = this.shown;
    const when = barTime(timeOf(slot, interval), interval, this.options.zone);
    const bar = this.shown.at(slot);
    if (!bar) return `${when}: no bar`;
    const values = this.cells(bar).map((text, index) => `${COLUMNS[index].toLowerCase()} ${text}`).join(", ");
    const doubt = slot === this.shown.last.slot && !this.trust.good ? `; not to be trusted: ${this.trust.text}` : "";
    return `${when}: ${values}${bar.closed ? "" : ", not closed yet"}${doubt}`;
  }

  // The legend's parts are made once and only their texts change.
  writeLegend(parts) {
    while (this.legendParts.length < parts.length) {
      const part = el("span");
      this.legendParts.push(part);
      this.legend.append(part, " ");
    }
    this.legendParts.forEach((part, index) => {
      const [text = "", name = ""] = parts[index] ?? [];
      setText(part, text);
      setClass(part, name);
    });
  }

  drawLegend() {
    const { interval, last } = this.shown;
    const slot = this.cross?.slot ?? last?.slot;
    if (slot === undefined) {
      this.writeLegend([]);
      return;
    }
    const index = this.shown.indexOf(slot);
    const bar = this.shown.at(slot);
    const [open, high, low, close, , change] = bar ? this.cells(bar) : COLUMNS.map(() => DASH);
    const when = barTime(timeOf(slot, interval), interval, this.options.zone);
    const parts = [[when, "muted"], [`O ${open}`], [`H ${high}`], [`L ${low}`], [`C ${close}`]];
    const moved = bar ? this.change(bar) : 0;
    parts.push([bar ? `V ${compact(bar.volume)}` : "no bar"], [change, moved > 0 ? "up" : moved < 0 ? "down" : "muted"]);
    this.lines.forEach(({ name, values }, at) => {
      const value = bar ? values[index] : NaN;
      parts.push([`${name.toUpperCase()} ${price(value, this.market.decimals)}`, `overlay${(at % 3) + 1}`]);
    });
    if (bar && !bar.closed) parts.push([this.trust.good ? "open" : "not live", "muted"]);
    this.writeLegend(parts);
    setClass(this.legend, this.trust.good || slot !== last.slot ? "chart-legend" : "chart-legend doubt");
  }

  drawNote() {
    const { state, message, begun } = this.history;
    let text = "";
    if (state === "refused") text = message;
    else if (state === "failed") text = `History could not be loaded: ${message}. It is asked again.`;
    else if (!this.shown.last) text = state === "loading" ? "loading" : "no candles yet";
    else if (this.from() < this.shown.first.slot) {
      const full = this.shown.full ? `${this.shown.limit} bars are held: a longer interval shows more` : "loading";
      text = begun ? "the exchange has nothing older" : full;
    }
    setText(this.note, text);
    setClass(this.note, this.shown.last && state !== "refused" ? "chart-note corner" : "chart-note");
    show(this.note, text !== "");
    show(this.latest, this.right !== undefined);
  }

  drawTable(now) {
    if (now - this.tableAt < TABLE_MS) return;
    this.tableAt = now;
    const { bars, interval } = this.shown;
    const end = Math.min(bars.length, this.shown.indexOf(Math.ceil(this.edge())));
    const begin = Math.max(this.shown.indexOf(Math.floor(this.from())), end - TABLE_ROWS, 0);
    const row = () => el("tr", {}, el("th", { scope: "row" }), ...COLUMNS.map(() => el("td", { class: "number" })));
    while (this.body.rows.length < end - begin) this.body.append(row());
    setText(this.caption, `${this.market.name}, ${end - begin} bars of ${interval}, newest first${this.trust.good ? "" : `; ${this.trust.text}`}`);
    setText(this.zoneHead, `Open time, ${lengthOf(interval) >= DAY ? "UTC" : zoneName(this.options.zone)}`);
    [...this.body.rows].forEach((each, index) => {
      const bar = bars[end - 1 - index];
      show(each, index < end - begin);
      if (each.hidden) return;
      setText(each.cells[0], barTime(bar.time, interval, this.options.zone));
      this.cells(bar).forEach((text, column) => setText(each.cells[column + 1], text));
    });
    this.drawLegend();
  }

  paint(...surface) {
    if (!this.shown) return;
    paintCandles(this, ...surface);
    this.drawLegend();
    this.drawNote();
  }
}
