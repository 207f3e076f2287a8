// The first page of a session: hand in the one-time token of the address, wipe it from there, and load the page.
import { begin, resume } from "./begin.js";

const message = document.getElementById("message");
const token = location.hash.slice(1);

function say(...parts) {
  message.replaceChildren(...parts);
}

function command(text) {
  const code = document.createElement("code");
  code.textContent = text;
  return code;
}

const RESUMED = "dicomdock-resumed"; // removed by the pages: a browser that takes no cookies comes back here

async function again() {
  const resumed = sessionStorage.getItem(RESUMED);
  sessionStorage.removeItem(RESUMED);
  if (resumed || !("resume" in document.body.dataset)) return false;
  sessionStorage.setItem(RESUMED, "once");
  return resume();
}

// Who comes back from a viewer finds the list as this tab showed it last.
function lead() {
  const list = sessionStorage.getItem("dicomdock-list") ?? "/";
  if (location.pathname + location.search !== "/?back") location.reload();
  else location.replace(/^\/(?!\/)/.test(list) ? list : "/");
}

async function enter() {
  const given = /^[A-Za-z0-9_-]{43}$/.test(token);
  if (given) history.replaceState(null, "", location.pathname + location.search);
  if ((given && (await begin({ token }))) || (await again())) lead();
  else if (given) say("This link was used already or is too old. Run ", command("dicomdock run"), " to get a new one.");
  else say("This page opens only through the dock's own link. Run ", command("dicomdock run"), " to get one.");
}

enter().catch(() => say("The dock does not answer. Start it with ", command("dicomdock run"), "."));
