// The part of time that a chart shows: slots, pixels, and what moves them.

const AHEAD_PX = 36;
const BAR_START = 7;
/** Least and most CSS pixels of a bar and the space after it. */
const BAR_MIN = 1.5;
const BAR_MAX = 48;

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class TimeAxis {
  constructor() {
    this.width = BAR_START; // of a bar and the space after it, CSS pixels
    this.pixels = 1; // that the axis is long
    this.reset();
  }

  /** Follow the newest bar of something else. */
  reset() {
    this.right = undefined; // slot at the right edge; undefined while the newest bar is followed
    this.first = this.last = undefined;
    this.now = -Infinity;
  }

  /** The slots of the oldest and the newest bar (undefined: there is none). */
  bound(first, last) {
    Object.assign(this, { first, last });
  }

  /** The right end while the newest bar is followed. A stale stream does not stop the clock: the axis goes on, and what is missing is seen. */
  get newest() {
    return Math.max(this.last ?? -Infinity, this.now) + 1 + AHEAD_PX / this.width;
  }

  get edge() {
    return this.right ?? this.newest;
  }

  get from() {
    return this.edge - this.pixels / this.width;
  }

  /** Whether the middle of the newest bar is within what is shown, or nothing newer could be shown. */
  get showsNewest() {
    return this.right === undefined || this.last === undefined || this.last + 0.5 <= this.right;
  }

  /** Left side of a slot. */
  x(slot) {
    return this.pixels - (this.edge - slot) * this.width;
  }

  slotAt(x) {
    return this.edge - (this.pixels - x) / this.width;
  }

  pan(bars) {
    this.moveTo(this.edge + bars);
  }

  moveTo(right) {
    if (this.first === undefined) return;
    const moved = Math.max(right, this.first + 10);
    this.right = moved >= this.newest ? undefined : moved;
  }

  /** Whether bars of another length (`ratio` times this one) would be better for a zoom: wide enough, where these cannot be narrower. */
  suits(ratio, factor) {
    return ratio > 1 ? factor < 1 && this.width <= BAR_MIN : factor > 1 && this.width * factor * ratio >= BAR_MIN;
  }

  /** The same part of time with bars `ratio` times as long; `right` is its right end in their slots, undefined while the newest bar is followed. */
  rescale(ratio, right) {
    this.width = clamp(this.width * ratio, BAR_MIN, BAR_MAX);
    this.right = right;
  }

  /** Wider or narrower bars; what is at `x` stays there. */
  zoom(factor, x = this.pixels) {
    const slot = this.slotAt(x);
    this.width = clamp(this.width * factor, BAR_MIN, BAR_MAX);
    if (this.right !== undefined || x < this.pixels * 0.75) this.moveTo(slot + (this.pixels - x) / this.width);
  }

  /** Move as little as brings the slot into sight. */
  reveal(slot) {
    if (slot < this.from + 1) this.moveTo(slot + this.pixels / this.width - 2);
    if (slot + 1 > this.edge) this.moveTo(slot + 2);
  }
}
