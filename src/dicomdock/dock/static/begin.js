// Begin a session: by a one-time token, or by the key that came with the session before.
//
// Programs on other ports of this host can replace our cookie, and a restarted dock knows no cookie of the one before.
// The browser stores the key for this origin alone, port included, and lets no script read it, only sign with it.
const OPENED = new Promise((opened, failed) => {
  const request = indexedDB.open("dicomdock", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("keys");
  request.onsuccess = () => opened(request.result);
  request.onerror = () => failed(request.error);
});
OPENED.catch(() => {}); // a browser without storage needs a new link each time

async function stored(mode, ask) {
  const request = ask((await OPENED).transaction("keys", mode).objectStore("keys"));
  return new Promise((done, failed) => {
    request.transaction.oncomplete = () => done(request.result);
    request.transaction.onerror = request.transaction.onabort = () => failed(request.error);
  });
}

const HMAC = { name: "HMAC", hash: "SHA-256" };

async function keep({ browser, key }) {
  const raw = Uint8Array.from(atob(key), (letter) => letter.charCodeAt(0));
  const signing = await crypto.subtle.importKey("raw", raw, HMAC, false, ["sign"]);
  await stored("readwrite", (keys) => keys.put({ browser, signing }, "session"));
  localStorage.removeItem("dicomdock-resume"); // of earlier versions
}

export async function begin(proof) {
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(proof),
  });
  if (!answer.ok) return false;
  await keep(await answer.json()).catch(() => {});
  return true;
}

export async function resume() {
  const held = await stored("readonly", (keys) => keys.get("session")).catch(() => undefined);
  if (!held) return false;
  const { challenge } = await (await fetch("/session")).json();
  const signed = new TextEncoder().encode(`${location.origin}\n${challenge}`);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", held.signing, signed));
  const digits = [...signature].map((one) => one.toString(16).padStart(2, "0")).join("");
  return begin({ browser: held.browser, challenge, signature: digits });
}
