// Which quotes of a symbol may be compared with each other, and why the others are left out. No DOM.

import { age, stateWords } from "./format.js";
import { composed } from "./rules.js";
import { freshness, linkTrouble, trusted } from "./topics.js";

/**
 * How old a venue's value is, ms: since it was confirmed, but at least as old as it was when it came. Undefined where nothing ever came.
 * Not their sum: the age that a status tells holds the delay already.
 */
export function valueAge(topic, now) {
  const confirmed = topic.age(now);
  return confirmed === undefined ? undefined : Math.max(confirmed, topic.lag ?? 0);
}

/** A cause with the age of what is held: "stale: late, 3.8 s old". */
export function agedWords(words, topic, now) {
  const old = valueAge(topic, now);
  return old === undefined ? words : `${words}, ${age(old)} old`;
}

/** The state of a topic in words; with its age where it is not good. */
export function stateText(topic, feed, now) {
  const fresh = freshness(topic, feed);
  return fresh.good || fresh.kind === "waiting" ? fresh.text : agedWords(fresh.text, topic, now);
}

// Why the server's word on which quotes are of one moment is missing or not believed; "" where it is there.
function troubleOf(composite, feed) {
  if (composite.error) return composite.error.message;
  return linkTrouble(feed) || (composite.value ? "" : "the server has not said yet which quotes are of one moment");
}

/**
 * The quotes of `venues` ({exchange, topic}) that are of one moment, by the server, which knows for what time each holds: tickers alone do not
 * tell, so nothing is compared without its answer (`composite`, the topic; undefined for a venue alone, which is compared with nobody).
 * Gives {quotes: [{exchange, ticker, good, why}], trouble}: `why` one that is not good is left out, with its age.
 */
export function comparedQuotes(venues, composite, feed, now) {
  if (!composite) {
    const alone = ({ exchange, topic }) => ({
      exchange, ticker: topic.value, good: freshness(topic, feed).good, why: stateText(topic, feed, now),
    });
    return { quotes: venues.map(alone), trouble: "" };
  }
  const trouble = troubleOf(composite, feed);
  const { quotes, excluded } = composed(trouble ? undefined : composite.value);
  const good = trusted(composite, feed);
  const one = ({ exchange, topic }) => {
    const left = excluded.get(exchange);
    const fresh = freshness(topic, feed);
    const words = left ? stateWords(left) : fresh.good ? "not compared" : fresh.text;
    return { exchange, ticker: quotes.get(exchange), good, why: agedWords(words, topic, now) };
  };
  return { quotes: venues.map(one), trouble };
}
