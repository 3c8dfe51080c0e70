// The last price of the market that is shown, one for everything that shows it, and which way it went.

import { doubt } from "./panel.js";
import { lastPrice } from "./topics.js";

export const UP = "\u25b2";
export const DOWN = "\u25bc";

export class LastPrice {
  constructor() {
    this.reset();
  }

  /** Another market. */
  reset() {
    this.price = this.time = undefined;
    this.good = false;
    this.why = "";
    this.moved = "";
    this.moves = 0;
  }

  /** `price`, `time`, `good`, `why` it is not, `moved` ("up", "down" or "" before it did) and how often, of the topics as they are now. */
  look(ticker, trades, feed, now) {
    const last = lastPrice(ticker, trades, feed);
    const price = last?.price;
    if (this.price !== undefined && price !== undefined && price !== this.price) {
      this.moved = price > this.price ? "up" : "down";
      this.moves += 1;
    }
    this.price = price;
    this.time = last?.time;
    this.good = last?.good ?? false;
    this.why = last && !last.good ? doubt(last.topic, feed, now) || "not confirmed" : "";
  }

  get arrow() {
    return { up: UP, down: DOWN }[this.moved] ?? "";
  }

  /** The classes of an element that shows it: the short tint of a move, or that it is not to be trusted. */
  get classes() {
    if (!this.good) return "doubtful";
    return this.moved ? `${this.moved === "up" ? "rise" : "fall"} ${this.moves % 2 ? "one" : "two"}` : "";
  }
}
