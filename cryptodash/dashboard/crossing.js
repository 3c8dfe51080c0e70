// What could be bought at one venue and sold at another at once, and how much of a book is near its middle: exactly. Pure.

import { SCALE, floored, units } from "./exact.js";

const PRICE = 0;
const QUANTITY = 1;
const VENUES = 2;
/** A fee in percent with four decimals is a whole number of these in one. */
const FEE_PARTS = 1_000_000n;
const BPS = 10_000n;

// A level's part at each venue, by what it is worth after the fee, the best first: of an ask all that is paid, of a bid all that is left.
function offers(levels, feeOf, sign) {
  const each = ([price, , venues]) => Object.entries(venues).map(([exchange, quantity]) => ({
    exchange, left: units(quantity), net: units(price) * (FEE_PARTS + sign * feeOf(exchange)),
  }));
  return levels.flatMap(each).sort((a, b) => (a.net === b.net ? 0 : (a.net < b.net) === (sign > 0n) ? -1 : 1));
}

/** The venues whose levels are above the best ask or below the best bid of the merged book: their fees decide. */
export function crossedVenues({ bids, asks }) {
  if (!bids.length || !asks.length) return [];
  const crossed = [...bids.filter(([price]) => price > asks[0][PRICE]), ...asks.filter(([price]) => price < bids[0][PRICE])];
  return [...new Set(crossed.flatMap((level) => Object.keys(level[VENUES])))];
}

/**
 * Buying and selling at once by walking both sides of a merged book ({bids, asks, merged}, see `Book`) after taker fees, `fees` in percent by
 * venue: {size, profit, buys, sells, atLeast}. `size` in base and `profit` in quote are rounded down to the decimals given; `buys`, `sells` name
 * the venues. `atLeast`: there may be more beyond what the book shows. Undefined where nothing is gained.
 */
export function netCrossing({ bids, asks, merged }, fees, { sizeDecimals, profitDecimals }) {
  const feeOf = (exchange) => BigInt(Math.ceil(Number(((fees[exchange] ?? 0) * 1e4).toFixed(6)))); // never less than it is
  const [sold, bought] = [offers(bids, feeOf, -1n), offers(asks, feeOf, 1n)];
  const [buys, sells] = [new Set(), new Set()];
  let [size, profit] = [0n, 0n];
  for (let i = 0, j = 0; i < sold.length && j < bought.length && sold[i].net > bought[j].net;) {
    const [bid, ask] = [sold[i], bought[j]];
    const taken = bid.left < ask.left ? bid.left : ask.left;
    size += taken;
    profit += taken * (bid.net - ask.net);
    sells.add(bid.exchange);
    buys.add(ask.exchange);
    bid.left -= taken;
    ask.left -= taken;
    if (bid.left === 0n) i += 1;
    if (ask.left === 0n) j += 1;
  }
  if (size === 0n) return undefined;
  // All that can be gained by is seen where each side shows a level that is not crossed any more.
  const seen = bids.at(-1)[PRICE] <= asks[0][PRICE] && asks.at(-1)[PRICE] >= bids[0][PRICE];
  return {
    size: floored(size, SCALE, sizeDecimals), profit: floored(profit, 2 * SCALE + 6, profitDecimals), buys: [...buys], sells: [...sells],
    atLeast: !seen || !merged,
  };
}

/**
 * The base quantity of one side ("bids", "asks") within each of `bps` (rising) basis points of the middle: [{size, atLeast}], rounded down to so
 * many decimals. `atLeast` where the book is not proven that deep: it ends before. Empty while a side is.
 */
export function sizesWithin({ bids, asks }, side, bps, decimals) {
  if (!bids.length || !asks.length) return [];
  const twice = units(bids[0][PRICE]) + units(asks[0][PRICE]);
  const ends = bps.map((bp) => twice * (side === "bids" ? BPS - BigInt(bp) : BPS + BigInt(bp)));
  const found = [];
  let size = 0n;
  const note = (atLeast) => found.push({ size: floored(size, SCALE, decimals), atLeast });
  for (const level of side === "bids" ? bids : asks) {
    const at = units(level[PRICE]) * 2n * BPS;
    while (found.length < ends.length && (side === "bids" ? at < ends[found.length] : at > ends[found.length])) note(false);
    if (found.length === ends.length) break;
    size += units(level[QUANTITY]);
  }
  while (found.length < ends.length) note(true);
  return found;
}
