// What is known of the venues, from /api/exchanges and, sooner, from the statuses of the streams that are held: the one source of what the header,
// Health and every view say of a venue.

import { age, causeWords } from "./format.js";
import { Question } from "./requests.js";
import { freshness } from "./topics.js";

const AGAIN_MS = 2000;
const HIDDEN_MS = 60000;
const OUT = ["offline", "maintenance"];

/** Causes for which nothing comes of a venue; where it comes late, or a market is silent, that stands beside the values. */
const UNREACHED = ["disconnected", "maintenance", "blocked", "banned", "backend"];

/** Why a venue is out of reach, by its cause, else by the network error's name in the server's reason. */
const SENTENCES = {
  maintenance: "is in maintenance", blocked: "does not serve this place", banned: "has banned this server for now",
  capacity: "is not asked now: its limits are used up", backend: "is open in another process of the server, which is not heard of",
};
const FAILURES = [
  [/DNS|hostname lookup|UnknownHost/i, "its name was not found (DNS)"],
  [/ConnectionRefused/i, "it refuses the connection"],
  [/NoRoute|Unreachable/i, "there is no way to it through the network"],
  [/certificate|SSL|TLS/i, "a secure connection to it could not be made (TLS)"],
  [/Timeout|did not answer|timed out/i, "it does not answer"],
  [/ConnectionLost|ConnectionDone|ConnectionReset|ResponseNeverReceived|closed/i, "it closes the connection"],
  [/proxy/i, "the proxy on the way to it refuses"],
  [/HTTP \d{3}/, "it answers with an error"],
];

/** Why a venue cannot be used, as one plain sentence without its full stop: of {id, status, cause, reason} as /api/exchanges says them. */
export function sentence({ id, status, cause, reason = "" }) {
  if (SENTENCES[cause]) return `${id} ${SENTENCES[cause]}`;
  const found = FAILURES.find(([pattern]) => pattern.test(reason));
  if (found) return `${id} cannot be reached: ${found[1]}`;
  if (cause === "disconnected") return `${id} cannot be reached`;
  return cause ? `${id} is ${status}: ${causeWords(cause)}` : `${id} is ${status}`;
}

/** How many of some topics may be believed: {good, bad, waiting, all, kind}; `kind` is a colour's name, never a good one where none is good. */
export function countFresh(topics, feed) {
  const count = { good: 0, bad: 0, waiting: 0 };
  for (const topic of topics) count[freshness(topic, feed).kind] += 1;
  const { good, bad, waiting } = count;
  return { ...count, all: topics.length, kind: bad ? "bad" : waiting || !good ? "unsure" : "good" };
}

// The doubt that is oldest of those that are a fault; what waits for its first value is no fault yet.
function worst(topics, feed, now) {
  const bad = topics.filter((topic) => freshness(topic, feed).kind === "bad");
  return bad.reduce((a, b) => ((b.age(now) ?? -1) > (a?.age(now) ?? -2) ? b : a), undefined);
}

/**
 * What is shown of one venue: {id, status, kind, text}. `report`: what /api/exchanges said of it, undefined before it has; `topics`: those of its
 * streams that are shown. Their statuses say sooner than a report what is so: live ones prove a venue that was offline two seconds ago, and failed
 * ones disprove one that was online. The age is that of what is in doubt. `isOld`: the report could not be renewed.
 */
export function venueState(id, report, topics, feed, now, isOld = false) {
  const count = countFresh(topics, feed);
  const is = (status, kind, text = id) => ({ id, status, kind, text });
  if (feed.state.phase !== "open") return is(report?.status ?? "unknown", "unsure", `${id} ?`);
  if (count.bad) return troubledState(is, report?.status, count, worst(topics, feed, now), now);
  const out = OUT.includes(report?.status);
  if (count.good && (!report || isOld || out)) return is("online", "good");
  if (!report || isOld) return is(report?.status ?? "unknown", "unsure", `${id} ?`);
  const { status, cause, last_message_at: at } = report;
  if (status === "online") return is(status, "good");
  // Of one that is out of reach everything is as old as its last message; of streams that are not shown no age is known.
  const old = out && at !== undefined ? ` ${age(feed.serverNow() - Date.parse(at))}` : "";
  return is(status, out ? "bad" : "warned", `${id} ${status}${cause && cause !== status ? `: ${causeWords(cause)}` : ""}${old}`);
}

function troubledState(is, reported, { good, bad, all }, topic, now) {
  const { state, cause } = topic.status;
  const old = topic.age(now);
  const words = topic.error?.message ?? causeWords(cause);
  const why = `${words ? `: ${words}` : ""}${old === undefined ? "" : ` ${age(old)}`}`;
  if (good) return is("degraded", "warned", `${topic.channel.exchange} ${bad} of ${all} streams ${state}${why}`);
  const status = OUT.includes(reported) ? reported : state;
  return is(status, "bad", `${topic.channel.exchange} ${status}${why}`);
}

/** What /api/exchanges says of the venues, asked every two seconds, seldom in a hidden tab. */
export class Venues {
  constructor() {
    this.list = [];
    this.at = undefined;
    this.error = this.refused = "";
    this.changed = () => {}; // called when a venue's status is another than it was
    this.question = new Question("api/exchanges", {
      took: (answer) => this.take(answer),
      every: () => (document.hidden ? HIDDEN_MS : AGAIN_MS),
      failed: (error, isFinal) => {
        this.error = error.message;
        this.refused = isFinal ? error.message : "";
      },
    });
  }

  load() {
    return this.question.ask();
  }

  take({ exchanges }) {
    const before = this.list;
    this.list = exchanges;
    this.at = performance.now();
    this.error = this.refused = "";
    if (exchanges.some(({ id, status }) => before.some((each) => each.id === id && each.status !== status))) this.changed();
  }

  /** The venues that cannot be reached, as /api/exchanges says and no stream disproves. */
  out(feed, now) {
    return this.states(feed, now).filter(({ status }) => OUT.includes(status)).map(({ id }) => this.report(id)).filter(({ cause }) => UNREACHED.includes(cause));
  }

  /** What is shown of each venue: of those that /api/exchanges named and those of which a stream is held. */
  states(feed, now) {
    const held = new Map(this.list.map(({ id }) => [id, []]));
    for (const topic of feed.topics.values()) {
      const { exchange } = topic.channel;
      if (topic.users === 0 || exchange === "composite") continue;
      if (!held.has(exchange) && this.list.length) continue; // the server has no such venue
      if (!held.has(exchange)) held.set(exchange, []);
      held.get(exchange).push(topic);
    }
    return [...held].map(([id, topics]) => venueState(id, this.report(id), topics, feed, now, this.error !== ""));
  }

  /** What /api/exchanges said of a venue; undefined where it has said nothing. */
  report(exchange) {
    return this.list.find(({ id }) => id === exchange);
  }

  /** What is wrong with a venue that is not online, as a sentence without its full stop; empty where nothing is, or no cause is known. */
  trouble(exchange) {
    const report = this.report(exchange);
    if (!report || report.status === "online" || !(report.cause || report.reason)) return "";
    return sentence(report);
  }

  /** "simulated", "replay", "custom": every source beside "live" that any venue has. */
  get sources() {
    return [...new Set(this.list.map(({ source }) => source))].filter((source) => source !== "live");
  }
}
