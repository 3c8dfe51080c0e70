// Basis and funding of a perpetual against its spot market. Pure.

import { mid, offBps } from "./rules.js";

const HOUR = 3600000;
const HOURS_A_YEAR = 8760;
/** Longer than this without a look, and a funding may have been missed. */
const UNSEEN_MS = 60000;
const LONGEST_H = 24;

/** Perpetual minus spot in basis points of the spot's middle: {bps, isMark}, by the mark price where the perpetual has no bid and ask. */
export function basisOf(spot, perpetual, mark) {
  const middle = mid(perpetual);
  const bps = offBps(middle ?? mark, mid(spot));
  return bps === undefined ? undefined : { bps, isMark: middle === undefined };
}

/** A rate for `hours` as one for a year, without interest on interest; undefined where either is not known. */
export const yearly = (rate, hours) => (rate === undefined || hours === undefined ? undefined : (rate * HOURS_A_YEAR) / hours);

/** Learns the interval of funding from one announced time to the next, where the wire does not tell it. */
export class FundingClock {
  constructor() {
    this.next = this.hours = undefined;
    this.at = -Infinity;
  }

  /** A ticker seen at `now`, ms; the hours from one funding to the next, undefined where they are not known. */
  take({ funding_interval_h: told, next_funding_time: time } = {}, now) {
    const next = Date.parse(time);
    if (!Number.isNaN(next)) {
      const hours = (next - this.next) / HOUR;
      if (hours > 0 && hours <= LONGEST_H && Number.isInteger(hours) && now - this.at < UNSEEN_MS) this.hours = hours;
      this.next = next;
    }
    this.at = now;
    return told ?? this.hours;
  }
}
