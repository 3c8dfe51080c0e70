// An order book in Node, kept from a snapshot and its deltas; no package is needed.
//
//     node examples/node_client.mjs --exchange binance --symbol BTC-USDT
//
// Node 22 or newer. In Node 20: node --experimental-websocket examples/node_client.mjs ...
import { parseArgs } from "node:util";

const text = (value) => ({ type: "string", default: value });
const { values: options } = parseArgs({
  options: {
    url: text("ws://127.0.0.1:8080/ws"), exchange: text("binance"), market: text("spot"), symbol: text("BTC-USDT"),
    depth: text("5"), count: text("0"),
  },
});
const channel = {
  channel_type: "order_book", exchange: options.exchange, market_type: options.market, symbol: options.symbol,
  depth: Number(options.depth), max_rate: 1,
};
const SILENT_MS = 3000, DEAD_MS = 10000, MOST_WAIT_MS = 30000;

let socket, attempts = 0, lines = 0;
let heard = 0; // monotonic time of the last message
const book = { sides: { bids: new Map(), asks: new Map() }, sequence: 0, synced: false, status: {}, statusAt: 0 };

// Numbers as they are written: 43250.50000000 stays so where JSON.parse tells its source (Node 21 or newer); in an older
// one the padding is lost.
const read = (json) =>
  JSON.parse(json, (key, value, context) => (typeof value === "number" ? context?.source ?? String(value) : value));

const say = (message) => socket.send(JSON.stringify(message));

function words() {
  const now = performance.now();
  if (socket?.readyState !== WebSocket.OPEN) return "STALE: link_lost";
  if (now - heard > SILENT_MS) return "STALE: link_silent";
  const { state = "connecting", cause, age_ms: age } = book.status;
  if (!book.synced) return "resyncing: no snapshot yet";
  // In a live book the newest change is now; else the status said how old it is, and time has passed since.
  const old = state === "live" ? "" : ` ${((Number(age ?? 0) + now - book.statusAt) / 1000).toFixed(1)} s`;
  return `${state}${old}${cause ? `: ${cause}` : ""}`;
}

function best(side, better) {
  const prices = [...book.sides[side].keys()];
  if (!prices.length) return "-";
  const found = prices.reduce((one, other) => (better(Number(other), Number(one)) ? other : one));
  return `${found} x ${book.sides[side].get(found)}`;
}

function show() {
  const bid = best("bids", (a, b) => a > b), ask = best("asks", (a, b) => a < b);
  console.log(`${options.exchange} ${options.symbol} bid ${bid} ask ${ask} | ${words()}`);
  if (++lines === Number(options.count)) process.exit(0);
}

function resync() {
  book.synced = false;
  say({ op: "resync", channels: [channel] });
}

function take(type, payload) {
  if (type === "order_book_snapshot") {
    for (const side of ["bids", "asks"])
      book.sides[side] = new Map(payload[side].map(({ price, quantity }) => [price, quantity]));
    book.sequence = Number(payload.sequence);
    book.synced = true;
  } else if (type === "order_book_delta") {
    if (!book.synced) return;
    if (Number(payload.sequence) !== book.sequence + 1) return resync();
    for (const side of ["bids", "asks"]) {
      for (const price of payload.deletes[side]) if (!book.sides[side].delete(price)) return resync();
      for (const { price, quantity } of payload[`${side}_upserts`]) book.sides[side].set(price, quantity);
    }
    book.sequence = Number(payload.sequence);
  } else if (type === "status") {
    book.status = payload;
    book.statusAt = performance.now();
  } else if (type === "error") {
    console.error(`server: ${payload.message}`);
    return;
  } else return; // what is not known yet is ignored
  show();
}

function connect() {
  socket = new WebSocket(options.url);
  socket.onopen = () => {
    heard = performance.now();
    say({ op: "subscribe", channels: [channel] });
  };
  socket.onmessage = ({ data }) => {
    heard = performance.now();
    attempts = 0;
    const { type, payload } = read(data);
    take(type, payload);
  };
  socket.onclose = ({ code, reason }) => {
    book.synced = false; // what was here is of before: wait for a snapshot
    book.status = {};
    let wait = Math.min(MOST_WAIT_MS, 500 * 2 ** ++attempts) * (0.5 + Math.random() / 2);
    try {
      wait = JSON.parse(reason).retry_ms ?? wait; // the server spreads its clients itself
    } catch {
      // no reason, or one in words
    }
    console.error(`closed with ${code} ${reason}; again in ${Math.round(wait)} ms`);
    setTimeout(connect, wait);
  };
  socket.onerror = () => {}; // the close follows
}

if (typeof WebSocket === "undefined") {
  console.error("this Node has no WebSocket: take 22 or newer, or node --experimental-websocket in 20");
  process.exit(1);
}
setInterval(() => {
  if (socket.readyState !== WebSocket.OPEN) return;
  const silent = performance.now() - heard;
  if (silent > DEAD_MS) socket.close();
  else if (silent > 1000) say({ op: "ping" });
  if (silent > SILENT_MS) show();
}, 1000);
connect();
