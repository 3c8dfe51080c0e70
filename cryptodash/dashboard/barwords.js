// The bars of a chart in words: the legend above it, a sentence for a screen reader, the table.

import { barTime } from "./candles.js";
import { el, setClass, setText, show } from "./dom.js";
import { DASH, compact, price, signedPercent, size, zoneName } from "./format.js";
import { DAY, lengthOf, timeOf } from "./series.js";

const TABLE_ROWS = 200;
const TABLE_MS = 1000;
const COLUMNS = ["Open", "High", "Low", "Close", "Volume", "Change"];

// Against the close before, in percent.
function changeOf(series, bar) {
  const before = series.at(bar.slot - 1)?.close ?? bar.open;
  return before ? ((bar.close - before) / before) * 100 : undefined;
}

function cellsOf({ shown, market: { decimals, steps } }, bar) {
  const prices = [bar.open, bar.high, bar.low, bar.close].map((value) => price(value, decimals));
  return [...prices, size(bar.volume, steps), signedPercent(changeOf(shown, bar))];
}

const whenOf = ({ shown: { interval }, options }, slot) => barTime(timeOf(slot, interval), interval, options.zone);

/** What is not final about a bar; "" for a closed one. */
function openWords(bar) {
  if (bar.closed) return "";
  return bar.volume === undefined ? "not closed yet, only of last prices so far" : "not closed yet";
}

/** The bar of a slot of a `Chart` as a sentence. */
export function barSentence(chart, slot) {
  const { shown, trust } = chart;
  const bar = shown.at(slot);
  if (!bar) return `${whenOf(chart, slot)}: no bar`;
  const values = cellsOf(chart, bar).map((text, index) => `${COLUMNS[index].toLowerCase()} ${text}`).join(", ");
  const doubt = slot === shown.last.slot && !trust.good ? `; not to be trusted: ${trust.text}` : "";
  const open = openWords(bar);
  return `${whenOf(chart, slot)}: ${values}${open && `, ${open}`}${doubt}`;
}

/** The line above a chart: the bar at the crosshair, or the newest one. */
export class Legend {
  constructor() {
    this.element = el("p", { class: "chart-legend" });
    this.parts = [];
  }

  /** `more`: further parts [text, class], of the whole chart. */
  draw(chart, more = []) {
    const { shown, cross, lines, market, trust } = chart;
    if (!shown.last) {
      this.write([]);
      return;
    }
    const slot = cross?.slot ?? shown.last.slot;
    const index = shown.indexOf(slot);
    const bar = shown.at(slot);
    const [open, high, low, close, , change] = bar ? cellsOf(chart, bar) : COLUMNS.map(() => DASH);
    const parts = [[whenOf(chart, slot), "muted"], [`O ${open}`], [`H ${high}`], [`L ${low}`], [`C ${close}`]];
    const moved = bar ? changeOf(shown, bar) : 0;
    parts.push([bar ? `V ${compact(bar.volume)}` : "no bar"], [change, moved > 0 ? "up" : moved < 0 ? "down" : "muted"]);
    lines.forEach(({ name, values }, at) => {
      parts.push([`${name.toUpperCase()} ${price(bar ? values[index] : NaN, market.decimals)}`, `overlay${(at % 3) + 1}`]);
    });
    if (bar && !bar.closed) parts.push([trust.good ? "open" : "not live", "muted"]);
    this.write([...parts, ...more]);
    setClass(this.element, trust.good || slot !== shown.last.slot ? "chart-legend" : "chart-legend doubt");
  }

  // The parts are made once and only their texts change.
  write(parts) {
    while (this.parts.length < parts.length) {
      const part = el("span");
      this.parts.push(part);
      this.element.append(part, " ");
    }
    this.parts.forEach((part, index) => {
      const [text = "", name = ""] = parts[index] ?? [];
      setText(part, text);
      setClass(part, name);
    });
  }
}

/** The bars in sight as a table. */
export class BarTable {
  constructor() {
    this.body = el("tbody");
    this.zone = el("th", { scope: "col" });
    this.caption = el("caption");
    const head = el("tr", {}, this.zone, ...COLUMNS.map((name) => el("th", { scope: "col", class: "number" }, name)));
    const bars = el("table", {}, this.caption, el("thead", {}, head), this.body);
    this.element = el("div", { class: "chart-table", role: "region", "aria-label": "Bars", tabindex: "0", hidden: true }, bars);
  }

  /** Show it or not; true when it is shown now. */
  toggle() {
    const on = this.element.hidden;
    show(this.element, on);
    this.drawnAt = -TABLE_MS;
    return on;
  }

  /** Once a second while it is shown; true when it was drawn. */
  draw(chart, now) {
    if (this.element.hidden || now - this.drawnAt < TABLE_MS) return false;
    this.drawnAt = now;
    const { shown, market, trust, options, time } = chart;
    const { bars, interval } = shown;
    const end = Math.min(bars.length, shown.indexOf(Math.ceil(time.edge)));
    const begin = Math.max(shown.indexOf(Math.floor(time.from)), end - TABLE_ROWS, 0);
    const row = () => el("tr", {}, el("th", { scope: "row" }), ...COLUMNS.map(() => el("td", { class: "number" })));
    while (this.body.rows.length < end - begin) this.body.append(row());
    setText(this.caption, `${market.name}, ${end - begin} bars of ${interval}, newest first${trust.good ? "" : `; ${trust.text}`}`);
    setText(this.zone, `Open time, ${lengthOf(interval) >= DAY ? "UTC" : zoneName(options.zone)}`);
    [...this.body.rows].forEach((each, index) => {
      const bar = bars[end - 1 - index];
      show(each, index < end - begin);
      if (each.hidden) return;
      setText(each.cells[0], whenOf(chart, bar.slot));
      cellsOf(chart, bar).forEach((text, column) => setText(each.cells[column + 1], text));
    });
    return true;
  }
}
