// The interval whose bars the chart shows: the chosen one, or a longer one while it is zoomed out further than bars can be narrow. Pure.

import { INTERVALS } from "./route.js";

export class ShownInterval {
  constructor() {
    this.reset();
  }

  /** Another market or a choice of the user: the chosen interval is shown. */
  reset() {
    this.longer = undefined; // { interval, chosen }
    this.refused = new Set();
  }

  /** The interval to show where this one is chosen. */
  of(chosen) {
    if (this.longer?.chosen !== chosen) this.longer = undefined;
    return this.longer?.interval ?? chosen;
  }

  show(interval, chosen) {
    this.longer = { interval, chosen };
  }

  /** {longer, shorter}: the intervals beside the one that is shown, without those that the venue refused; none is shorter than the chosen one. */
  neighbours(shown, chosen) {
    const offered = INTERVALS.filter((each) => !this.refused.has(each) || each === shown);
    const at = offered.indexOf(shown);
    return { longer: offered[at + 1], shorter: shown === chosen ? undefined : offered[at - 1] };
  }

  /** What to show where the venue refused the interval that is shown; undefined where that is the chosen one. */
  after(shown, chosen) {
    if (shown === chosen) return undefined;
    this.refused.add(shown);
    return this.neighbours(shown, chosen).longer ?? chosen;
  }
}
