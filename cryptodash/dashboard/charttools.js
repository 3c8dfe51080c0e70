// The knobs above the chart: interval, overlays, logarithm, table.

import { el, select, setAttr, setClass } from "./dom.js";
import { INTERVALS } from "./route.js";

/** The intervals with a button each, on the keys 1 to 7. */
export const COMMON = ["1m", "5m", "15m", "1h", "4h", "1d", "1w"];
const OVERLAYS = ["ema20", "sma50", "vwap"];

const toggle = (text, title, onclick) => el("button", { type: "button", class: "toggle", title, onclick }, text);
const press = (button, on) => setAttr(button, "aria-pressed", String(on));

function overlayTitle(name) {
  if (name === "vwap") return "Volume-weighted mean price of the day (UTC)";
  return `${name.startsWith("ema") ? "Exponential mean" : "Mean"} of ${name.slice(3)} bars`;
}

export class ChartTools {
  /** `change({tf, ov, log})` hears of what belongs into the address, `table()` when a table is asked for, and answers whether it is shown. */
  constructor({ change, table }) {
    this.change = change;
    this.buttons = new Map(COMMON.map((name, at) => [name, toggle(name, `${name} candles (${at + 1})`, () => change({ tf: name }))]));
    const rare = INTERVALS.filter((name) => !COMMON.includes(name)).map((name) => [name, name]);
    this.rare = select("Other intervals", [["", "more"], ...rare], "", (name) => name && change({ tf: name }));
    this.overlays = new Map();
    this.overlayBox = el("span", { class: "controls", role: "group", "aria-label": "Overlays" });
    this.log = toggle("log", "Logarithmic prices", () => change({ log: this.logged ? "" : "1" }));
    const asTable = toggle("table", "Show the bars as a table", () => press(asTable, table()));
    const intervals = el("span", { class: "controls", role: "group", "aria-label": "Interval" }, ...this.buttons.values(), this.rare);
    this.element = el("span", { class: "controls wrap" }, intervals, this.overlayBox, this.log, asTable);
  }

  /** Shows what is chosen: an interval, names of overlays, whether prices are logarithmic. */
  set(interval, overlays, log) {
    for (const [name, button] of this.buttons) press(button, name === interval);
    this.rare.value = COMMON.includes(interval) ? "" : interval;
    setClass(this.rare, COMMON.includes(interval) ? "" : "chosen");
    this.logged = log;
    press(this.log, log);
    this.chosen = overlays;
    for (const name of [...OVERLAYS, ...overlays]) if (!this.overlays.has(name)) this.addOverlay(name);
    for (const [name, button] of this.overlays) press(button, overlays.includes(name));
  }

  // Also one that only the address named: it stays as long as the page.
  addOverlay(name) {
    const button = toggle(name.toUpperCase(), overlayTitle(name), () => {
      const { chosen } = this;
      this.change({ ov: (chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name]).join(",") });
    });
    this.overlays.set(name, button);
    this.overlayBox.append(button);
  }
}
