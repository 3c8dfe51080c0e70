// The tickers of whole markets: a value to sort by must be known of every row, not only of those on the screen.

export class Sweeps {
  constructor(feed) {
    this.feed = feed;
    this.open = new Map();
    this.tickers = new Map();
  }

  /** The last ticker of an instrument by its id ("binance/spot/BTC-USDT"). */
  get(id) {
    return this.tickers.get(id);
  }

  /** From now on hear of the markets of these instruments, `rate` times a second. */
  want(instruments, rate) {
    const wanted = new Map(instruments.map(({ exchange, market_type: market }) => [`${exchange}/${market}`, { exchange, market }]));
    for (const [key, { rate: before }] of this.open) if (!wanted.has(key) || before !== rate) this.end(key);
    for (const [key, { exchange, market }] of wanted) {
      if (this.open.has(key)) continue;
      const topic = this.feed.open({ channel_type: "ticker", exchange, market_type: market, symbol: "*", max_rate: rate });
      const unlisten = topic.listen((type, payload) => {
        if (type === "ticker") this.tickers.set(`${key}/${payload.symbol.base}-${payload.symbol.quote}`, payload);
      });
      this.open.set(key, { topic, rate, unlisten });
    }
  }

  end(key) {
    const { topic, rate, unlisten } = this.open.get(key);
    this.open.delete(key);
    unlisten();
    this.feed.close(topic, rate);
  }

  release() {
    for (const key of [...this.open.keys()]) this.end(key);
    this.tickers.clear();
  }
}
