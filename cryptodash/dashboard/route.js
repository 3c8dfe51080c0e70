// The page's state in the URL: `#/market/binance/spot/BTC-USDT?tf=5m`. Pure.

import { zoneKnown } from "./format.js";

/** Candle intervals of the wire, shortest first. */
export const INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "1M"];

const VIEWS = ["markets", "market", "compare", "health", "alerts"];
const MARKETS = { spot: "spot", perpetual: "perpetual", perp: "perpetual" };
const OVERLAY = /^(ema|sma)[1-9]\d{0,2}$|^vwap$/;
/** What may be laid over and under the candles. */
export const LAYERS = ["cvd", "heat", "liq"];
const SORTS = ["market", "ex", "last", "change", "bid", "ask", "spread", "volume", "high", "low", "funding", "interest"];

const one = (...values) => (text) => values.includes(text);
const zone = { test: zoneKnown, def: "" };

// Per view, in the order in which they are written: what is allowed, and what is meant when it is left out.
const PARAMS = {
  markets: {
    q: { def: "" }, m: { test: one("spot", "perpetual", "all"), def: "spot" }, quote: { def: "" }, ex: { def: "" }, fav: { test: one("1"), def: "" },
    sort: { test: (text) => SORTS.includes(text.replace(/^-/, "")), def: "-volume" }, tz: zone,
  },
  market: {
    tf: { test: one(...INTERVALS), def: "1m" }, grp: { test: one("1", "2", "5", "10", "50", "100"), def: "1" }, tz: zone,
    depth: { test: one("size", "cum"), def: "size" }, unit: { test: one("base", "quote"), def: "base" }, ov: { test: (text) => text.split(",").every((name) => OVERLAY.test(name)), def: "" },
    log: { test: one("1"), def: "" }, pct: { test: one("1"), def: "" }, tape: { test: one("all"), def: "" },
    lay: { test: (text) => text.split(",").every((name) => LAYERS.includes(name)), def: "" }, tab: { test: one("chart", "book", "trades", "depth"), def: "chart" },
    at: { test: (text) => Number.isFinite(Date.parse(text)), def: "" },
  },
  compare: { ex: { def: "" }, ref: { test: one("mid", "last"), def: "mid" }, tz: zone },
  health: { tz: zone },
  alerts: { tz: zone },
};

const decode = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

// Commas, slashes and colons stay readable in a fragment.
const encode = (text) => encodeURIComponent(text).replace(/%(2C|2F|3A)/g, (code) => decodeURIComponent(code));

// One written in lower case is meant in upper case; one written in both may be the venue's own spelling: the catalogue knows.
const spelled = (symbol) => (symbol === symbol.toLowerCase() ? symbol.toUpperCase() : symbol);

/** The route of a hash. Unknown parameters are kept, bad values fall back and are named in `notices`. An unknown view gives `view: ""`. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [view = "", ...rest] = path.split("/").map(decode);
  const notices = [];
  const route = { view: VIEWS.includes(view) ? view : "", params: {}, notices };
  if (!route.view) {
    if (view) notices.push(`There is no view "${view}".`);
    return route;
  }
  // BTC/USDT is one symbol, whether its slash is encoded or not: the catalogue knows how it is spelled.
  if (view === "market") [route.exchange, route.market, route.symbol] = [rest[0], rest[1], rest.slice(2).join("/") || undefined];
  if (view === "compare") [route.market, route.symbol] = [rest[0], rest.slice(1).join("/") || undefined];
  if (route.exchange) route.exchange = route.exchange.toLowerCase();
  if (route.symbol) route.symbol = spelled(route.symbol);
  if (route.market !== undefined) readMarket(route);
  readParams(route, query);
  return route;
}

function readMarket(route) {
  const market = MARKETS[route.market];
  if (!market && route.market) route.notices.push(`"${route.market}" is no market type; spot is shown.`);
  route.market = market ?? "spot";
}

function readParams(route, query) {
  const known = PARAMS[route.view];
  for (const [name, { def }] of Object.entries(known)) route.params[name] = def;
  for (const part of query.split("&").filter(Boolean)) {
    const [name, text = ""] = part.split(/=(.*)/s).map((each) => decode(each.replace(/\+/g, " ")));
    if (text && Object.hasOwn(known, name) && known[name].test && !known[name].test(text)) {
      const { def } = known[name];
      route.notices.push(`${name}=${text} is not known; ${def ? `${def} is used` : "it is left out"}.`);
    } else if (name !== "__proto__") route.params[name] = text;
  }
}

/** The hash of a route: parameters in a fixed order, those of the default left out, unknown ones last. */
export function format({ view, exchange, market, symbol, params = {} }) {
  const path = { market: [exchange, market, symbol], compare: [market, symbol] }[view] ?? [];
  const known = PARAMS[view] ?? {};
  const names = [...Object.keys(known), ...Object.keys(params).filter((name) => !Object.hasOwn(known, name))];
  const query = names.filter((name) => params[name] !== undefined && params[name] !== (known[name]?.def ?? undefined))
    .map((name) => `${encode(name)}=${encode(String(params[name]))}`).join("&");
  return `#/${[view, ...path.filter(Boolean).map(encode)].join("/")}${query ? `?${query}` : ""}`;
}

/** The parameters of a view as they are when the URL names none. */
export const defaults = (view) => Object.fromEntries(Object.entries(PARAMS[view]).map(([name, { def }]) => [name, def]));

/** The hash of one market of the catalogue. */
export const marketHash = ({ exchange, market_type: market, symbol }) => format({ view: "market", exchange, market, symbol });
