// Lines over a shared axis of time, for comparing venues. A value of null is a gap: nobody knows what was there.

import { Bounds, timeMarks, valueMarks } from "./axis.js";
import { el, setClass, setText } from "./dom.js";
import { DASH, signed, time as clock } from "./format.js";
import { DASHES, Surface, snap } from "./surface.js";

const TIME_HEIGHT = 20;
const AXIS_WIDTH = 58;
const COLOURS = ["overlay1", "overlay2", "overlay3", "up", "down", "text"];

export class Lines {
  /** `label` names the chart for a screen reader, `unit` is written at the axis; `zone` ("utc") may be set later. */
  constructor(host, { label, unit = "", decimals = 2, zone = "utc" }) {
    Object.assign(this, { unit, decimals, zone, series: [], cross: undefined });
    this.legend = el("p", { class: "lines-legend" });
    this.plot = el("div", { class: "lines-plot", role: "img", "aria-label": label });
    host.append(this.legend, this.plot);
    this.values = new Bounds(0.1);
    this.surface = new Surface(this.plot, (...all) => this.paint(...all));
    this.plot.addEventListener("pointermove", ({ offsetX }) => this.point(offsetX));
    this.plot.addEventListener("pointerleave", () => this.point(undefined));
  }

  /**
   * [{ name, points: [[ms, value or null], ...] }], points in the order of time. `past` {until, text}: those until then (ms) are of another kind,
   * which the text says.
   */
  setSeries(series, past) {
    this.series = series;
    this.past = past;
    this.surface.invalidate();
  }

  /** Faint words behind the lines: "DEMO DATA". */
  set mark(text) {
    this.surface.mark(text);
  }

  draw() {
    this.surface.draw();
  }

  point(x) {
    this.cross = x;
    this.surface.soon();
  }

  paint(context, width, height, colours, unit) {
    const right = width - AXIS_WIDTH;
    const bottom = height - TIME_HEIGHT;
    const pane = { context, colours, unit, right, bottom };
    const points = this.series.flatMap((each) => each.points);
    const known = points.map(([, value]) => value).filter((value) => value !== null);
    this.from = Math.min(...points.map(([at]) => at));
    this.to = Math.max(...points.map(([at]) => at));
    if (!known.length || this.to <= this.from) {
      context.fillStyle = colours.muted;
      context.textAlign = "center";
      context.fillText("nothing to compare yet", right / 2, bottom / 2);
      this.writeLegend(undefined);
      return;
    }
    this.values.fit(Math.min(...known, 0), Math.max(...known, 0));
    this.x = (at) => ((at - this.from) / (this.to - this.from)) * right;
    this.y = (value) => 6 + ((this.values.high - value) / (this.values.high - this.values.low)) * (bottom - 12);
    this.paintAxes(pane);
    if (this.past) this.paintPast(pane);
    this.series.forEach((each, index) => this.paintLine(pane, each.points, index));
    this.paintCross(pane);
  }

  paintAxes({ context, colours, unit, right, bottom }) {
    context.strokeStyle = colours.line;
    context.fillStyle = colours.muted;
    context.lineWidth = unit;
    context.textAlign = "left";
    context.beginPath();
    for (const value of valueMarks(this.values.low, this.values.high, Math.max(2, bottom / 40), 10 ** -this.decimals)) {
      const y = snap(this.y(value), unit) + unit / 2;
      context.moveTo(0, y);
      context.lineTo(right, y);
      if (y > 6 && y < bottom - 4) context.fillText(signed(value, this.decimals), right + 6, y);
    }
    context.textAlign = "center";
    for (const { time, text } of timeMarks(this.from, this.to, ((this.to - this.from) / right) * 84, this.zone)) {
      const x = snap(this.x(time), unit) + unit / 2;
      if (x < 24 || x > right - 24) continue;
      context.moveTo(x, 0);
      context.lineTo(x, bottom);
      context.fillText(text, x, bottom + TIME_HEIGHT / 2);
    }
    context.stroke();
    context.textAlign = "left";
    context.fillText(this.unit, right + 6, bottom + TIME_HEIGHT / 2);
  }

  paintPast({ context, colours, unit, right, bottom }) {
    const x = snap(Math.min(this.x(this.past.until), right), unit) + unit / 2;
    context.strokeStyle = context.fillStyle = colours.muted;
    context.lineWidth = unit;
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, bottom);
    context.stroke();
    context.setLineDash([]);
    context.textAlign = "right";
    if (x > 90) context.fillText(this.past.text, x - 6, bottom - 10);
  }

  paintLine({ context, colours }, points, index) {
    context.strokeStyle = colours[COLOURS[index % COLOURS.length]];
    context.lineWidth = 1.5;
    context.setLineDash(DASHES[index % DASHES.length]);
    context.beginPath();
    let joined = false;
    for (const [at, value] of points) {
      if (value === null) joined = false;
      else if (joined) context.lineTo(this.x(at), this.y(value));
      else {
        context.moveTo(this.x(at), this.y(value));
        joined = true;
      }
    }
    context.stroke();
    context.setLineDash([]);
  }

  paintCross({ context, colours, unit, right, bottom }) {
    if (this.cross === undefined || this.cross > right) {
      this.writeLegend(undefined);
      return;
    }
    context.strokeStyle = colours.muted;
    context.lineWidth = unit;
    context.beginPath();
    context.moveTo(snap(this.cross, unit) + unit / 2, 0);
    context.lineTo(snap(this.cross, unit) + unit / 2, bottom);
    context.stroke();
    this.writeLegend(this.from + (this.cross / right) * (this.to - this.from));
  }

  // The name of each line with its pattern, and its value at the crosshair or else its newest.
  writeLegend(at) {
    while (this.legend.children.length < this.series.length + 1) this.legend.append(el("span"));
    const [when, ...parts] = this.legend.children;
    const kind = this.past && at < this.past.until ? ` ${this.past.text}` : "";
    setText(when, at === undefined ? "now" : `${clock(at, this.zone)}${kind}`);
    parts.forEach((part, index) => {
      const each = this.series[index];
      const point = each && (at === undefined ? each.points[each.points.length - 1] : each.points.findLast(([time]) => time <= at));
      const value = point?.[1] ?? null;
      setClass(part, each ? `lines-name lines-${index % COLOURS.length}` : "");
      setText(part, each ? `${each.name} ${value === null ? DASH : `${signed(value, this.decimals)} ${this.unit}`}` : "");
    });
  }
}
