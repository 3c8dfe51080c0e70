// The topics that one market's view holds, by name, so that each is given back exactly once.

export class Holds {
  constructor(feed) {
    this.feed = feed;
    this.held = new Map();
  }

  /** The topic held under a name; undefined for none. */
  topic(name) {
    return this.held.get(name)?.topic;
  }

  /** Hold the channel under this name instead of what was held; without a channel hold nothing. True when it was not held before. */
  hold(name, channel, listener) {
    const held = this.held.get(name);
    const key = channel && JSON.stringify(channel);
    if (held?.key === key) return false;
    if (held) {
      held.end();
      this.feed.close(held.topic, held.rate);
      this.held.delete(name);
    }
    if (!channel) return false;
    const topic = this.feed.open(channel);
    this.held.set(name, { topic, key, rate: channel.max_rate, end: listener ? topic.listen(listener) : () => {} });
    return true;
  }

  /** Hold exactly these channels, {name: channel}, of all whose name begins with `prefix`. */
  holdAll(prefix, channels, listener) {
    for (const name of [...this.held.keys()]) if (name.startsWith(prefix) && !Object.hasOwn(channels, name)) this.hold(name);
    for (const [name, channel] of Object.entries(channels)) this.hold(name, channel, listener);
  }

  /** The topics held under names that begin with `prefix`. */
  all(prefix) {
    return [...this.held].filter(([name]) => name.startsWith(prefix)).map(([, { topic }]) => topic);
  }

  /** Hold an order book. When another depth is wanted, the one that is held is shown until the other has come. */
  holdBook(channel) {
    const held = this.held.get("book");
    const moves = channel && held?.topic.value && held.topic.channel.depth !== channel.depth;
    if (moves || !channel) this.hold("bookBefore");
    if (moves) {
      this.held.set("bookBefore", held);
      this.held.delete("book");
    }
    this.hold("book", channel);
  }

  /** The topic of the order book that is to be shown. */
  book() {
    const next = this.topic("book");
    const before = this.topic("bookBefore");
    if (!before) return next;
    if (!next.value && !next.error) return before;
    this.hold("bookBefore");
    return next;
  }

  /** Give everything back. */
  end() {
    for (const name of [...this.held.keys()]) this.hold(name);
  }
}
