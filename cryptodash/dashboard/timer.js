// What has to go on in a hidden tab.

// The one script that is loaded by a text, and the one policy that the page's Content-Security-Policy names.
const policy = window.trustedTypes?.createPolicy("ticks", { createScriptURL: (url) => url });

/** Call `act` every `ms`, in a hidden tab as well; by the page's own timers where the browser has no worker for it. */
export function steadily(ms, act) {
  const slowly = () => setInterval(act, ms);
  try {
    const url = new URL("ticks.js", import.meta.url).href;
    const worker = new Worker(policy ? policy.createScriptURL(url) : url, { name: "ticks" });
    worker.onmessage = () => act();
    worker.onerror = slowly;
    worker.postMessage(ms);
  } catch {
    slowly();
  }
}
