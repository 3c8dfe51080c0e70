// Candles, volume and overlays of one series on a canvas; what they say in words is ordinary text.

import { Bounds } from "./axis.js";
import { BarTable, Legend, barSentence } from "./barwords.js";
import { paintCandles } from "./candles.js";
import { el, setClass, setText, show } from "./dom.js";
import { price } from "./format.js";
import { ChartInput } from "./chartinput.js";
import { Layers } from "./layers.js";
import { PriceScale } from "./pricescale.js";
import { DAY, lengthOf, momentOf, overlay, placeOf, slotOf } from "./series.js";
import { Surface } from "./surface.js";
import { TimeAxis } from "./timeaxis.js";

const PREFETCH_BARS = 60;

/** Candles that can be moved, read and listened to. */
export class Chart {
  /** `announce(text)` speaks to a screen reader. `clock()` is the time of the server. */
  constructor({ announce, clock }) {
    this.announce = announce;
    this.clock = clock;
    this.time = new TimeAxis();
    this.cross = undefined; // { slot, y, x } under the pointer, or { slot } of the arrow keys
    this.prices = new PriceScale();
    this.volumes = new Bounds(0);
    this.options = { scale: "linear", overlays: [], zone: "utc" };
    this.neighbours = {}; // { longer, shorter }: intervals that the same time may be shown in
    this.regroup = () => {}; // called with one of them when a zoom asks for it
    this.trust = { good: true, since: undefined, text: "" };
    this.build();
  }

  build() {
    this.legend = new Legend();
    this.table = new BarTable();
    this.note = el("p", { class: "chart-note" });
    this.latest = el("button", { class: "chart-latest", type: "button", title: "End", onclick: () => this.follow() }, "latest \u2192");
    this.auto = el("button", { class: "chart-auto", type: "button", title: "Fit the prices to what is seen", onclick: () => this.autoScale() }, "auto");
    this.plot = el("div", { class: "chart-plot", tabindex: "0", role: "application", "aria-roledescription": "candle chart" });
    this.surface = new Surface(this.plot, (...all) => this.paint(...all));
    this.plot.append(this.note, this.latest, this.auto);
    show(this.auto, false);
    this.element = el("div", { class: "chart" }, this.legend.element, this.plot, this.table.element);
    this.layers = new Layers(this);
    this.input = new ChartInput(this);
  }

  /** What is drawn: names and decimals of the market, its series and the history that fills it. */
  setSeries(series, history, market) {
    Object.assign(this, { series, history, market, shown: series.copy(), cross: undefined, seen: -1, lines: [], shownAs: "" });
    this.time.reset();
    this.time.now = slotOf(this.clock(), series.interval);
    this.prices.auto();
    this.volumes.reset();
    const keys = "Arrows read bars, Shift and arrows pan and stretch, plus and minus zoom, Enter speaks the bar.";
    this.plot.setAttribute("aria-label", `${market.name}, ${series.interval} candles. ${keys}`);
    this.surface.invalidate();
  }

  /** The same part of time, as bars of another interval. `shownAs` says so. */
  changeSeries(series, history, shownAs) {
    const { time, cross, shown: { interval } } = this;
    const right = time.right === undefined ? undefined : placeOf(momentOf(time.right, interval), series.interval);
    this.setSeries(series, history, this.market);
    time.rescale(lengthOf(series.interval) / lengthOf(interval), right);
    if (cross?.x !== undefined) this.cross = cross; // under the pointer it stays
    this.shownAs = shownAs;
  }

  /** { scale: "linear", "log" or "percent"; overlays: ["ema20"]; zone } */
  setOptions(options) {
    Object.assign(this.options, options);
    this.prices.setMode(this.options.scale);
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
    const on = this.table.toggle();
    show(this.plot, !on);
    this.surface.invalidate();
    return on;
  }

  /** Draws what is new. */
  draw(now) {
    if (!this.series) return;
    if (this.series.version !== this.seen) this.take();
    const slot = slotOf(this.clock(), this.shown.interval);
    if (slot !== this.time.now) {
      this.time.now = slot;
      this.surface.invalidate();
    }
    if (this.table.draw(this, now)) this.legend.draw(this, this.notes());
    this.surface.draw();
    if (this.wantsOlder()) this.history.older();
  }

  // What is shown changes here and nowhere else: a hand on the chart must not move a picture that is paused.
  take() {
    this.seen = this.series.version;
    this.shown = this.series.copy();
    this.time.bound(this.shown.first?.slot, this.shown.last?.slot);
    this.lines = this.options.overlays.map((name) => ({ name, values: overlay(name, this.shown) })).filter(({ values }) => values);
    this.surface.invalidate();
  }

  // Before the left edge is reached, and while the day of a VWAP is not whole.
  wantsOlder() {
    const { first, last, interval } = this.shown;
    if (!first) return false;
    const day = this.options.overlays.includes("vwap") && lengthOf(interval) < DAY && first.time > last.time - (last.time % DAY);
    return day || this.time.from < first.slot + PREFETCH_BARS;
  }

  // ---- moving

  /** Go back to the newest bar. */
  follow() {
    this.time.right = undefined;
    this.leave();
  }

  /** By so many bars, and where the prices are held by so many pixels down. */
  pan(bars, down = 0) {
    this.time.pan(bars);
    this.prices.shift(down);
    this.surface.soon();
  }

  // Bars that cannot be narrower give way to longer ones, and those to shorter ones again when they are wide enough.
  zoom(factor, x) {
    const fits = (interval) => interval && this.time.suits(lengthOf(interval) / lengthOf(this.shown.interval), factor);
    const next = [this.neighbours.longer, this.neighbours.shorter].find(fits);
    if (next) this.regroup(next);
    this.time.zoom(factor, x);
    this.surface.soon();
  }

  /** `factor` times as much price on the same height, until `autoScale`. */
  stretch(factor) {
    this.prices.stretch(factor);
    this.surface.soon();
  }

  /** Fit the prices to what is seen again. */
  autoScale() {
    if (document.activeElement === this.auto) this.plot.focus();
    this.prices.auto();
    this.surface.soon();
  }

  /** The price at a height of the plot (pixels from its top); undefined before anything is drawn. */
  priceAt(y) {
    const found = this.prices.priceAt(y);
    return Number.isFinite(found) ? found : undefined;
  }

  /** The crosshair at a bar, which comes into sight. */
  point(slot) {
    if (!this.shown.last) return;
    this.cross = { slot };
    this.time.reveal(slot);
    this.surface.soon();
  }

  /** The crosshair at a place of the plot: there it stays, whatever moves below it. */
  hover(x, y) {
    this.cross = { x, y };
    this.placeCross();
    this.surface.soon();
  }

  placeCross() {
    if (this.cross?.x !== undefined) this.cross.slot = Math.floor(this.time.slotAt(this.cross.x));
  }

  leave() {
    this.cross = undefined;
    this.surface.soon();
  }

  /** Says the bar at the crosshair. */
  speak() {
    this.announce(barSentence(this, this.cross?.slot ?? this.shown.last.slot));
  }

  // ---- drawing

  drawNote() {
    const { state, message, begun } = this.history;
    let text = "";
    if (state === "failed") text = `History could not be loaded: ${message}. It is asked again.`;
    else if (!this.shown.last) text = { loading: "loading", ready: "no candles yet", refused: "no candles" }[state];
    else if (this.time.from < this.shown.first.slot) {
      const full = this.shown.full ? `${this.shown.limit} bars are held: a longer interval shows more` : "loading";
      text = begun ? "the exchange has nothing older" : state === "refused" ? "" : full;
    }
    setText(this.note, text);
    setClass(this.note, this.shown.last ? "chart-note corner" : "chart-note");
    show(this.note, text !== "");
    show(this.latest, !this.time.showsNewest);
    show(this.auto, this.prices.isHeld);
  }

  paint(...surface) {
    if (!this.shown) return;
    paintCandles(this, ...surface);
    this.layers.painted();
    this.legend.draw(this, this.notes());
    this.drawNote();
  }

  // What the whole picture means, [text, class] each.
  notes() {
    const { base, decimals } = this.prices;
    const percent = base ? [[`0 % is ${price(base, decimals)}, the first close in sight`, "muted wrap"]] : [];
    const other = this.shownAs ? [[this.shownAs, "muted"]] : [];
    return [...other, ...percent, ...this.layers.notes()];
  }
}
