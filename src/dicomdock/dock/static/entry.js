// The first page of a session: hand in the one-time token of the address, wipe it from there, and load the page.
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

async function begin() {
  if (!/^[A-Za-z0-9_-]{43}$/.test(token)) {
    say("This page opens only through the dock's own link. Run ", command("dicomdock run"), " to get one.");
    return;
  }
  history.replaceState(null, "", location.pathname + location.search);
  const answer = await fetch("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (answer.ok) location.reload();
  else say("This link was used already or is too old. Run ", command("dicomdock run"), " to get a new one.");
}

begin().catch(() => say("The dock does not answer. Start it with ", command("dicomdock run"), "."));
