// Recorded time in the place of the feed: the same topics, filled by the server's `replay`, and a clock of their own. No DOM.

import { Topic, identity, keyOf, LISTS } from "./topics.js";

const SOON_MS = 30;
const DRIFT_MS = 1000;
const SEEN = 50;
const TOUCH_MS = 1000;

/** A hole with the one before, where they touch: it was for the longer one's reason. */
export function widened(before, hole) {
  if (!before || hole.from > before.to + TOUCH_MS || hole.to < before.from) return hole;
  const { why } = before.to - before.from > hole.to - hole.from ? before : hole;
  return { from: Math.min(before.from, hole.from), to: Math.max(before.to, hole.to), why };
}

/** A topic of recorded time: nothing about it is old or new by the clock of now. */
class RecordedTopic extends Topic {
  age() {
    return undefined;
  }

  /** Nothing is known of it here. */
  forget() {
    if (!LISTS.has(this.channel.channel_type)) this.value = null;
    this.status = this.said = { state: "recorded" };
    this.version += 1;
  }
}

/** What a view needs of a `Feed`, at another time. `bookDepth`: the one at which books are recorded. */
export class RecordedFeed {
  constructor(live) {
    this.live = live;
    this.isRecorded = true;
    this.topics = new Map();
    this.speed = 1;
    this.isPaused = false;
    this.at = 0;
    this.lastId = 0;
    this.hole = undefined;
    this.trouble = "";
    this.hasEnded = false;
    this.bookDepth = undefined;
    live.replays = this;
  }

  get state() {
    return this.live.state;
  }

  /** The recorded moment that is shown, epoch ms. */
  serverNow() {
    return this.runs ? this.at + (performance.now() - this.ranAt) * this.speed : this.at;
  }

  // ---- what a view holds

  open(channel) {
    const { max_rate: _, ...named } = channel;
    const key = keyOf(identity(named));
    let topic = this.topics.get(key);
    if (!topic) {
      topic = new RecordedTopic(named);
      this.topics.set(key, topic);
      this.soon();
    }
    topic.users += 1;
    return topic;
  }

  close(topic) {
    if (!topic || topic.users === 0) return;
    topic.users -= 1;
    if (topic.users === 0) this.topics.delete(topic.key);
  }

  retry() {
    this.soon();
  }

  // ---- where it is, and how fast

  /** Another moment (epoch ms): whoever holds topics gives them back and opens them anew. */
  seek(at) {
    this.stand();
    this.silence();
    this.at = at;
    this.hole = undefined;
    this.trouble = "";
    this.hasEnded = false;
  }

  setSpeed(speed) {
    this.stand();
    this.speed = speed;
    this.soon();
  }

  pause(on) {
    this.stand();
    this.isPaused = on;
    if (on) this.silence();
    else this.soon();
  }

  /** No more of it. */
  end() {
    clearTimeout(this.timer);
    this.stand();
    this.silence();
    this.topics.clear();
    if (this.live.replays === this) this.live.replays = undefined;
  }

  stand() {
    this.at = this.serverNow();
    this.runs = false;
  }

  silence() {
    if (this.asked) this.live.send({ op: "replay_stop", id: "replay_stop" });
    this.asked = this.replayId = undefined;
  }

  soon() {
    this.timer ??= setTimeout(() => this.play(), SOON_MS);
  }

  play() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.stand();
    this.silence();
    const topics = [...this.topics.values()];
    if (!topics.length) return;
    const from = Math.floor(this.at);
    const asked = { id: `replay${(this.lastId += 1)}`, topics };
    for (const topic of topics) if (LISTS.has(topic.channel.channel_type)) topic.unproven = false;
    const { speed } = this;
    const channels = topics.map(({ channel }) => channel);
    if (this.live.send({ op: "replay", id: asked.id, from, ...(this.isPaused && { to: from }), speed, channels })) this.asked = asked;
  }

  // ---- what comes

  /** The connection is new, or gone. */
  opened() {
    this.asked = this.replayId = undefined;
    this.soon();
  }

  lost() {
    this.stand();
    this.asked = this.replayId = undefined;
    for (const topic of this.topics.values()) topic.lost();
  }

  /** Whether a message is about a replay; it is taken then. */
  takes(type, payload, now) {
    const { replay_id: id } = payload;
    if (id === undefined && payload.id !== "replay_stop" && (this.asked === undefined || payload.id !== this.asked.id)) return false;
    if (type === "info") this.takeInfo(payload, now);
    else if (type === "error") this.takeError(payload);
    else if (id === this.replayId) this.take(type, payload, now);
    return true;
  }

  takeInfo({ id, replay_id: replay, rejected, reason }, now) {
    if (id !== undefined && id === this.asked?.id) {
      this.replayId = replay;
      this.ranAt = now;
      this.runs = !this.isPaused;
      this.hasEnded = false;
      this.refuse(rejected);
    } else if (replay === this.replayId && reason) {
      this.stand();
      this.asked = this.replayId = undefined;
      this.hasEnded = !this.isPaused && reason === "end";
    }
  }

  refuse(rejected = []) {
    for (const { index, code, message } of rejected) this.asked.topics[index]?.refused({ code, message });
  }

  takeError({ id, code, message, rejected }) {
    if (id !== this.asked?.id || this.replayId !== undefined) return; // what was refused of it came with its beginning
    this.refuse(rejected);
    if (!rejected) this.trouble = message;
    this.asked = undefined;
    if (code === "too_many_replays") this.timer ??= setTimeout(() => this.play(), DRIFT_MS);
  }

  take(type, payload, now) {
    this.trouble = "";
    const { channel = { ...payload, channel_type: type.startsWith("order_book") ? "order_book" : type } } = payload;
    const topic = this.topics.get(keyOf(identity(channel)));
    if (type === "gap" && payload.reason === "recording") this.takeHole(payload, topic, now);
    if (!topic || (LISTS.has(type) && this.isKnown(topic, payload))) return;
    this.follow(Date.parse(payload.received), now);
    topic.take(type, payload, now);
  }

  // What is not on the tape takes no time.
  takeHole({ from, to, hole }, topic, now) {
    topic?.forget();
    if (hole === "unwritten") return;
    this.hole = widened(this.hole, { from: Date.parse(from), to: Date.parse(to), why: hole });
    if (this.hole.to > this.serverNow()) this.set(this.hole.to, now);
  }

  isKnown({ value }, { id }) {
    return id !== undefined && value.slice(-SEEN).some((each) => each.id === id);
  }

  // The server's pace counts: a message that is ahead of the clock puts it right.
  follow(received, now) {
    if (this.runs && received > this.serverNow() + DRIFT_MS) this.set(received, now);
  }

  set(at, now) {
    this.at = at;
    this.ranAt = now;
  }
}
