// The box for the symbol that is compared: one entry for each symbol and kind of market, whoever lists it.

import { Search } from "./search.js";

/** The names "spot/BTC-USDT" that more than one venue lists, in the catalogue's order, and `here` in any case. */
export function comparable(catalogue, here) {
  const count = new Map();
  for (const { market_type: market, symbol } of catalogue.all) count.set(`${market}/${symbol}`, (count.get(`${market}/${symbol}`) ?? 0) + 1);
  const names = [...count].filter(([name, venues]) => venues > 1 || name === here).map(([name]) => name);
  return names.includes(here) ? names : [here, ...names];
}

export class SymbolSearch extends Search {
  /** `chosen({market_type, symbol})` is called when somebody picks one. */
  constructor(app, chosen) {
    super(app, chosen, { id: "compared-found", label: "Symbol", placeholder: "Symbol" });
    this.input.name = "symbol";
  }

  search(text) {
    const { catalogue } = this.app;
    const seen = new Map();
    for (const each of catalogue.search(text)) {
      const name = `${each.market_type}/${each.symbol}`;
      if (!seen.has(name)) seen.set(name, { ...each, venues: catalogue.venuesOf(each.market_type, each.symbol) });
    }
    const found = [...seen.values()];
    return [...found.filter(({ venues }) => venues.length > 1), ...found.filter(({ venues }) => venues.length === 1)];
  }

  whereOf({ market_type: market, venues }) {
    return `${market}, ${venues.length > 1 ? `${venues.length} exchanges` : `${venues[0]} only`}`;
  }
}
