// Node's ws: send per client and event, the socket corked for the length of a turn so that it writes once.
//
//     node ws_server.js BODIES
//
// Node gives no access to SO_SNDBUF. The orders are those of work.py.
"use strict";
const dgram = require("dgram");
const fs = require("fs");
const { createRequire } = require("module");
const { WebSocketServer } = createRequire(process.env.PEERS_NPM + "/")("ws");

const bodies = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const topics = new Map();
const say = (members) => process.stdout.write(JSON.stringify(members) + "\n");
const cpu = () => { const usage = process.cpuUsage(); return (usage.user + usage.system) / 1e6; };
const seconds = () => Number(process.hrtime.bigint()) / 1e9;

let job = null, events = 0, credit = 0, counts = [], begun = 0, cpuBegun = 0, waiting = false;
const numbers = [], corked = new Set();

function publish(count) {
  for (let i = 0; i < count; i++) {
    const topic = events % job.topics;
    numbers[topic] = (numbers[topic] || 0) + 1;
    counts[topic]++;
    events++;
    const body = Buffer.from(bodies[topic][0] + numbers[topic] + bodies[topic][1]);
    for (const client of topics.get(topic) || []) {
      if (!corked.has(client)) { client._socket.cork(); corked.add(client); }
      client.send(body, { binary: false });
    }
  }
  for (const client of corked) client._socket.uncork();
  corked.clear();
}

function turn() {
  waiting = false;
  if (!job) return;
  const now = seconds() - begun;
  if (now >= job.seconds) {
    job = null;
    say({ events, counts, wall: now, cpu: cpu() - cpuBegun });
  } else if (job.do === "pace") {
    publish(Math.floor(now / job.tick + 1) * Math.round(job.rate * job.tick) - events);
    setTimeout(turn, Math.max(1, (job.tick - (now % job.tick)) * 1000));
  } else if (events * job.fan - credit < job.window) {
    publish(job.per_turn);
    schedule();
  }
}

function schedule() {
  if (!waiting) { waiting = true; setImmediate(turn); }
}

const control = dgram.createSocket("udp4");
control.on("message", (data) => {
  const text = data.toString();
  if (text.startsWith("c ")) { credit = Number(text.slice(2)); if (job && job.do === "saturate") schedule(); return; }
  const order = JSON.parse(text);
  if (order.do === "quit") process.exit(0);
  job = order; events = 0; credit = 0; counts = new Array(job.topics).fill(0); begun = seconds(); cpuBegun = cpu();
  schedule();
});

control.bind(0, "127.0.0.1", () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 4096 });
  server.on("listening", () => say({ port: server.address().port, control: control.address().port, pid: process.pid }));
  server.on("connection", (client) => {
    client._socket.setNoDelay(true);
    client.on("message", (data) => {
      for (const topic of data.toString().split(",")) {
        const key = Number(topic);
        if (!topics.has(key)) topics.set(key, []);
        topics.get(key).push(client);
      }
      client.send("ok");
    });
  });
});
