// The knobs above the chart: interval, overlays, logarithm, table.

import { el, select, setAttr, setClass, show } from "./dom.js";
import { INTERVALS, LAYERS } from "./route.js";

/** The intervals with a button each, on the keys 1 to 7. */
export const COMMON = ["1m", "5m", "15m", "1h", "4h", "1d", "1w"];
const OVERLAYS = ["ema20", "sma50", "vwap"];

const LAYER_TITLES = {
  cvd: "Cumulative volume delta: what takers bought less what they sold, of the trades that this page knows",
  heat: "The order book of the last ten minutes, behind the candles",
  liq: "Liquidations: orders that closed positions by force",
};

const toggle = (text, title, onclick) => el("button", { type: "button", class: "toggle", title, onclick }, text);
const press = (button, on) => setAttr(button, "aria-pressed", String(on));

function overlayTitle(name) {
  if (name === "vwap") return "Volume-weighted mean price of the day (UTC)";
  return `${name.startsWith("ema") ? "Exponential mean" : "Mean"} of ${name.slice(3)} bars`;
}

export class ChartTools {
  /** `change({tf, ov, log, pct, lay})` hears of what belongs into the address, `table()` when a table is asked for, and answers whether it is shown. */
  constructor({ change, table }) {
    this.change = change;
    this.buttons = new Map(COMMON.map((name, at) => [name, toggle(name, `${name} candles (${at + 1})`, () => change({ tf: name }))]));
    const rare = INTERVALS.filter((name) => !COMMON.includes(name)).map((name) => [name, name]);
    this.rare = select("Other intervals", [["", "more"], ...rare], "", (name) => name && change({ tf: name }));
    this.overlays = new Map();
    this.overlayBox = el("span", { class: "controls", role: "group", "aria-label": "Overlays" });
    const scale = (name) => () => change({ log: "", pct: "", [name]: this.scales[name].ariaPressed === "true" ? "" : "1" });
    this.scales = { log: toggle("log", "Logarithmic prices", scale("log")), pct: toggle("%", "Percent of the close of the first bar in sight", scale("pct")) };
    this.layers = new Map(LAYERS.map((name) => [name, toggle(name === "heat" ? "book" : name.toUpperCase(), LAYER_TITLES[name], () => change({ lay: this.toggled(name) }))]));
    const layers = el("span", { class: "controls", role: "group", "aria-label": "Layers" }, ...this.layers.values());
    const asTable = toggle("table", "Show the bars as a table", () => press(asTable, table()));
    const intervals = el("span", { class: "controls", role: "group", "aria-label": "Interval" }, ...this.buttons.values(), this.rare);
    this.element = el("span", { class: "controls wrap" }, intervals, this.overlayBox, layers, ...Object.values(this.scales), asTable);
  }

  /** Shows what is chosen: an interval, names of overlays, "linear", "log" or "percent", names of layers; a market without liquidations offers none. */
  set(interval, overlays, scale, layers, hasLiquidations) {
    for (const [name, button] of this.buttons) press(button, name === interval);
    this.rare.value = COMMON.includes(interval) ? "" : interval;
    setClass(this.rare, COMMON.includes(interval) ? "" : "chosen");
    press(this.scales.log, scale === "log");
    press(this.scales.pct, scale === "percent");
    this.layered = layers;
    for (const [name, button] of this.layers) press(button, layers.includes(name));
    show(this.layers.get("liq"), hasLiquidations);
    this.chosen = overlays;
    for (const name of [...OVERLAYS, ...overlays]) if (!this.overlays.has(name)) this.addOverlay(name);
    for (const [name, button] of this.overlays) press(button, overlays.includes(name));
  }

  toggled(name) {
    const { layered } = this;
    return LAYERS.filter((each) => layered.includes(each) !== (each === name)).join(",");
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
