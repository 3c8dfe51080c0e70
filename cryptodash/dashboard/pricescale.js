// How prices lie on the height of a chart: linear, by logarithm, or in percent of the first bar that is seen; fitted, or held by hand.

import { Bounds, logMarks, valueMarks } from "./axis.js";
import { price, signedPercent } from "./format.js";

export class PriceScale {
  constructor() {
    this.bounds = new Bounds();
    this.mode = "linear";
    this.isHeld = false;
  }

  /** "linear", "log" or "percent" */
  setMode(mode) {
    if (mode !== this.mode) this.auto();
    this.mode = mode;
  }

  /** Fit to what is seen again. */
  auto() {
    this.isHeld = false;
    this.bounds.reset();
  }

  /** For bars with the y of the highest at `top` and of the lowest at `floor`. `decimals` of the market. */
  fit(bars, top, floor, decimals) {
    const low = Math.min(...bars.map((bar) => bar.low));
    const high = Math.max(...bars.map((bar) => bar.high));
    const isLog = this.mode === "log" && low > 0;
    if (isLog !== this.isLog) this.auto();
    Object.assign(this, { top, floor, decimals, isLog, map: isLog ? Math.log : (value) => value });
    this.base = this.mode === "percent" ? bars[0]?.close : undefined;
    if (bars.length && !this.isHeld) this.bounds.fit(this.map(low), this.map(high));
  }

  get span() {
    return this.bounds.high - this.bounds.low;
  }

  y(value) {
    return this.top + ((this.bounds.high - this.map(value)) / this.span) * (this.floor - this.top);
  }

  priceAt(pixel) {
    const at = this.bounds.high - ((pixel - this.top) / (this.floor - this.top)) * this.span;
    return this.isLog ? Math.exp(at) : at;
  }

  /** `factor` times as much price on the same height, around the middle. */
  stretch(factor) {
    const { low, high } = this.bounds;
    const half = (this.span / 2) * factor;
    const least = Math.abs(low + high) * 1e-9;
    if (!(half > least) || !(half < 1e6 * (Math.abs(low + high) + 1))) return;
    Object.assign(this.bounds, { low: (low + high) / 2 - half, high: (low + high) / 2 + half });
    this.isHeld = true;
  }

  /** The picture goes down by so many pixels. Only what is held by hand moves. */
  shift(pixels) {
    if (!this.isHeld) return;
    const by = (pixels / (this.floor - this.top)) * this.span;
    this.bounds.low += by;
    this.bounds.high += by;
  }

  /** What stands at a price: itself, or how far it is from the first bar that is seen. */
  text(value) {
    return this.base ? signedPercent((value / this.base - 1) * 100) : price(value, this.decimals);
  }

  /** Round values in sight: prices, about `count` of them. */
  marks(count) {
    const [low, high] = [this.priceAt(this.floor), this.priceAt(4)];
    const { base } = this;
    if (base) return valueMarks((low / base - 1) * 100, (high / base - 1) * 100, count, 0.01).map((each) => base * (1 + each / 100));
    return (this.isLog ? logMarks : valueMarks)(low, high, count, 10 ** -(this.decimals ?? 8));
  }
}
