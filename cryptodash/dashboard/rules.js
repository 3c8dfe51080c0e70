// Arithmetic on quotes, and when an alert fires. Pure.

/** The middle between best bid and best ask; undefined where one is missing. */
export const mid = (ticker) => (ticker && ticker.bid !== undefined && ticker.ask !== undefined ? (ticker.bid + ticker.ask) / 2 : undefined);

/** Ask minus bid in basis points of the middle; negative when crossed. */
export const spreadBps = (ticker) => {
  const middle = mid(ticker);
  return middle ? ((ticker.ask - ticker.bid) / middle) * 1e4 : undefined;
};

/** The middle one of some numbers, between the middle two of an even count. */
export function median(values) {
  if (!values.length) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** How far `value` is from `reference`, in basis points. */
export const offBps = (value, reference) => (value === undefined || !reference ? undefined : (value / reference - 1) * 1e4);

/**
 * Best bid and ask over venues, of equal prices the larger size. `quotes` are {exchange, ticker, good}; those that are not good or have no quote
 * are left out. Crossed is how far the best bid is above the best ask, in basis points of the middle, before any fee: 0 where they are equal
 * (locked), undefined where the bid is below.
 */
export function best(quotes) {
  const used = quotes.filter(({ good, ticker }) => good && mid(ticker) !== undefined);
  const first = (side, sign) => used.reduce((a, b) => {
    const ahead = a ? sign * (b.ticker[side] - a.ticker[side]) : 1;
    return ahead > 0 || (ahead === 0 && b.ticker[`${side}_size`] > a.ticker[`${side}_size`]) ? b : a;
  }, undefined);
  const [bid, ask] = [first("bid", 1), first("ask", -1)];
  const gap = bid ? bid.ticker.bid - ask.ticker.ask : -1;
  return { used, bid, ask, crossed: gap < 0 ? undefined : (gap / ((bid.ticker.bid + ask.ticker.ask) / 2)) * 1e4 };
}

/**
 * What the server compares, of the payload of a composite `bbo`: {quotes, excluded}, by venue. These quotes are of one moment: it leaves out
 * what is older than LATE_AFTER_MS before the newest. Tickers do not tell, so nothing about several venues is worked out from them.
 */
export const composed = ({ venues = {}, excluded = [] } = {}) => ({
  quotes: new Map(Object.entries(venues)), excluded: new Map(excluded.map((each) => [each.exchange, each])),
});

/** The largest difference of middles among trusted venues, in basis points; undefined with fewer than two. */
export function widest(quotes) {
  const mids = best(quotes).used.map(({ ticker }) => mid(ticker));
  return mids.length < 2 ? undefined : offBps(Math.max(...mids), Math.min(...mids));
}

/** Kinds of alert: what they watch, and the unit of their level. */
export const KINDS = {
  above: { text: "last price at or above", unit: "price" },
  below: { text: "last price at or below", unit: "price" },
  crosses: { text: "last price crosses", unit: "price" },
  spread: { text: "spread above", unit: "bp" },
  cross: { text: "venues differ by more than", unit: "bp" },
  crossed: { text: "venues are crossed by more than", unit: "bp" },
  stale: { text: "not confirmed for longer than", unit: "s" },
};

/** Kinds that compare venues: by quotes of one moment, which only the server can put together. */
export const isAcross = ({ kind }) => kind === "cross" || kind === "crossed";

/** How far the best bid is above the best ask of two venues or more, in basis points; negative where they do not cross. */
export function crossedBps(quotes) {
  const { used, bid, ask } = best(quotes);
  return used.length < 2 ? undefined : -spreadBps({ bid: bid.ticker.bid, ask: ask.ticker.ask });
}

/** On which side of the level a price is: "below", "above", or undefined where it is exactly there. */
export const sideOf = (price, level) => (price < level ? "below" : price > level ? "above" : undefined);

/**
 * What the alert watches now, as a number, or undefined when that cannot be trusted (it then cannot fire).
 * `quotes`: of the alert's own market, or for kinds across venues of all of them, of one moment. `badMs`: how long the own market was not confirmed.
 */
export function watched({ kind }, quotes, badMs) {
  if (kind === "stale") return badMs / 1000;
  if (kind === "cross") return widest(quotes);
  if (kind === "crossed") return crossedBps(quotes);
  const [{ good, ticker }] = quotes;
  if (!good || !ticker) return undefined;
  return kind === "spread" ? spreadBps(ticker) : ticker.last;
}

/** What is split, or pays a dividend: its price jumps by design. */
const COUNTED_ANEW = new Set(["equity", "index", "pre_market"]);
/** A price of these that changes by so much from one value to the next, up or down, was counted anew rather than traded there. */
const COUNTED_ANEW_BY = 1.2;

/** Whether the price `after` follows `before` by a split and not by trades; `underlying`: the instrument's `underlying_type`. */
export const isSplit = (underlying, before, after) =>
  COUNTED_ANEW.has(underlying) && before > 0 && after > 0 && Math.max(before / after, after / before) >= COUNTED_ANEW_BY;

/** Whether an alert with this reading fires. `from`: the side on which a price that is to cross the level was when it was armed. */
export function fires({ kind, level, from }, reading) {
  if (reading === undefined) return false;
  if (kind === "crosses") return from !== undefined && sideOf(reading, level) !== from;
  if (kind === "above") return reading >= level;
  return kind === "below" ? reading <= level : reading > level;
}
