// Keys, for every page: an element says its key with aria-keyshortcuts, and this presses it.
// "?" lists them. A one-time token that is left in the address is used up, so that it can begin no second session.
(() => {
  const typing = (element) =>
    element.isContentEditable || element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");

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
    if (typing(event.target) || document.querySelector(".keys-box, .q-dialog")) return;
    const found = keyed().find((element) => enabled(element) && element.getAttribute("aria-keyshortcuts") === event.key);
    if (!found) return;
    event.preventDefault();
    press(found);
  });

  // Arrow keys enter the list of the page from anywhere that has no use for them itself.
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
    if ((event.key !== "ArrowDown" && event.key !== "ArrowUp") || typing(event.target)) return;
    if (document.querySelector(".keys-box, .q-dialog, .q-menu") || event.target.closest(".grid, [role=menu], [role=listbox], [role=tablist]")) return;
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
    if (document.querySelector(".keys-box")) return;
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
    for (const element of document.querySelectorAll("[data-help-keys]")) {
      if (!shown(element)) continue;
      for (const text of element.getAttribute("data-help-keys").split(";")) add(...text.split("="));
    }
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
  const token = location.hash.slice(1);
  if (/^[A-Za-z0-9_-]{43}$/.test(token)) {
    history.replaceState(null, "", location.pathname + location.search);
    const body = JSON.stringify({ token });
    fetch("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body }).then((answer) => {
      if (answer.ok) localStorage.setItem("dicomdock-resume", answer.headers.get("dicomdock-resume"));
    });
  }
})();
