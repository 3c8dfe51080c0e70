// What may be laid over and under the candles: volume delta, the map of the book, liquidations. What is off costs nothing.

// The code of each is loaded when it is first switched on.
const LOADS = { cvd: () => import("./delta.js"), heat: () => import("./heat.js"), liq: () => import("./liquidations.js") };
const PANE_SHARE = 0.2;
const PANE_MIN = 44;

export class Layers {
  constructor(chart) {
    this.chart = chart;
    this.code = {};
    this.loading = new Set();
    this.names = []; // that are on, whether their code is here yet or not
    this.arrived = () => {}; // called when code has come: `set` makes something of it
  }

  /** The names that are on ("cvd", "heat", "liq"), of a market. What was gathered of another market is forgotten. */
  set(names, market) {
    if (market !== this.market) this.clear();
    this.market = market;
    this.names = names;
    for (const name of names) this.load(name);
    const { code } = this;
    const on = (name, held, make) => (names.includes(name) && code[name] ? held ?? make(code[name]) : undefined);
    this.delta = on("cvd", this.delta, ({ VolumeDelta }) => new VolumeDelta());
    this.liquidations = on("liq", this.liquidations, ({ Liquidations }) => new Liquidations());
    if (!names.includes("heat")) this.heat?.end();
    this.heat = on("heat", this.heat, ({ Heat }) => new Heat(this.chart, Number(market.tick)));
    this.chart.surface.invalidate();
  }

  // Without an answer it is tried again with the next choice.
  async load(name) {
    if (this.code[name] || this.loading.has(name) || !LOADS[name]) return;
    this.loading.add(name);
    this.code[name] = await LOADS[name]().catch(() => undefined);
    this.loading.delete(name);
    if (this.code[name]) this.arrived();
  }

  clear() {
    this.heat?.end();
    this.delta = this.heat = this.liquidations = undefined;
    this.refusal = "";
  }

  /** With every message of the trades, and when the delta is switched on. */
  takeTrades(topic) {
    if (!this.delta || !topic) return;
    const { version } = this.delta;
    this.delta.take(topic.value);
    if (version !== this.delta.version) this.chart.surface.invalidate();
  }

  takeLiquidation(type, payload) {
    if (type === "liquidation") this.liquidations?.take(payload);
    else if (type === "error") this.refusal = payload.message;
    this.chart.surface.invalidate();
  }

  /** With every picture: the book, or undefined while it is not proven; the time of the server. */
  sample(now, book) {
    this.heat?.sample(now, book);
  }

  /** Height of what lies below the volume. */
  room(height) {
    return this.delta ? Math.max(PANE_MIN, Math.round(height * PANE_SHARE)) : 0;
  }

  /** Over the candles. */
  paint(pane) {
    this.liquidations?.paint(pane);
    this.delta?.paint(pane);
  }

  /** Beside the candles, on the axis. */
  label(pane) {
    this.delta?.label(pane);
  }

  /** When the chart has been painted: what lies behind it moves along. */
  painted() {
    this.heat?.draw();
  }

  /** For the legend. */
  notes() {
    const { chart: { shown, cross, options: { zone } }, market } = this;
    return [
      this.delta?.words(shown, cross?.slot, market, zone), this.heat?.words(zone), this.liquidations && (this.refusal || this.liquidations.words(market, zone)),
    ].filter(Boolean).map((text) => [text, "muted wrap"]);
  }
}
