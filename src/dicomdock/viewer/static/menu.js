// The menu of a view, and the magnifying glass. What their items do is the viewer's.
(() => {
  const STILL = 4; // pixels that the mouse may move in a click
  const ROOM = 290; // pixels; how wide the menu may be
  const inView = (target) => target?.closest?.("[data-view]");
  const menu = () => document.querySelector(".menu");
  const put = (values) => {
    const { state } = window.trame;
    Object.entries(values).forEach(([key, value]) => state.set(key, value));
    state.flush(...Object.keys(values));
  };
  const open = (view, x, y) => {
    const state = window.trame?.state;
    // Points of a measurement or an outline are clicked, the last one with the right button; a dialog is answered first.
    const clicked = state?.get("measuring") || /(Draw|Scissors)$/.test(state?.get("SegmentEditorState__active_effect_name"));
    if (!state || clicked || document.querySelector("[role=dialog], [role=alertdialog]")) return;
    const left = Math.max(0, Math.min(x, window.innerWidth - ROOM));
    const below = y < window.innerHeight / 2;
    const room = Math.max(y, window.innerHeight - y) - 8;
    const edge = below ? `top:${y}px` : `bottom:${window.innerHeight - y}px`;
    put({ menu_view: view, menu_place: `left:${left}px;${edge};max-height:${room}px` });
  };
  const close = () => { if (window.trame?.state?.get("menu_view")) put({ menu_view: "" }); };

  // A drag with the right button zooms; only a click opens the menu.
  let pressed = null;
  window.addEventListener("pointerdown", (event) => {
    if (!menu()?.contains(event.target)) close();
    pressed = event.button === 2 && inView(event.target) ? event : null;
  }, true);
  window.addEventListener("pointerup", (event) => {
    const from = pressed;
    pressed = null;
    if (!from || event.button !== 2 || Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY) >= STILL) return;
    open(inView(from.target).dataset.view, event.clientX, event.clientY);
  }, true);
  // The menu key, Shift+F10, a long touch, Ctrl and a click on a Mac.
  let hovered = null;
  window.addEventListener("mouseover", (event) => { hovered = inView(event.target) ?? hovered; });
  window.addEventListener("contextmenu", (event) => {
    if (event.target.closest?.(".menu")) event.preventDefault();
    if (event.button === 2 || event.target.matches?.("input:not([type=range]), textarea, select")) return;
    const byMouse = inView(event.target);
    const view = byMouse ?? (hovered?.isConnected ? hovered : document.querySelector("[data-view]"));
    if (!view) return;
    event.preventDefault();
    const box = view.getBoundingClientRect();
    const at = byMouse && event.pointerType ? [event.clientX, event.clientY] : [box.left + box.width / 3, box.top + box.height / 4];
    open(view.dataset.view, ...at.map(Math.round));
  }, true);
  window.addEventListener("click", (event) => { if (event.target.closest?.(".menu button")) setTimeout(close); });
  window.addEventListener("keydown", (event) => {
    const shown = menu();
    if (!shown) return;
    const items = [...shown.querySelectorAll("button")];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) items.at(to % items.length).focus();
    else if (event.key === "Escape") close();
    else if (event.key.length === 1 && event.key !== " ") { close(); return; } // the key itself does what it always does
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  // The glass enlarges the picture as it is drawn, so it follows the mouse on a distant line too.
  const TIMES = 2.5;
  const glass = document.createElement("canvas");
  glass.className = "glass";
  glass.setAttribute("aria-hidden", "true");
  let mouse = null;
  const look = () => {
    const picture = mouse && document.elementFromPoint(mouse.clientX, mouse.clientY)?.closest("[data-view]")?.querySelector("canvas.picture");
    const on = Boolean(picture?.width && window.trame?.state?.get("glass") && !menu());
    glass.classList.toggle("on", on);
    if (!on) return;
    if (!glass.isConnected) document.body.appendChild(glass);
    const size = glass.clientWidth;
    const box = picture.getBoundingClientRect();
    const scale = picture.width / box.width; // pixels of the picture for each of the page's
    glass.width = glass.height = size * window.devicePixelRatio;
    glass.style.transform = `translate(${mouse.clientX - size / 2}px, ${mouse.clientY - size / 2}px)`;
    const wide = (size / TIMES) * scale;
    const from = [(mouse.clientX - box.left) * scale - wide / 2, (mouse.clientY - box.top) * scale - wide / 2];
    glass.getContext("2d").drawImage(picture, ...from, wide, wide, 0, 0, glass.width, glass.height);
  };
  window.addEventListener("pointermove", (event) => { mouse = event; look(); }, true);
  window.addEventListener("dicomdock-drawn", look);
  const watched = setInterval(() => {
    if (!window.trame?.state) return;
    clearInterval(watched);
    window.trame.state.watch(["glass", "menu_view"], look);
  }, 50);
})();
