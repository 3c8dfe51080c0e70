// What is said instead of a market that is not listed, or not known to be yet.

import { el, setClass } from "./dom.js";
import { marketHash } from "./route.js";

const IDLE = "No exchange is running. Start the server with --exchanges binance,bybit, or try --demo.";

export class Unlisted {
  constructor() {
    this.element = el("div", { class: "market-message", role: "status" });
  }

  /** The list of markets is awaited; `trouble`: why that venue has none. */
  waiting(catalogue, exchange, trouble) {
    const none = catalogue.answered && catalogue.venues.length === 0;
    const text = none ? IDLE : trouble ? `The list of markets of ${exchange} has not been read yet.`
      : `Reading the list of markets of ${exchange ?? "the exchange"}.`;
    setClass(this.element, none || trouble ? "market-message" : "market-message skeleton");
    this.element.replaceChildren(el("p", {}, text), catalogue.error ? el("p", { class: "muted" }, catalogue.error) : "");
  }

  /** There is no such market; near ones are named. */
  unknown(catalogue, { exchange, market, symbol = "" }) {
    const near = catalogue.near(`${exchange} ${market} ${symbol}`, 5);
    const list = near.map((each) => el("li", {}, el("a", { href: marketHash(each) }, `${each.exchange} ${each.market_type} ${each.symbol}`)));
    const where = catalogue.venues.includes(exchange) ? `${exchange} has no ${market} ${symbol}` : `There is no exchange "${exchange}" here`;
    setClass(this.element, "market-message");
    this.element.replaceChildren(
      el("h1", {}, where),
      near.length ? el("p", {}, "Did you mean:") : "",
      el("ul", {}, ...list),
      el("p", {}, el("a", { href: "#/markets" }, "All markets")),
    );
  }
}
