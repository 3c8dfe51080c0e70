// A worker that only ticks: its timers go on in a hidden tab, whose own ones browsers slow down to one a minute.

onmessage = ({ data: ms }) => setInterval(() => postMessage(null), ms);
