// The order book of the last ten minutes: a column each second of what lay at which price, and how far that was known.

const SECOND = 1000;
/** Seconds that are kept. */
export const COLUMNS = 600;
/** Steps of price that are kept. */
export const BINS = 400;
/** So many times the book's own reach do the steps cover, so that the price may move. */
const ROOM = 6;
const OPAQUE = 0.55;

// The smallest of 1, 2, 5, 10, ... that is at least so much.
function niceCount(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].find((each) => each * power >= least) * power;
}

/** A ring of columns. Sizes are sums over steps of price; what is not known is NaN, never 0. */
export class BookMap {
  /** @param {number} tick smallest step of a price */
  constructor(tick) {
    this.tick = tick;
    this.sizes = new Float32Array(COLUMNS * BINS);
    this.lows = new Float64Array(COLUMNS).fill(NaN); // worst price held of each column
    this.highs = new Float64Array(COLUMNS).fill(NaN);
    this.begin = undefined; // first second of all
    this.last = undefined; // newest second
    this.step = undefined; // price of a bin
    this.base = 0; // number of the lowest bin
    this.version = 0; // of everything
    this.columns = 0; // columns that were added
  }

  /** First second that is kept. */
  get first() {
    return Math.max(this.begin, this.last - COLUMNS + 1);
  }

  /** Between which prices the whole book was known in a second: [low, high], or undefined. */
  known(second) {
    const column = second % COLUMNS;
    if (!(second >= this.first && second <= this.last) || Number.isNaN(this.lows[column])) return undefined;
    return [Math.max(this.lows[column], this.base * this.step), Math.min(this.highs[column], (this.base + BINS) * this.step)];
  }

  /** The size at a price in a second; undefined where that is not known. */
  sizeAt(second, price) {
    const range = this.known(second);
    return range && price >= range[0] && price <= range[1] ? this.sizes[(second % COLUMNS) * BINS + this.binOf(price)] : undefined;
  }

  binOf(price) {
    return Math.floor(price / this.step + 1e-6) - this.base;
  }

  /** The book ({bids, asks} of [price, quantity]) at a time of the server in ms; undefined: it is not proven. True when there is a new column. */
  sample(now, book) {
    const second = Math.floor(now / SECOND);
    if (second <= this.last) return false;
    this.begin ??= second;
    // Seconds in which nobody looked are not known.
    for (let at = Math.max((this.last ?? second - 1) + 1, second - COLUMNS + 1); at <= second; at += 1) {
      const column = at % COLUMNS;
      this.sizes.fill(0, column * BINS, (column + 1) * BINS);
      this.lows[column] = this.highs[column] = NaN;
    }
    this.last = second;
    this.columns += 1;
    if (book?.bids.length && book.asks.length) this.write(second % COLUMNS, book);
    return true;
  }

  write(column, { bids, asks }) {
    const low = bids[bids.length - 1][0];
    const high = asks[asks.length - 1][0];
    this.fit(low, high);
    for (const side of [bids, asks]) for (const [price, quantity] of side) this.sizes[column * BINS + this.binOf(price)] += quantity;
    this.lows[column] = low;
    this.highs[column] = high;
  }

  // Steps as wide as the book needs, around where it is.
  fit(low, high) {
    const wide = this.step * BINS;
    if (!(high - low <= wide / 2)) {
      this.step = this.tick * niceCount((ROOM * (high - low)) / BINS / this.tick);
      this.lows.fill(NaN);
      this.highs.fill(NaN);
      this.sizes.fill(0);
      this.base = Math.floor((low + high) / 2 / this.step) - BINS / 2;
      this.version += 1;
    } else if (this.binOf(low) < 0 || this.binOf(high) >= BINS) {
      this.move(Math.floor((low + high) / 2 / this.step) - BINS / 2 - this.base);
    }
  }

  // What leaves the steps that are kept is not known any more.
  move(by) {
    const { sizes } = this;
    for (let column = 0; column < COLUMNS; column += 1) {
      const from = column * BINS;
      const kept = sizes.slice(from + Math.max(0, by), from + Math.min(BINS, BINS + by));
      sizes.fill(0, from, from + BINS);
      if (Math.abs(by) < BINS) sizes.set(kept, from + Math.max(0, -by));
      const [bottom, top] = [(this.base + by) * this.step, (this.base + by + BINS) * this.step];
      if (this.highs[column] <= bottom || this.lows[column] >= top) this.lows[column] = this.highs[column] = NaN;
      // What had left before does not come back with the way back.
      else {
        this.lows[column] = Math.max(this.lows[column], bottom);
        this.highs[column] = Math.min(this.highs[column], top);
      }
    }
    this.base += by;
    this.version += 1;
  }

  /** A large size of the newest column: the 0.98 quantile of what is not empty, for the scale of shades. */
  get large() {
    const column = (this.last % COLUMNS) * BINS;
    const filled = this.sizes.slice(column, column + BINS).filter((size) => size > 0).sort();
    return filled.length ? filled[Math.floor(filled.length * 0.98)] : 0;
  }

  /** Writes the shades of a column into the RGBA bytes of BINS pixels, highest price first. `full` is the size of the darkest shade. */
  shade(second, bytes, [red, green, blue], full) {
    const column = (second % COLUMNS) * BINS;
    for (let bin = 0; bin < BINS; bin += 1) {
      const at = (BINS - 1 - bin) * 4;
      const share = Math.sqrt(Math.min(1, this.sizes[column + bin] / full));
      bytes[at] = red;
      bytes[at + 1] = green;
      bytes[at + 2] = blue;
      bytes[at + 3] = Math.round(255 * OPAQUE * share);
    }
  }
}
