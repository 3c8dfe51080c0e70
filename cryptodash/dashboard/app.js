// The page: exchanges from REST, tickers from /ws. Values are stored as they come and drawn ten times a second.

const BASES = ["BTC", "ETH", "SOL", "XRP"];
const QUOTES = ["USDT", "USD", "USDC"];
const MAX_RATE = 10;
const DRAW_MS = 100;
const VENUES_MS = 2000;
const PING_MS = 15000;
const DEAD_MS = 40000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15000;
const DASH = "\u2013";

const byId = (id) => document.getElementById(id);
const keyOf = (exchange, market, symbol) => `${exchange}:${market}:${symbol.base}-${symbol.quote}`;

function cell(row, className = "") {
  const made = row.insertCell();
  made.className = className;
  made.textContent = DASH;
  return made;
}

// A cell is touched only when its text changes: the DOM is the cost of such a page.
function show(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function money(value, decimals) {
  if (value === undefined) return DASH;
  const [whole, fraction] = value.toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

function percent(value) {
  if (value === undefined) return DASH;
  const sign = value > 0 ? "+" : value < 0 ? "\u2212" : "";
  return `${sign}${Math.abs(value).toFixed(2)} %`;
}

function age(ms) {
  if (ms === undefined) return DASH;
  if (ms < 10000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 120000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60000)} m`;
}

async function fetchJson(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer.json();
}

// One line of the ticker table, and what is known of its channel.
class Line {
  constructor(instrument, exchange, table) {
    const { base, quote, market_type: market, price_precision: decimals } = instrument;
    this.channel = { channel_type: "ticker", exchange, market_type: market, symbol: { base, quote }, max_rate: MAX_RATE };
    this.decimals = decimals;
    this.ticker = {};
    this.status = { state: "connecting" };
    this.confirmed = undefined;
    this.row = table.insertRow();
    show(cell(this.row), exchange);
    show(cell(this.row), `${base}-${quote}`);
    this.cells = {};
    for (const name of ["last", "bid", "ask", "change"]) this.cells[name] = cell(this.row, "number value");
    this.cells.state = cell(this.row, "state");
    this.cells.age = cell(this.row, "number");
    this.cells.source = cell(this.row);
  }

  take(ticker) {
    this.ticker = ticker;
    this.confirmed = performance.now();
  }

  takeStatus(status) {
    this.status = status;
    if (status.age_ms !== undefined) this.confirmed = performance.now() - status.age_ms;
  }

  draw(connected) {
    const { last, bid, ask, change_pct_24h: change } = this.ticker;
    const { state, cause, fields, source } = this.status;
    const good = connected && (state === "live" || state === "quiet");
    show(this.cells.last, money(last, this.decimals));
    show(this.cells.bid, money(bid, this.decimals));
    show(this.cells.ask, money(ask, this.decimals));
    show(this.cells.change, percent(change));
    this.cells.change.classList.toggle("up", change > 0);
    this.cells.change.classList.toggle("down", change < 0);
    const why = [cause, fields && fields.join(", ")].filter(Boolean).join(": ");
    show(this.cells.state, connected ? (why ? `${state} (${why})` : state) : "offline");
    show(this.cells.age, age(this.confirmed === undefined ? undefined : performance.now() - this.confirmed));
    show(this.cells.source, (source || DASH).toUpperCase());
    this.cells.source.classList.toggle("simulated", source !== undefined && source !== "live");
    this.row.className = good ? "good" : "bad";
  }
}

const lines = new Map();
let connected = false;

function notice(text) {
  const target = byId("notice");
  target.hidden = !text;
  show(target, text);
}

function pill(text, className) {
  const target = byId("socket");
  target.className = `pill ${className}`;
  show(target, text);
}

function badge(sources) {
  const others = [...new Set(sources)].filter((source) => source !== "live");
  const target = byId("source");
  target.hidden = others.length === 0;
  show(target, others.map((source) => `${source.toUpperCase()} DATA`).join(", "));
}

// The socket: one subscription to every line, made again after each reconnect.
class Feed {
  constructor() {
    this.tries = 0;
    this.heard = 0;
    this.socket = null;
    setInterval(() => this.watch(), PING_MS);
  }

  open() {
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.opened();
    this.socket.onmessage = (event) => this.received(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event);
  }

  opened() {
    connected = true;
    this.heard = performance.now();
    pill("connected", "open");
    this.subscribe();
  }

  subscribe() {
    const channels = [...lines.values()].map((line) => line.channel);
    if (connected && channels.length) this.socket.send(JSON.stringify({ op: "subscribe", channels }));
  }

  received(message) {
    this.heard = performance.now();
    const { type, payload } = message;
    if (type === "ticker") {
      lines.get(keyOf(payload.exchange, payload.market_type, payload.symbol))?.take(payload);
    } else if (type === "status") {
      const { exchange, market_type: market, symbol } = payload.channel;
      lines.get(keyOf(exchange, market, symbol))?.takeStatus(payload);
    } else if (type === "error") {
      notice(message.message);
    } else if (type === "info" && payload.session) {
      this.tries = 0;
      notice("");
    }
  }

  closed(event) {
    connected = false;
    const spread = Math.random() * Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.tries);
    const wait = RETRY_MIN_MS + Math.max(spread, retryAfter(event.reason));
    this.tries += 1;
    pill(`reconnecting in ${age(wait)}`, "lost");
    setTimeout(() => this.open(), wait);
  }

  watch() {
    if (!connected) return;
    if (performance.now() - this.heard > DEAD_MS) this.socket.close(4000, "silent");
    else this.socket.send('{"op":"ping"}');
  }
}

// A restarting server says in the close reason how long to wait.
function retryAfter(reason) {
  try {
    return Math.min(60000, Number(JSON.parse(reason).retry_ms) || 0);
  } catch {
    return 0;
  }
}

const feed = new Feed();

function choose(symbols) {
  const spot = symbols.filter((each) => each.market_type === "spot");
  return BASES.map((base) => QUOTES.map((quote) => spot.find((each) => each.base === base && each.quote === quote)).find(Boolean)).filter(Boolean);
}

async function loadSymbols() {
  try {
    const { exchanges } = await fetchJson("api/symbols?market_type=spot");
    const before = lines.size;
    for (const { exchange, symbols } of exchanges) {
      for (const instrument of choose(symbols)) {
        const key = keyOf(exchange, instrument.market_type, instrument);
        if (!lines.has(key)) lines.set(key, new Line(instrument, exchange, byId("tickers")));
      }
    }
    if (lines.size > before) feed.subscribe();
    byId("empty").hidden = lines.size > 0;
    if (exchanges.every(({ symbols }) => symbols.length)) return;
  } catch (error) {
    notice(error.message);
  }
  setTimeout(loadSymbols, VENUES_MS);
}

async function loadVenues() {
  try {
    const { exchanges } = await fetchJson("api/exchanges");
    badge(exchanges.map(({ source }) => source));
    byId("venues").replaceChildren(...exchanges.map(venueRow));
  } catch (error) {
    notice(error.message);
  }
  setTimeout(loadVenues, VENUES_MS);
}

function venueRow(venue) {
  const row = document.createElement("tr");
  row.className = venue.status === "online" ? "good" : "bad";
  show(cell(row), venue.name);
  show(cell(row, "state"), venue.idle ? `${venue.status}, idle` : venue.status);
  show(cell(row), [venue.cause, venue.reason].filter(Boolean).join(": ") || DASH);
  show(cell(row, "number"), String(venue.connections));
  show(cell(row, "number"), String(venue.streams));
  show(cell(row, venue.source === "live" ? "" : "simulated"), venue.source.toUpperCase());
  return row;
}

setInterval(() => lines.forEach((line) => line.draw(connected)), DRAW_MS);
loadVenues();
loadSymbols();
feed.open();
