// Orders that closed positions by force, as marks on the chart of a perpetual.

import { size, price, time as clock } from "./format.js";
import { placeOf } from "./series.js";

const KEPT = 500;
const RADIUS_MIN = 3;
const RADIUS_MAX = 11;

export class Liquidations {
  constructor() {
    this.marks = []; // { id, at (ms), side, price, quantity }
    this.isSample = false;
  }

  /** Takes a `liquidation` payload; one that is held already changes nothing. */
  take({ id, timestamp, side, price: at, quantity, complete }) {
    const key = id ?? `${timestamp} ${side} ${at} ${quantity}`;
    this.isSample = complete === false;
    if (this.marks.some((each) => each.id === key)) return;
    this.marks.push({ id: key, at: Date.parse(timestamp), side, price: at, quantity });
    if (this.marks.length > KEPT) this.marks.shift();
  }

  /** For the legend. */
  words({ base, decimals, steps }, zone) {
    const last = this.marks[this.marks.length - 1];
    const count = `${this.marks.length} liquidation${this.marks.length === 1 ? "" : "s"}${this.isSample ? " (a sample, by the venue)" : ""}`;
    if (!last) return `${count} so far`;
    const whose = last.side === "sell" ? "\u25bc long" : "\u25b3 short";
    return `${count}, last ${whose} ${size(last.quantity, steps)} ${base} at ${price(last.price, decimals)}, ${clock(last.at, zone)}`;
  }

  /** A full triangle down where a long was sold, a hollow one up where a short was bought back; the area is the quantity. */
  paint({ chart, context, colours, right, floor, y }) {
    const { time, shown: { interval } } = chart;
    const seen = this.marks.map((each) => ({ ...each, x: time.x(placeOf(each.at, interval)) })).filter(({ x }) => x > 0 && x < right);
    const most = Math.max(...seen.map(({ quantity }) => quantity));
    context.lineWidth = 1.5;
    for (const { x, side, price: at, quantity } of seen) {
      const radius = Math.max(RADIUS_MIN, RADIUS_MAX * Math.sqrt(quantity / most));
      const middle = y(at);
      if (middle < 0 || middle > floor) continue;
      const sign = side === "sell" ? 1 : -1;
      context.beginPath();
      context.moveTo(x - radius, middle - (sign * radius) / 2);
      context.lineTo(x + radius, middle - (sign * radius) / 2);
      context.lineTo(x, middle + sign * radius);
      context.closePath();
      context.fillStyle = context.strokeStyle = side === "sell" ? colours.down : colours.up;
      if (side === "sell") context.fill();
      context.stroke();
    }
  }
}
