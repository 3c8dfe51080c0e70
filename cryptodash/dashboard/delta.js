// Cumulative volume delta: what takers bought less what they sold, from the trades that this page knows. Pure but for the painting.

import { Bounds } from "./axis.js";
import { compact, signed, time as clock } from "./format.js";
import { slotOf } from "./series.js";
import { DASHES, snap } from "./surface.js";

const MINUTE = 60000;
/** Minutes that are kept: a day and an hour. */
const KEPT = 1500;

export class VolumeDelta {
  constructor() {
    this.minutes = []; // { minute, part, buy, sell }, a part ends where trades are missing
    this.part = 0;
    this.since = undefined; // ms of the first trade of the part
    this.seen = undefined;
    this.version = 0;
    this.made = undefined; // { interval, version, bars } as they were asked for last
    this.bounds = new Bounds();
  }

  /** Takes what is new at the end of a tape: trades and, as `gap`, where some are missing. */
  take(entries) {
    let at = entries.length;
    while (at > 0 && entries[at - 1] !== this.seen) at -= 1;
    if (at === entries.length) return;
    if (at === 0 && this.seen !== undefined) this.split(); // more have come than the tape holds
    for (; at < entries.length; at += 1) this.add(entries[at]);
    this.seen = entries[entries.length - 1];
    this.version += 1;
  }

  split() {
    if (this.since !== undefined) this.part += 1;
    this.since = undefined;
  }

  add({ gap, timestamp, quantity, side }) {
    if (gap !== undefined) {
      this.split();
      return;
    }
    const time = Date.parse(timestamp);
    this.since ??= time;
    // A trade that comes late belongs to its own minute, or to the first one of its part.
    let at = this.minutes.length - 1;
    const minute = Math.floor(time / MINUTE);
    while (at > 0 && this.minutes[at].part === this.part && this.minutes[at].minute > minute && this.minutes[at - 1].part === this.part) at -= 1;
    let held = this.minutes[at];
    if (!held || held.part !== this.part || held.minute < minute) {
      held = { minute, part: this.part, buy: 0, sell: 0 };
      this.minutes.splice(at + 1, 0, held);
      if (this.minutes.length > KEPT) this.minutes.shift();
    }
    held[side === "buy" ? "buy" : "sell"] += quantity;
  }

  /** {slot, part, change, total} for each bar of an interval in which there were trades; `total` counts from the beginning of its part. */
  bars(interval) {
    const { version, made } = this;
    if (made?.version !== version || made.interval !== interval) this.made = { version, interval, bars: this.sums(interval) };
    return this.made.bars;
  }

  sums(interval) {
    const made = [];
    let total = 0;
    for (const { minute, part, buy, sell } of this.minutes) {
      const slot = slotOf(minute * MINUTE, interval);
      const last = made[made.length - 1];
      total = (last?.part === part ? total : 0) + buy - sell;
      if (last?.part === part && last.slot === slot) {
        last.change += buy - sell;
        last.total = total;
      } else made.push({ slot, part, change: buy - sell, total });
    }
    return made;
  }

  /** For the legend: the total at a slot (undefined: now), and since when it is counted. */
  words({ interval }, slot, { base, steps }, zone) {
    const all = this.bars(interval);
    const found = slot === undefined ? all[all.length - 1] : all.findLast((each) => each.slot === slot);
    const since = this.since === undefined ? "no trades yet" : `since ${clock(this.since, zone)}`;
    return `CVD ${signed(found?.total, steps)} ${base} ${since}`;
  }

  /** Paints the pane from `base` to `bottom`: bars of each change, a line of the total, broken where trades are missing. */
  paint({ chart, context, colours, unit, right, middle, base: top, bottom }) {
    const { time, shown: { interval } } = chart;
    this.inSight = this.bars(interval).filter(({ slot }) => slot >= time.from - 1 && slot <= time.edge);
    context.strokeStyle = colours.line;
    context.lineWidth = unit;
    context.beginPath();
    context.moveTo(0, snap(top, unit) + unit / 2);
    context.lineTo(right, snap(top, unit) + unit / 2);
    context.stroke();
    if (!this.inSight.length) return;
    const values = this.inSight.flatMap(({ total, change }) => [total, change, 0]);
    this.bounds.fit(Math.min(...values), Math.max(...values));
    const { low, high } = this.bounds;
    this.y = (value) => top + 4 + ((high - value) / (high - low)) * (bottom - top - 8);
    this.paintBars(chart, context, colours, unit, middle);
    this.paintTotal(context, colours, middle, top, bottom);
  }

  /** The axis beside the pane: nothing, and the newest total in sight. */
  label({ context, colours, right }) {
    if (!this.inSight.length) return;
    const { y } = this;
    const { total } = this.inSight[this.inSight.length - 1];
    context.fillStyle = colours.muted;
    context.textAlign = "left";
    context.fillText("0", right + 6, y(0));
    context.fillStyle = colours.text;
    if (Math.abs(y(total) - y(0)) > 11) context.fillText(`${total > 0 ? "+" : ""}${compact(total)}`, right + 6, y(total));
  }

  paintBars({ time }, context, colours, unit, middle) {
    const { inSight, y } = this;
    const wide = Math.max(unit, snap(time.width * 0.5, unit));
    context.globalAlpha = 0.4;
    for (const { slot, change } of inSight) {
      context.fillStyle = change >= 0 ? colours.up : colours.down;
      context.fillRect(middle(slot) - wide / 2, Math.min(y(0), y(change)), wide, Math.max(unit, Math.abs(y(change) - y(0))));
    }
    context.globalAlpha = 1;
  }

  paintTotal(context, colours, middle, top, bottom) {
    const { inSight: all, y } = this;
    context.strokeStyle = context.fillStyle = colours.text;
    context.lineWidth = 1.5;
    context.beginPath();
    all.forEach(({ slot, part, total }, index) => {
      if (all[index - 1]?.part === part) context.lineTo(middle(slot), y(total));
      else context.moveTo(middle(slot), y(total));
    });
    context.stroke();
    for (const [index, { slot, part, total }] of all.entries()) {
      if (all[index - 1]?.part === part) continue;
      context.fillRect(middle(slot) - 1.5, y(total) - 1.5, 3, 3);
      if (index === 0) continue;
      context.setLineDash(DASHES[2]);
      context.beginPath();
      context.moveTo(middle(slot), top);
      context.lineTo(middle(slot), bottom);
      context.stroke();
      context.setLineDash([]);
      context.textAlign = "right";
      context.fillText("gap", middle(slot) - 3, top + 8);
    }
  }
}
