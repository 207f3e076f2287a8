// Keys, for every page: an element says its key with aria-keyshortcuts, and this presses it.
// "?" lists them. A one-time token that is left in the address is used up, so that it can begin no second session.
(() => {
  const typing = (element) =>
    element.isContentEditable || element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");

  // Keys are its own while one is open. One that was closed is still there for a moment, and no key may be lost then.
  const DIALOG = ".keys-box[open], .q-dialog";

  const shown = (element) => element.getClientRects().length > 0;
  const enabled = (element) => !element.matches("[disabled], [aria-disabled=true], .disabled");

  const keyed = () => [...document.querySelectorAll("[aria-keyshortcuts]")].filter(shown);

  function press(element) {
    const field = element.matches("input, textarea") ? element : element.querySelector("input, textarea");
    if (field) {
      field.focus();
      field.select?.();
    } else element.click();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && typing(event.target)) {
      event.target.blur();
      return;
    }
    if (typing(event.target) || document.querySelector(DIALOG)) return;
    const found = keyed().find((element) => enabled(element) && element.getAttribute("aria-keyshortcuts") === event.key);
    if (!found) return;
    event.preventDefault();
    if (!event.repeat) press(found);
  });

  // A key that is held and a double click do a thing once: what is pressed again may mean the next item by then.
  document.addEventListener("click", (event) => {
    if (event.detail > 1 && event.target.closest("button[aria-keyshortcuts]")) event.stopPropagation();
  }, true);

  // What is asked for is kept until it is answered: if the dock ends meanwhile, the page asks what became of it.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-asks]");
    if (button && enabled(button)) sessionStorage.setItem("dicomdock-asked", button.dataset.asks);
  });

  // Arrow keys enter the list of the page from anywhere that has no use for them itself.
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
    if ((event.key !== "ArrowDown" && event.key !== "ArrowUp") || typing(event.target)) return;
    if (document.querySelector(`${DIALOG}, .q-menu`) || event.target.closest(".grid, [role=menu], [role=listbox], [role=tablist]")) return;
    const list = [...document.querySelectorAll(".grid[role=grid]")].find(shown);
    if (!list) return;
    event.preventDefault();
    list.focus();
  });

  function describe(element) {
    const label =
      element.getAttribute("data-help") || element.getAttribute("aria-label") || element.getAttribute("title") ||
      element.querySelector(".q-field__label, .q-btn__content .block")?.textContent || element.textContent;
    return label.trim();
  }

  function showKeys() {
    if (document.querySelector(".keys-box[open]")) return;
    const box = document.createElement("dialog");
    box.className = "keys-box";
    const title = document.createElement("h2");
    title.textContent = "Keys of this page";
    const list = document.createElement("dl");
    const add = (key, text) => {
      const name = document.createElement("dt");
      name.append(Object.assign(document.createElement("kbd"), { textContent: key }));
      const meaning = Object.assign(document.createElement("dd"), { textContent: text });
      list.append(name, meaning);
    };
    for (const element of keyed()) add(element.getAttribute("aria-keyshortcuts"), describe(element));
    const lists = [...document.querySelectorAll("[data-help-keys]")].filter(shown);
    const ofLists = new Set(lists.flatMap((element) => element.getAttribute("data-help-keys").split(";"))); // each once
    for (const text of ofLists) add(...text.split("="));
    const close = Object.assign(document.createElement("button"), { textContent: "Close", className: "btn plain" });
    close.onclick = () => box.close();
    box.onclose = () => box.remove();
    box.append(title, list, close);
    document.body.append(box);
    box.showModal();
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-show-keys]")) showKeys();
  });

  sessionStorage.removeItem("dicomdock-resumed"); // what entry.js resumed was accepted
  // Loaded now: whoever answers on this port once the dock has ended shall not bring scripts into this page.
  const session = import("/session/begin.js");
  const token = location.hash.slice(1);
  if (/^[A-Za-z0-9_-]{43}$/.test(token)) {
    history.replaceState(null, "", location.pathname + location.search);
    session.then(({ begin }) => begin({ token }));
  }

  // What the page says while it has no connection: one message, in the place of NiceGUI's. A dock that was restarted
  // gets a new session by this browser's key; NiceGUI then loads the page again by itself.
  const RETRY_MS = 2000;
  const popup = document.getElementById("popup");
  const sentences = {
    gone: "The dock does not answer. This page connects again by itself; to start the dock, run dicomdock run.",
    ended: "The dock was started anew and does not know this browser: run dicomdock run for a new link.",
  };
  let waiting = false;

  function tell(sentence) {
    if (popup.textContent !== sentence) popup.replaceChildren(Object.assign(document.createElement("span"), { textContent: sentence }));
  }

  async function reconnect() {
    // Any address will do that needs a session.
    const answer = await fetch("/favicon.ico", { cache: "no-store" }).catch(() => null);
    if (!answer) tell(sentences.gone);
    else if (answer.status === 401) {
      const { resume } = await session;
      const known = await resume().catch(() => null); // null: it has gone again meanwhile
      if (known) window.socket.disconnect().connect();
      else if (known === false) tell(sentences.ended);
    }
  }

  async function wait() {
    if (waiting) return;
    waiting = true;
    tell(sentences.gone);
    while (popup.getAttribute("aria-hidden") === "false") {
      await reconnect().catch(() => {});
      await new Promise((next) => setTimeout(next, RETRY_MS));
    }
    waiting = false;
  }

  popup.setAttribute("role", "status");
  new MutationObserver(() => popup.getAttribute("aria-hidden") === "false" && wait()).observe(popup, { attributeFilter: ["aria-hidden"] });
})();
