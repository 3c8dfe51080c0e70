// What an amount in one currency is worth in another, by quotes that are live now. Nothing is taken to be equal to anything else.

import { age, price } from "./format.js";
import { mid } from "./rules.js";
import { freshness, trusted } from "./topics.js";

const MAX_RATE = 1;
/** A rate that nothing confirms is shown in doubt for so long, and then not known. */
const DOUBTED_MS = 60000;
const CURRENCIES = ["USDT", "USD", "USDC"];
const BRIDGE = "BTC";

/** The currency into which volumes are converted: the dollar or dollar coin that most markets are quoted in, else what most are. */
export function commonCurrency(instruments) {
  const counts = new Map();
  for (const { quote } of instruments) counts.set(quote, (counts.get(quote) ?? 0) + 1);
  const dollars = CURRENCIES.filter((each) => counts.has(each));
  return (dollars.length ? dollars : [...counts.keys()]).reduce((best, each) => (best && counts.get(best) >= counts.get(each) ? best : each), undefined);
}

/** The spot markets that lead from one currency to another, `[{symbol, inverse}]`: one, or two by way of BTC; undefined where none do. */
export function legsOf(isListed, from, to) {
  const leg = (a, b) => {
    const inverse = !isListed(`${a}-${b}`);
    const symbol = inverse ? `${b}-${a}` : `${a}-${b}`;
    return isListed(symbol) ? { symbol, inverse } : undefined;
  };
  const direct = leg(from, to);
  if (direct) return [direct];
  const legs = [leg(from, BRIDGE), leg(BRIDGE, to)];
  return legs.every(Boolean) ? legs : undefined;
}

/** Holds the quotes that are needed to convert some currencies into one. */
export class Rates {
  constructor(app) {
    this.app = app;
    this.held = new Map();
  }

  /** From now on convert these currencies; what was needed before and is not now is given back. */
  want(currencies) {
    const { catalogue } = this.app;
    if (this.catalogued !== catalogue.version) this.release();
    this.catalogued = catalogue.version;
    this.currency = commonCurrency(catalogue.all);
    const wanted = new Set(currencies);
    wanted.delete(this.currency);
    for (const [currency, legs] of this.held) if (!wanted.has(currency)) this.end(currency, legs);
    for (const currency of wanted) if (!this.held.has(currency)) this.held.set(currency, this.begin(currency));
  }

  release() {
    for (const [currency, legs] of this.held) this.end(currency, legs);
  }

  begin(currency) {
    const { catalogue, feed } = this.app;
    const legs = legsOf((symbol) => catalogue.venuesOf("spot", symbol).length > 0, currency, this.currency);
    return legs?.map((leg) => {
      const venues = catalogue.venuesOf("spot", leg.symbol);
      const exchange = venues.length > 1 ? "composite" : venues[0];
      return { ...leg, topic: feed.open({ channel_type: "bbo", exchange, market_type: "spot", symbol: leg.symbol, max_rate: MAX_RATE }) };
    });
  }

  end(currency, legs) {
    this.held.delete(currency);
    for (const { topic } of legs ?? []) this.app.feed.close(topic, MAX_RATE);
  }

  /** What one unit of `currency` is worth: {value, good, own, legs}; undefined while that is not known. */
  rate(currency, now) {
    if (currency === this.currency) return { value: 1, good: true, own: true };
    const legs = this.held.get(currency);
    if (!legs) return undefined;
    let value = 1;
    for (const { topic, inverse } of legs) {
      const middle = mid(topic.value);
      if (!middle || !(topic.age(now) < DOUBTED_MS)) return undefined;
      value *= inverse ? 1 / middle : middle;
    }
    return { value, good: legs.every(({ topic }) => trusted(topic, this.app.feed)), own: false, legs };
  }

  /** By which quotes a rate was made, how old they are, and what is wrong with them. */
  words({ legs }, now) {
    return legs.map(({ symbol, inverse, topic }) => {
      const { venues } = topic.value;
      const fresh = freshness(topic, this.app.feed);
      const where = venues ? `best of ${Object.keys(venues).join(", ")}` : topic.channel.exchange;
      const how = `middle, ${where}, ${age(topic.age(now))}${fresh.good ? "" : `, ${fresh.text}`}`;
      return `${inverse ? "\u00f7" : "\u00d7"} ${symbol} ${price(mid(topic.value))} (${how})`;
    }).join(" ");
  }
}
