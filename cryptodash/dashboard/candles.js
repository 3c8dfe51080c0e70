// How a chart looks: axes, candles, volume, overlays, the hatching over what may not be trusted, the crosshair. It changes nothing but pixels.

import { logMarks, timeMarks, valueMarks, zoneOffset } from "./axis.js";
import { MINUS, price } from "./format.js";
import { lengthOf, placeOf, timeOf } from "./series.js";
import { DASHES, hatch, snap, tag } from "./surface.js";

const DAY = 86400000;
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
  const { bars, last } = chart.shown;
  const bottom = height - TIME_HEIGHT;
  chart.axisWidth = Math.ceil(context.measureText(price(last?.close ?? 0, chart.market.decimals)).width) + 16;
  const right = chart.plotWidth();
  const begin = chart.shown.indexOf(Math.floor(chart.from()));
  const seen = bars.slice(begin, chart.shown.indexOf(Math.ceil(chart.edge())));
  const middle = (slot) => chart.x(slot + 0.5);
  const pane = { chart, context, colours, unit, right, bottom, begin, middle, bars: seen, ...scale(chart, seen, bottom) };
  paintTimes(pane);
  if (seen.length) paintPrices(pane);
  context.save();
  context.beginPath();
  context.rect(0, 0, right, bottom);
  context.clip();
  paintVolume(pane);
  paintSide(pane, true);
  paintSide(pane, false);
  paintOverlays(pane);
  if (last && !chart.trust.good) paintDoubt(pane);
  context.restore();
  if (last) paintLast(pane, last);
  if (last && chart.cross) paintCross(pane, chart.cross);
}

function scale({ options, prices, volumes }, bars, bottom) {
  const low = Math.min(...bars.map((bar) => bar.low));
  const high = Math.max(...bars.map((bar) => bar.high));
  const volume = Math.max(...bars.map((bar) => bar.volume));
  const log = options.log && low > 0;
  const map = log ? Math.log : (value) => value;
  if (bars.length) prices.fit(map(low), map(high));
  if (volume > 0) volumes.fit(0, volume);
  const floor = bottom - Math.round(bottom * VOLUME_SHARE) - 4;
  const span = prices.high - prices.low;
  const y = (value) => TOP + ((prices.high - map(value)) / span) * (floor - TOP);
  const at = (pixel) => prices.high - ((pixel - TOP) / (floor - TOP)) * span;
  return { log, floor, y, priceAt: (pixel) => (log ? Math.exp(at(pixel)) : at(pixel)) };
}

function begin({ context, unit }, colour, dash = []) {
  context.strokeStyle = colour;
  context.lineWidth = unit;
  context.setLineDash(dash);
  context.beginPath();
}

function paintPrices(pane) {
  const { chart, context, colours, unit, right, bottom, floor, log, y, priceAt } = pane;
  const { decimals } = chart.market;
  const marks = log ? logMarks : valueMarks;
  context.fillStyle = colours.muted;
  context.textAlign = "left";
  begin(pane, colours.line);
  for (const value of marks(priceAt(floor), priceAt(4), Math.max(2, floor / 44), 10 ** -(decimals ?? 8))) {
    const at = snap(y(value), unit) + unit / 2;
    context.moveTo(0, at);
    context.lineTo(right, at);
    context.fillText(price(value, decimals), right + 6, at);
  }
  context.moveTo(right + unit / 2, 0);
  context.lineTo(right + unit / 2, bottom);
  context.stroke();
}

function paintTimes(pane) {
  const { chart, context, colours, unit, right, bottom, middle } = pane;
  const { interval } = chart.shown;
  const zone = lengthOf(interval) >= DAY ? "utc" : chart.options.zone;
  const from = timeOf(Math.floor(chart.from()), interval);
  const to = timeOf(Math.ceil(chart.edge()), interval);
  const gap = Math.max(lengthOf(interval), (lengthOf(interval) / chart.width) * 76);
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

function paintVolume({ chart, context, colours, unit, bottom, bars, middle }) {
  const room = Math.round(bottom * VOLUME_SHARE);
  const wide = Math.max(unit, snap(chart.width * 0.7, unit));
  context.globalAlpha = 0.35;
  for (const bar of bars) {
    const tall = (bar.volume / chart.volumes.high) * room;
    context.fillStyle = rises(bar) ? colours.up : colours.down;
    context.fillRect(snap(middle(bar.slot) - wide / 2, unit), bottom - tall, wide, tall);
  }
  context.globalAlpha = 1;
}

// Rising bodies are hollow, so that direction does not hang on colour.
function paintSide({ chart, context, colours, unit, bars, middle, y }, up) {
  const line = Math.max(unit, snap(1, unit));
  const wide = chart.width < 3.5 ? line : line + 2 * snap((chart.width * 0.72 - line) / 2, unit);
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
  context.setLineDash([]);
}

// From the last good time on, with the cause in words.
function paintDoubt({ chart, context, colours, right, bottom }) {
  const { since, text } = chart.trust;
  const left = Math.max(0, chart.x(placeOf(since, chart.shown.interval)));
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
  tag(context, price(last.close, chart.market.decimals), right + 2, at, colour, colours.panel);
}

function paintCross(pane, { slot, y: pointed }) {
  const { chart, context, colours, unit, right, bottom, floor, middle, y, priceAt } = pane;
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
  if (level <= floor) tag(context, price(priceAt(level), chart.market.decimals), right + 2, level, colours.text, colours.panel);
  const text = barTime(timeOf(slot, interval), interval, chart.options.zone);
  tag(context, text, Math.min(Math.max(at, 60), right - 60), bottom + TIME_HEIGHT / 2, colours.text, colours.panel, "center");
}
