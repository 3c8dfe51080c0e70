// Trades as rows of a tape: the fills of one taker order joined, several lists mixed by time. Pure.

const WHOLE = /^\d+$/;
const UNKNOWN_STEPS = 8;

/** Whether `next` is the fill after `fill` of one taker order: same time and side, ids that follow each other. An id that is no number follows none. */
export function joins(fill, next) {
  return fill.timestamp === next.timestamp && fill.side === next.side && !fill.replayed === !next.replayed
    && WHOLE.test(fill.id) && WHOLE.test(next.id) && BigInt(fill.id) + 1n === BigInt(next.id);
}

// Of the fills of one order, oldest first. Sizes are added as whole numbers of steps, so the sum is exact.
function order(fills, { decimals = UNKNOWN_STEPS, ...more }) {
  const first = fills[0];
  const last = fills.at(-1);
  const scale = 10 ** decimals;
  const steps = fills.reduce((sum, { quantity }) => sum + Math.round(quantity * scale), 0);
  const value = fills.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
  const { timestamp, side, id, replayed, complete } = last;
  return { timestamp, side, id, replayed, complete, from: first.price, price: last.price, quantity: steps / scale, value, fills: fills.length, decimals, ...more };
}

/**
 * The rows of one list of trades (oldest first), from the newest: {timestamp, side, id, replayed, from, price, quantity, value, fills, ...} where `from` and
 * `price` are the order's first and last price and `value` is in the quote currency, or {note} where something is missing. `about`: {decimals} of the
 * size, `kind` ("trade" or "liquidation"), and whatever each row shall carry.
 */
export function* ordersOf(entries, about) {
  const { kind, venue = "" } = about;
  const at = venue && ` at ${venue}`;
  let live = false;
  for (let end = entries.length - 1; end >= 0;) {
    const { gap, replayed } = entries[end];
    let begin = end;
    if (gap !== undefined) yield { note: `${gap} ${kind}${gap === 1 ? "" : "s"} missed${at}` };
    else {
      while (kind === "trade" && begin > 0 && entries[begin - 1].gap === undefined && joins(entries[begin - 1], entries[begin])) begin -= 1;
      if (replayed && live && kind === "trade") yield { note: `before this page looked${at}` };
      live = !replayed;
      yield order(entries.slice(begin, end + 1), about);
    }
    end = begin - 1;
  }
}

/** At most `count` rows of several such lists, by time from the newest; a note stays below the newer row of its own list. */
export function mixed(lists, count, wanted = () => true) {
  const heads = lists.map((list) => ({ list, next: list.next() }));
  const rows = [];
  while (rows.length < count) {
    const open = heads.filter(({ next }) => !next.done);
    if (!open.length) break;
    const head = open.find(({ next }) => next.value.note) ?? open.reduce((a, b) => (b.next.value.timestamp > a.next.value.timestamp ? b : a));
    if (head.next.value.note || wanted(head.next.value)) rows.push(head.next.value);
    head.next = head.list.next();
  }
  return rows;
}
