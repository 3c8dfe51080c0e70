// How a chart looks: axes, candles, volume, overlays, the hatching over what may not be trusted, the crosshair. It changes nothing but pixels.

import { timeMarks, zoneOffset } from "./axis.js";
import { MINUS, price } from "./format.js";
import { DAY, lengthOf, placeOf, timeOf } from "./series.js";
import { DASHES, hatch, snap, tag } from "./surface.js";

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const TIME_HEIGHT = 20;
const VOLUME_SHARE = 0.16;
const TOP = 14;

/** The open time of a bar as text: without a clock from one day up, where a bar is a day of UTC whatever the zone. */
export function barTime(time, interval, zone) {
  const whole = lengthOf(interval) >= DAY;
  const wall = new Date(time + (whole ? 0 : zoneOffset(time, zone)));
  const iso = wall.toISOString();
  return `${WEEKDAYS[wall.getUTCDay()]} ${iso.slice(0, 10)}${whole ? "" : ` ${iso.slice(11, 16)}`}`;
}

// "UTC", "UTC+1", "UTC+5:45"
function offsetText(offset) {
  const minutes = Math.abs(offset) / 60000;
  const rest = minutes % 60 ? `:${String(minutes % 60).padStart(2, "0")}` : "";
  return offset ? `UTC${offset < 0 ? MINUS : "+"}${Math.floor(minutes / 60)}${rest}` : "UTC";
}

/** Paints a `Chart` into its surface. */
export function paintCandles(chart, context, width, height, colours, unit) {
  const { time, prices, shown: { bars, last }, market: { decimals } } = chart;
  const bottom = height - TIME_HEIGHT;
  const base = bottom - chart.layers.room(bottom);
  const floor = base - Math.round(base * VOLUME_SHARE) - 4;
  time.pixels = Math.max(1, width - Math.ceil(context.measureText(price(last?.close ?? 0, decimals)).width) - 16);
  chart.placeCross();
  const begin = chart.shown.indexOf(Math.floor(time.from));
  const seen = bars.slice(begin, chart.shown.indexOf(Math.ceil(time.edge)));
  prices.fit(seen, TOP, floor, decimals);
  const middle = (slot) => time.x(slot + 0.5);
  const y = (value) => prices.y(value);
  const pane = { chart, context, colours, unit, right: time.pixels, bottom, base, floor, begin, middle, y, bars: seen };
  paintTimes(pane);
  if (seen.length) paintPrices(pane);
  context.save();
  context.beginPath();
  context.rect(0, 0, pane.right, bottom);
  context.clip();
  paintVolume(pane);
  paintSide(pane, true);
  paintSide(pane, false);
  paintOverlays(pane);
  context.setLineDash([]);
  chart.layers.paint(pane);
  if (last && !chart.trust.good) paintDoubt(pane);
  context.restore();
  chart.layers.label(pane);
  if (last) paintLast(pane, last);
  if (last && chart.cross) paintCross(pane, chart.cross);
}

function begin({ context, unit }, colour, dash = []) {
  context.strokeStyle = colour;
  context.lineWidth = unit;
  context.setLineDash(dash);
  context.beginPath();
}

function paintPrices(pane) {
  const { chart: { prices }, context, colours, unit, right, bottom, floor, y } = pane;
  context.fillStyle = colours.muted;
  context.textAlign = "left";
  begin(pane, colours.line);
  for (const value of prices.marks(Math.max(2, floor / 44))) {
    const at = snap(y(value), unit) + unit / 2;
    context.moveTo(0, at);
    context.lineTo(right, at);
    if (!prices.base || at > TOP) context.fillText(prices.text(value), right + 6, at);
  }
  if (prices.base) context.fillText("first = 0 %", right + 2, TOP / 2);
  context.moveTo(right + unit / 2, 0);
  context.lineTo(right + unit / 2, bottom);
  context.stroke();
}

function paintTimes(pane) {
  const { chart, context, colours, unit, right, bottom, middle } = pane;
  const { interval } = chart.shown;
  const zone = lengthOf(interval) >= DAY ? "utc" : chart.options.zone;
  const from = timeOf(Math.floor(chart.time.from), interval);
  const to = timeOf(Math.ceil(chart.time.edge), interval);
  const gap = Math.max(lengthOf(interval), (lengthOf(interval) / chart.time.width) * 76);
  context.textAlign = "center";
  begin(pane, colours.line);
  for (const { time, text, strong } of timeMarks(from, to, gap, zone)) {
    const at = snap(middle(placeOf(time, interval)), unit) + unit / 2;
    if (at > right - 24 || at < 14) continue;
    context.moveTo(at, 0);
    context.lineTo(at, bottom);
    context.fillStyle = strong ? colours.text : colours.muted;
    context.fillText(text, at, bottom + TIME_HEIGHT / 2);
  }
  context.moveTo(0, bottom + unit / 2);
  context.lineTo(right, bottom + unit / 2);
  context.stroke();
  context.textAlign = "left";
  context.fillStyle = colours.muted;
  context.fillText(offsetText(zoneOffset(to, zone)), right + 6, bottom + TIME_HEIGHT / 2);
}

const rises = (bar) => bar.close >= bar.open;

function paintVolume({ chart, context, colours, unit, base, bars, middle }) {
  const room = Math.round(base * VOLUME_SHARE);
  const wide = Math.max(unit, snap(chart.time.width * 0.7, unit));
  const most = Math.max(...bars.map(({ volume = 0 }) => volume));
  if (most > 0) chart.volumes.fit(0, most);
  context.globalAlpha = 0.35;
  for (const bar of bars) {
    const tall = ((bar.volume ?? 0) / chart.volumes.high) * room;
    context.fillStyle = rises(bar) ? colours.up : colours.down;
    context.fillRect(snap(middle(bar.slot) - wide / 2, unit), base - tall, wide, tall);
  }
  context.globalAlpha = 1;
}

// Rising bodies are hollow, so that direction does not hang on colour.
function paintSide({ chart, context, colours, unit, bars, middle, y }, up) {
  const line = Math.max(unit, snap(1, unit));
  const wide = chart.time.width < 3.5 ? line : line + 2 * snap((chart.time.width * 0.72 - line) / 2, unit);
  context.fillStyle = up ? colours.up : colours.down;
  context.beginPath();
  for (const bar of bars) {
    if (rises(bar) !== up) continue;
    const wick = snap(middle(bar.slot) - line / 2, unit);
    const left = wick - (wide - line) / 2;
    const values = [bar.high, Math.max(bar.open, bar.close), Math.min(bar.open, bar.close), bar.low];
    const [high, top, base, low] = values.map((value) => snap(y(value), unit));
    const tall = Math.max(line, base - top);
    context.rect(wick, high, line, top - high);
    context.rect(wick, top + tall, line, low - top - tall);
    if (!up || wide <= 3 * line || tall <= 2 * line) context.rect(left, top, wide, tall);
    else {
      context.rect(left, top, wide, line);
      context.rect(left, top + tall - line, wide, line);
      context.rect(left, top, line, tall);
      context.rect(left + wide - line, top, line, tall);
    }
  }
  context.fill();
}

function paintOverlays(pane) {
  const { chart, context, colours, bars, middle, y } = pane;
  chart.lines.forEach(({ values }, at) => {
    begin(pane, colours[`overlay${(at % 3) + 1}`], DASHES[at % DASHES.length]);
    context.lineWidth = 1.5;
    let before;
    bars.forEach((bar, index) => {
      const value = values[pane.begin + index];
      const joined = before === bar.slot - 1;
      before = Number.isNaN(value) ? undefined : bar.slot;
      if (before === undefined) return;
      if (joined) context.lineTo(middle(bar.slot), y(value));
      else context.moveTo(middle(bar.slot), y(value));
    });
    context.stroke();
  });
}

// From the last good time on, with the cause in words.
function paintDoubt({ chart, context, colours, right, bottom }) {
  const { since, text } = chart.trust;
  const left = Math.max(0, chart.time.x(placeOf(since, chart.shown.interval)));
  if (!(left <= right)) return;
  hatch(context, left, 0, right - left, bottom, colours.muted);
  tag(context, text, Math.min(left + 4, right - 4), 26, colours.panel, colours.text, left > right / 2 ? "right" : "left");
}

function paintLast(pane, last) {
  const { chart, context, colours, unit, right, floor, y } = pane;
  const at = snap(y(last.close), unit) + unit / 2;
  if (at < 0 || at > floor + 20) return;
  const colour = chart.trust.good ? colours[rises(last) ? "up" : "down"] : colours.muted;
  begin(pane, colour, [2, 3]);
  context.moveTo(0, at);
  context.lineTo(right, at);
  context.stroke();
  context.setLineDash([]);
  tag(context, chart.prices.text(last.close), right + 2, at, colour, colours.panel);
}

function paintCross(pane, { slot, y: pointed }) {
  const { chart, context, colours, unit, right, bottom, floor, middle, y } = pane;
  const { interval } = chart.shown;
  const bar = chart.shown.at(slot);
  const level = pointed ?? (bar ? y(bar.close) : undefined);
  const at = snap(middle(slot), unit) + unit / 2;
  begin(pane, colours.muted, [3, 3]);
  context.moveTo(at, 0);
  context.lineTo(at, bottom);
  if (level < bottom) {
    context.moveTo(0, level);
    context.lineTo(right, level);
  }
  context.stroke();
  context.setLineDash([]);
  if (level <= floor) tag(context, chart.prices.text(chart.prices.priceAt(level)), right + 2, level, colours.text, colours.panel);
  const text = barTime(timeOf(slot, interval), interval, chart.options.zone);
  tag(context, text, Math.min(Math.max(at, 60), right - 60), bottom + TIME_HEIGHT / 2, colours.text, colours.panel, "center");
}
