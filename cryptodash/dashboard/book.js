// One order book as the server publishes it: a snapshot, then deltas whose sequence is exactly one more.

const PRICE = 0;
const QUANTITY = 1;

/** How many levels a side may be subscribed to; the server makes a view of any of them for nothing. */
export const DEPTHS = [1, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Number of digits after the point of a decimal text such as "0.010" (3). */
export const digitsOf = (text) => (String(text).split(".")[1] || "").length;

/** A price step of `factor` ticks as whole numbers: `units` of 1/`scale`. So 0.1 + 0.2 never happens. */
export function stepOf(tick, factor = 1) {
  const digits = digitsOf(tick);
  const scale = 10 ** digits;
  return { units: Math.max(1, Math.round(Number(tick) * scale)) * factor, scale, digits };
}

// Where a price is, or belongs, in levels that are sorted best first. `sign` is 1 for asks (rising), -1 for bids.
function placeOf(levels, price, sign) {
  let low = 0;
  let high = levels.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((levels[middle][PRICE] - price) * sign < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A level of a merged book says whose it is: {venue: quantity}.
const levelOf = ({ price, quantity, venues }) => (venues ? [price, quantity, venues] : [price, quantity]);

function upsert(levels, level, sign) {
  const place = placeOf(levels, level[PRICE], sign);
  levels.splice(place, levels[place]?.[PRICE] === level[PRICE] ? 1 : 0, level);
}

function remove(levels, price, sign) {
  const place = placeOf(levels, price, sign);
  if (levels[place]?.[PRICE] === price) levels.splice(place, 1);
}

// Levels within one step become one row at the step's outer edge: bids go down, asks go up, so a row never looks better than it is.
function group(levels, { units, scale }, rows, sign) {
  const made = [];
  let total = 0;
  let worth = 0;
  for (const [price, quantity] of levels) {
    const count = Math.round(price * scale) / units;
    const edge = ((sign > 0 ? Math.ceil(count) : Math.floor(count)) * units) / scale;
    const last = made[made.length - 1];
    const value = price * quantity;
    total += quantity;
    worth += value;
    if (last?.price === edge) {
      last.quantity += quantity;
      last.value += value;
      Object.assign(last, { total, worth });
    } else {
      if (made.length === rows) return made;
      made.push({ price: edge, quantity, total, value, worth, partial: false });
    }
  }
  // The last row may hold levels beyond the end of the view: what is shown of it is a lower bound.
  const end = levels[levels.length - 1];
  const last = made[made.length - 1];
  if (last) last.partial = last.price !== Math.round(end[PRICE] * scale) / scale;
  return made;
}

/** A level at the very limit is within it, whatever the arithmetic of doubles makes of the limit. */
const SLACK = 1e-12;

/**
 * What a side (levels best first, `sign` 1 for asks, -1 for bids) holds from its best price to `limit`: {quantity, value, proven}, `value` in the quote
 * currency. Not proven: the side that is held ends before, and what lies between is not known.
 */
export function upTo(levels, limit, sign) {
  let quantity = 0;
  let value = 0;
  for (const [price, size] of levels) {
    if ((price - limit) * sign > limit * SLACK) return { quantity, value, proven: true };
    quantity += size;
    value += price * size;
  }
  return { quantity, value, proven: levels.length > 0 && Math.abs(levels.at(-1)[PRICE] - limit) <= limit * SLACK };
}

/** The book of one view. `bids` and `asks` are arrays of [price, quantity], best first. */
export class Book {
  /** A book from an `order_book_snapshot` payload. */
  static fromSnapshot(payload) {
    const book = new Book();
    book.bids = (payload.bids ?? []).map(levelOf);
    book.asks = (payload.asks ?? []).map(levelOf);
    book.sequence = payload.sequence;
    book.depth = payload.depth ?? 0;
    book.timestamp = payload.timestamp;
    book.noteVenues(payload);
    return book;
  }

  /** Applies an `order_book_delta` payload. False, and nothing is changed, when it does not follow what is held. */
  apply(delta) {
    if (delta.sequence !== this.sequence + 1) return false;
    for (const price of delta.deletes?.bids ?? []) remove(this.bids, price, -1);
    for (const price of delta.deletes?.asks ?? []) remove(this.asks, price, 1);
    for (const each of delta.bids_upserts ?? []) upsert(this.bids, levelOf(each), -1);
    for (const each of delta.asks_upserts ?? []) upsert(this.asks, levelOf(each), 1);
    this.sequence = delta.sequence;
    this.timestamp = delta.timestamp;
    this.noteVenues(delta);
    return true;
  }

  // Of a merged book: who is left out, and whether each venue that counts shows as many levels as were asked for.
  noteVenues({ excluded, complete }) {
    if (excluded) Object.assign(this, { excluded, merged: complete });
  }

  /** Whether each side holds as many proven levels as were asked for. A shorter view is not padded by the server. */
  get complete() {
    return Math.min(this.bids.length, this.asks.length) >= this.depth;
  }

  /**
   * Rows {price, quantity, total, value, worth, partial} of a step made by `stepOf`, best first, at most `rows` a side. In the quote currency: `value`
   * is the sum of price x quantity of the row's own levels, `worth` that of all down to it.
   */
  grouped(step, rows = Infinity) {
    return { bids: group(this.bids, step, rows, -1), asks: group(this.asks, step, rows, 1) };
  }

  /** How far from the mid each side is known, in basis points: {bids, asks}; undefined while a side is empty. */
  get known() {
    const { bids, asks, mid } = this;
    if (mid === undefined) return undefined;
    return { bids: (1 - bids.at(-1)[PRICE] / mid) * 1e4, asks: (asks.at(-1)[PRICE] / mid - 1) * 1e4 };
  }

  /** The depth to ask for so that both sides are known to `far` basis points; undefined when they are, or when more is not to be had. */
  deeper(far) {
    const { known } = this;
    if (!known || !this.complete) return undefined;
    const near = Math.min(known.bids, known.asks);
    if (near >= far || this.depth >= DEPTHS.at(-1)) return undefined;
    return DEPTHS.find((each) => each >= this.depth * (far / near)) ?? DEPTHS.at(-1);
  }

  /** Mid of the best two prices, undefined while a side is empty. */
  get mid() {
    return this.bids.length && this.asks.length ? (this.bids[0][PRICE] + this.asks[0][PRICE]) / 2 : undefined;
  }
}
