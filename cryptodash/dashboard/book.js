// One order book as the server publishes it: a snapshot, then deltas whose sequence is exactly one more.

const PRICE = 0;
const QUANTITY = 1;

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

function upsert(levels, price, quantity, sign) {
  const place = placeOf(levels, price, sign);
  if (levels[place]?.[PRICE] === price) levels[place][QUANTITY] = quantity;
  else levels.splice(place, 0, [price, quantity]);
}

function remove(levels, price, sign) {
  const place = placeOf(levels, price, sign);
  if (levels[place]?.[PRICE] === price) levels.splice(place, 1);
}

const pairs = (levels = []) => levels.map(({ price, quantity }) => [price, quantity]);

// Levels within one step become one row at the step's outer edge: bids go down, asks go up, so a row never looks better than it is.
function group(levels, { units, scale }, rows, sign) {
  const made = [];
  let total = 0;
  for (const [price, quantity] of levels) {
    const count = Math.round(price * scale) / units;
    const edge = ((sign > 0 ? Math.ceil(count) : Math.floor(count)) * units) / scale;
    const last = made[made.length - 1];
    total += quantity;
    if (last?.price === edge) {
      last.quantity += quantity;
      last.total = total;
    } else {
      if (made.length === rows) return made;
      made.push({ price: edge, quantity, total, partial: false });
    }
  }
  // The last row may hold levels beyond the end of the view: what is shown of it is a lower bound.
  const end = levels[levels.length - 1];
  const last = made[made.length - 1];
  if (last) last.partial = last.price !== Math.round(end[PRICE] * scale) / scale;
  return made;
}

/** The book of one view. `bids` and `asks` are arrays of [price, quantity], best first. */
export class Book {
  /** A book from an `order_book_snapshot` payload. */
  static fromSnapshot(payload) {
    const book = new Book();
    book.bids = pairs(payload.bids);
    book.asks = pairs(payload.asks);
    book.sequence = payload.sequence;
    book.depth = payload.depth ?? 0;
    book.timestamp = payload.timestamp;
    return book;
  }

  /** Applies an `order_book_delta` payload. False, and nothing is changed, when it does not follow what is held. */
  apply(delta) {
    if (delta.sequence !== this.sequence + 1) return false;
    for (const price of delta.deletes?.bids ?? []) remove(this.bids, price, -1);
    for (const price of delta.deletes?.asks ?? []) remove(this.asks, price, 1);
    for (const { price, quantity } of delta.bids_upserts ?? []) upsert(this.bids, price, quantity, -1);
    for (const { price, quantity } of delta.asks_upserts ?? []) upsert(this.asks, price, quantity, 1);
    this.sequence = delta.sequence;
    this.timestamp = delta.timestamp;
    return true;
  }

  /** Whether each side holds as many proven levels as were asked for. A shorter view is not padded by the server. */
  get complete() {
    return Math.min(this.bids.length, this.asks.length) >= this.depth;
  }

  /** Rows {price, quantity, total, partial} of a step made by `stepOf`, best first, at most `rows` a side. */
  grouped(step, rows = Infinity) {
    return { bids: group(this.bids, step, rows, -1), asks: group(this.asks, step, rows, 1) };
  }

  /** Mid of the best two prices, undefined while a side is empty. */
  get mid() {
    return this.bids.length && this.asks.length ? (this.bids[0][PRICE] + this.asks[0][PRICE]) / 2 : undefined;
  }
}
