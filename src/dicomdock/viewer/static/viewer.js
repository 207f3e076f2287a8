// The pictures of the views, keys, and what the page says when its viewer is gone. Everything else is trame's.
(() => {
  // The picture of a view. The view's element says which state of the scene is drawn (data-drawn), which one is drawn with
  // all detail (data-whole), and which one is the current one (data-state): they are the same when what is seen is what is there.
  let delay = 0; // seconds that the last message and its answer took
  const picture = {
    props: { name: { type: String, required: true } },
    inject: ["trame"],
    template: '<canvas class="picture" width="0" height="0"></canvas>',
    mounted() {
      const canvas = this.$el;
      const shown = canvas.closest("[data-view]");
      const session = this.trame.client.getConnection().getSession();
      let next = null;
      let drawing = false;
      let gone = false;
      // Decoding takes its time: what comes meanwhile waits, and only the newest of it is drawn next.
      const draw = async () => {
        drawing = true;
        while (next && !gone) {
          const { meta, content } = next;
          next = null;
          const image = await createImageBitmap(new Blob([content], { type: meta.type })).catch(() => null);
          if (!image) continue;
          if (canvas.width !== meta.w) canvas.width = meta.w;
          if (canvas.height !== meta.h) canvas.height = meta.h;
          canvas.getContext("2d").drawImage(image, 0, 0, meta.w, meta.h);
          image.close();
          window.dispatchEvent(new Event("dicomdock-drawn"));
          shown.dataset.drawn = meta.state;
          if (meta.whole) shown.dataset.whole = meta.state;
          if (!(Number(shown.dataset.state) >= meta.state)) shown.dataset.state = meta.state;
        }
        drawing = false;
      };
      const subscriptions = [
        session.subscribe("trame.rca.topic.stream", ([frame]) => {
          if (frame.name !== this.name) return;
          // By this the viewer knows what the line carries.
          const began = performance.now();
          session.call("trame.rca.event", [this.name, "viewer", { type: "Received", number: frame.meta.number, delay }])
            .then(() => { delay = (performance.now() - began) / 1000; }).catch(() => {});
          next = frame;
          if (!drawing) draw();
        }),
        session.subscribe("dicomdock.state", ([{ name, state }]) => {
          if (name === this.name) shown.dataset.state = state;
        }),
        session.subscribe("dicomdock.value", ([{ name, text }]) => {
          if (name === this.name) shown.querySelector(".value").textContent = text;
        }),
      ];
      this.leave = () => {
        gone = true;
        subscriptions.forEach((one) => session.unsubscribe(one));
      };
    },
    beforeUnmount() { this.leave(); },
  };
  // What the mouse does in a view goes to the viewer in its own time; a key that is pressed behind it, or a control that
  // is clicked, must not overtake it.
  const LONGEST = 10000; // ms; an answer that never comes holds what follows no longer than this
  const held = new Set();
  let outstanding = 0;
  let waiting = [];
  const released = () => {
    outstanding = Math.max(0, outstanding - 1);
    if (outstanding) return;
    waiting.forEach((go) => go());
    waiting = [];
  };
  const settled = () => new Promise((go) => {
    if (!outstanding) return go();
    const late = setTimeout(() => { outstanding = 0; released(); }, LONGEST); // a later click has its own time
    waiting.push(() => { clearTimeout(late); go(); });
  });
  window.addEventListener("pointerdown", (event) => {
    if (event.target.closest?.(".remote-controlled-area")) held.add(event.pointerId);
  }, true);
  window.addEventListener("pointerup", (event) => { if (held.delete(event.pointerId)) outstanding += 1; }, true);
  window.addEventListener("pointercancel", (event) => held.delete(event.pointerId), true);

  // trame-rca joins the moves of the mouse that wait for an answer, so that of an outline that is drawn quickly only some
  // corners would be left: where the mouse was meanwhile goes with the next message, as its trail.
  const drags = []; // those whose end was not sent yet
  window.addEventListener("pointerdown", (event) => {
    const area = event.target.closest?.(".remote-controlled-area");
    const name = area?.closest("[data-view]")?.dataset.view;
    if (name && event.isPrimary && event.button === 0) drags.push({ area, name, pointer: event.pointerId, begun: false, trail: [] });
  }, true);
  window.addEventListener("pointermove", (event) => {
    const drag = drags.at(-1);
    if (drag?.pointer !== event.pointerId || !event.buttons) return;
    const box = drag.area.getBoundingClientRect();
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const at of passed.length ? passed : [event]) drag.trail.push([at.clientX - box.left, box.bottom - at.clientY]);
  }, true);
  const withTrail = ([name, origin, event]) => {
    const [drag] = drags;
    if (drag?.name !== name) return [name, origin, event];
    if (event.type === "LeftButtonPress") drag.begun = true;
    if (!drag.begun || !["MouseMove", "LeftButtonRelease"].includes(event.type)) return [name, origin, event];
    if (event.type === "LeftButtonRelease") drags.shift();
    return [name, origin, { ...event, trail: drag.trail.splice(0) }];
  };
  // What is in it talks to the viewer through this session.
  const trails = {
    inject: ["trame"],
    provide() {
      const session = this.trame.client.getConnection().getSession();
      const call = (method, args, ...more) => session.call(method, method === "trame.rca.event" ? withTrail(args) : args, ...more);
      return { trame: { client: { getConnection: () => ({ getSession: () => ({ ...session, call }) }) } } };
    },
    template: "<slot></slot>",
  };

  // The wheel goes to the viewer at once: trame-rca would send four more messages about each notch, ten milliseconds
  // apart, and keep the page drawing for most of a second after it. A touchpad's small movements add up to a notch.
  const NOTCH = 40, LINE = 20; // pixels; the least that a mouse's wheel turns in any browser, and a line of text
  let rolled = 0;
  window.addEventListener("wheel", (event) => {
    const area = event.target.closest?.(".remote-controlled-area");
    const name = area?.closest("[data-view]")?.dataset.view;
    if (!name || !window.trame?.client) return;
    event.preventDefault();
    event.stopPropagation();
    const by = event.deltaY * (event.deltaMode ? LINE : 1);
    rolled = Math.sign(rolled) === -Math.sign(by) ? by : rolled + by;
    if (Math.abs(rolled) < NOTCH) return;
    const box = area.getBoundingClientRect();
    const turn = {
      type: "MouseWheel", spinY: Math.sign(rolled),
      x: Math.round(event.clientX - box.left), y: Math.round(box.bottom - event.clientY), w: box.width, h: box.height,
      shiftKey: Number(event.shiftKey), altKey: Number(event.altKey), ctrlKey: Number(event.ctrlKey), metaKey: Number(event.metaKey),
    };
    rolled = 0;
    outstanding += 1;
    // Without waiting for the answer to the one before, which takes its time on a distant line; the order stays.
    const session = window.trame.client.getConnection().getSession();
    session.call("trame.rca.event", [name, "viewer", turn]).catch(() => {}).then(released);
  }, { capture: true, passive: false });

  // trame sends changed state only when no answer is outstanding, but a trigger at once: a button would act
  // before the value that was typed for it. So triggers wait for the state and the mouse, and keep their order.
  const MOST_TURNS = 300;
  let turn = Promise.resolve();
  const inOrder = () => {
    const { trame } = window;
    if (!trame?.state || trame.dicomdockTrigger) return;
    trame.dicomdockTrigger = trame.trigger;
    trame.trigger = (...call) => {
      turn = turn.then(async () => {
        await settled();
        for (let turns = 0; trame.state.dirtyKeys?.size && turns < MOST_TURNS; turns += 1) {
          await trame.state.flush();
          if (trame.state.dirtyKeys.size) await new Promise((go) => setTimeout(go, 10));
        }
      }).catch(() => {}); // one value that cannot be sent must not hold every later trigger
      return turn.then(() => trame.dicomdockTrigger(...call));
    };
  };
  for (const kind of ["pointerdown", "keydown"]) window.addEventListener(kind, inOrder, true);

  // What the user sets stands until the viewer has answered it: a value that was on its way here must not replace it.
  const keepWhatIsSet = () => {
    const { client, state } = window.trame;
    const viewer = client.getRemote().Trame;
    const set = new Map();
    const plain = (value) => (Array.isArray(value) ? value.every(plain) : Object(value) !== value);
    const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
    const put = (values) => {
      const changed = Object.keys(values).filter((key) => !same(state.get(key), values[key]));
      changed.forEach((key) => { state.state[key] = values[key]; });
      if (changed.length) state.notifyListeners({ type: "dirty-state", keys: changed });
    };
    const { dirty } = state;
    state.dirty = (...keys) => {
      keys.forEach((key) => {
        if (state.canDirty(key) && plain(state.get(key))) set.set(key, state.get(key));
        else set.delete(key);
      });
      dirty.call(state, ...keys);
    };
    viewer.updateState = async (changes) => {
      await settled();
      const now = await viewer.trigger("set", [changes]).catch((error) => {
        changes.forEach(({ key }) => set.delete(key));
        throw error;
      });
      const answered = changes.filter(({ key, value }) => set.has(key) && same(set.get(key), value));
      answered.forEach(({ key }) => set.delete(key));
      put(Object.fromEntries(answered.map(({ key }) => [key, now[key]])));
    };
    const session = client.getConnection().getSession();
    session.subscribe("dicomdock.released", released);
    session.subscribe("trame.state.topic", ([sent]) => {
      put(Object.fromEntries(Object.keys(sent).filter((key) => set.has(key)).map((key) => [key, set.get(key)])));
    });
  };

  // What is being typed is the user's until the field is left: whenever anything changes the page is drawn anew, and
  // Vue would put back what the field held before.
  const TYPED = "input:is([type=number], [type=text], [type=color])";
  const { get } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  window.addEventListener("input", ({ target }) => {
    if (target.matches?.(TYPED)) Object.defineProperty(target, "value", { configurable: true, get, set() {} });
  }, true);
  for (const kind of ["change", "blur"]) {
    window.addEventListener(kind, ({ target }) => { if (Object.hasOwn(target, "value")) delete target.value; }, true);
  }

  window.dicomdock = { install: (app) => app.component("DicomdockPicture", picture).component("DicomdockTrails", trails), settled };

  // Enter ends what is typed into a field: then keys mean the views again. In a dialog the focus stays.
  window.addEventListener("keyup", ({ key, target, isComposing }) => {
    if (key === "Enter" && !isComposing && target.matches?.(TYPED) && !target.closest("[role=dialog]")) target.blur();
  });

  const typing = (node) => node && (node.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(node.tagName) && !["range", "checkbox", "color"].includes(node.type));
  // Keys mean the view that the mouse is in.
  let view = "";
  window.addEventListener("mouseover", (event) => {
    view = event.target.closest?.("[data-view]")?.dataset.view ?? view;
  });
  // A key by the name that the table of actions (shell/keys.py) has it under. AltGr makes a sign of its own, such as a
  // bracket, and reports Ctrl and Alt; Caps Lock is not Shift.
  const keyName = (event) => {
    const plain = event.getModifierState?.("AltGraph");
    const letter = event.key.length === 1 && event.key.toLowerCase() !== event.key.toUpperCase();
    const shift = event.shiftKey && (letter || event.key.length > 1 || event.key === " ");
    const held = [event.ctrlKey && !plain && "Ctrl", event.altKey && !plain && "Alt", shift && "Shift"];
    return [...held.filter(Boolean), event.key === " " ? "Space" : letter ? event.key.toLowerCase() : event.key].join("+");
  };
  const put = (name, value) => { window.trame.state.set(name, value); window.trame.state.flush(name); };
  // The next key becomes that of an action.
  window.addEventListener("keydown", (event) => {
    const action = window.trame?.state?.get("key_asked");
    if (!action || ["Control", "Shift", "Alt", "AltGraph", "Meta", "Tab", "CapsLock", "Dead", "Process"].includes(event.key)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.key === "Escape") put("key_asked", "");
    else window.trame.trigger("bind", [action, event.key === "Backspace" ? "" : keyName(event)]);
  }, true);
  // What a control that was reached by key does with keys of its own.
  const ITS_OWN = [["button, summary, a, input[type=checkbox]", ["Space", "Enter"]],
    ["input[type=range]:focus-visible", ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageUp", "PageDown", "Home", "End"]]];
  window.addEventListener("keydown", (event) => {
    if (event.metaKey || !window.trame?.state) return;
    const name = keyName(event);
    const { views, placing, cross } = window.trame.state.get("key_actions") ?? {};
    const [measuring, crossed] = ["measuring", "cross_view"].map((one) => window.trame.state.get(one));
    const action = { ...views, ...(measuring ? placing : {}), ...(measuring && crossed ? cross : {}) }[name];
    // Who has just typed a name and saves does not mean the browser's own file dialog.
    if (!action || typing(event.target) && action !== "save") return;
    if (ITS_OWN.some(([kind, keys]) => keys.includes(name) && event.target.matches?.(kind))) return;
    if (document.querySelector("[aria-modal]") && !["escape", "help"].includes(action)) return;
    event.preventDefault();
    window.trame.trigger("act", [action, view]);
  });

  // A double click shows a view alone, and all again.
  window.addEventListener("dblclick", (event) => {
    if (view && event.target.closest && event.target.closest(".views") && !event.target.closest("button, input")) window.trame.trigger("alone", [view]);
  });

  // A series that is dragged from the list onto a view is shown there.
  let dragged = "";
  const target = (event) => (dragged && event.target.closest?.("[data-view]")) || null;
  const mark = (shown) => document.querySelectorAll("[data-view]").forEach((one) => one.classList.toggle("target", one === shown));
  window.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-series]")?.dataset.series ?? "";
    if (dragged) event.dataTransfer.setData("text/plain", dragged);
  });
  window.addEventListener("dragover", (event) => {
    mark(target(event));
    if (target(event)) event.preventDefault();
  });
  window.addEventListener("dragend", () => { dragged = ""; mark(null); });
  window.addEventListener("drop", (event) => {
    const shown = target(event);
    if (!shown) return;
    event.preventDefault();
    inOrder();
    window.trame.trigger("dropped", [dragged, shown.dataset.view]);
    dragged = "";
    mark(null);
  });

  // A dialog or menu takes the focus, keeps it, and gives it back.
  const TAKES = "[role=dialog], [role=alertdialog], [role=menu]";
  let before = null;
  new MutationObserver(() => {
    const dialog = document.querySelector(TAKES);
    if (dialog && !dialog.contains(document.activeElement)) {
      before = before || document.activeElement;
      (dialog.querySelector(".btn.main:not(:disabled)") || dialog.querySelector("button"))?.focus();
    } else if (!dialog && before) {
      before.focus();
      before = null;
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
  window.addEventListener("keydown", (event) => {
    const dialog = document.querySelector(TAKES);
    if (event.key !== "Tab" || !dialog) return;
    const stops = [...dialog.querySelectorAll("button, input, select, a[href]")].filter((one) => !one.disabled && one.offsetParent);
    const last = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (document.activeElement === last || !dialog.contains(document.activeElement)) {
      event.preventDefault();
      (event.shiftKey ? stops[stops.length - 1] : stops[0])?.focus();
    }
  });

  // A program on another port of this host can replace our cookie. What opens the viewer again is stored for this
  // origin and tab alone; the address of the page held it before trame took it off.
  const SECRET = "dicomdock-viewer";
  const [visit] = performance.getEntriesByType("navigation");
  const given = new URL(visit?.name ?? location.href).searchParams.get("secret");
  if (given) sessionStorage.setItem(SECRET, given);
  const renew = () => fetch(`/index.html?secret=${encodeURIComponent(sessionStorage.getItem(SECRET))}`, { cache: "no-store" });
  // 410: the viewer gave its memory up while nobody looked; the dock opens its study again.
  const PARKED = 410;
  let parked = false;
  // A viewer that has come back between two looks has another name, and knows nothing of this page.
  let answering = null;
  const ours = document.querySelector("meta[name=viewer-process]")?.content;
  const alive = async () => {
    const ask = () => fetch("/__dicomdock/viewer.css", { method: "HEAD", cache: "no-store" });
    try {
      let answer = await ask();
      parked = answer.status === PARKED;
      if (answer.status === 403 && (await renew()).ok) answer = await ask();
      answering = answer.headers.get("Viewer-Process");
      return answer.ok;
    } catch { return false; }
  };
  let saying = false;
  const gone = async () => {
    if (saying) return;
    saying = true;
    const seen = () => new Promise((go) => {
      const look = () => { if (document.visibilityState === "visible") go(); };
      document.addEventListener("visibilitychange", look);
      look();
    });
    const note = document.createElement("div");
    note.id = "gone";
    note.setAttribute("role", "alert");
    note.innerHTML = "<div><b>The viewer has stopped.</b><br>Your work is autosaved up to the last few seconds. The viewer is being restarted&hellip;</div>";
    document.body.appendChild(note);
    // A loaded machine takes long to start a viewer; the page comes back whenever it is there.
    for (let tries = 0; ; tries++) {
      if (parked) {
        note.firstChild.innerHTML = "<b>The study was put away to free memory.</b><br>Nothing of your work is lost. It is being opened again&hellip;";
        await seen();
        window.location.assign("/");
        return;
      }
      await new Promise((wait) => setTimeout(wait, 500));
      if (await alive()) { window.location.assign("/"); return; }
      if (tries === 60) note.firstChild.innerHTML = "<b>The viewer has stopped.</b><br>Your work is autosaved. If the viewer does not come back, open the study again from dicomdock.";
    }
  };
  // The page cannot see its own connection break in all browsers, so it asks from time to time.
  let leaving = false;
  let elsewhere = false;
  window.addEventListener("beforeunload", () => { leaving = true; });
  // A viewer that no page shows gives its memory up after some seconds, or when another study needs it.
  window.addEventListener("pagehide", () => { if (!elsewhere && !saying) navigator.sendBeacon("/closed"); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
  const tellSight = () => { if (!leaving) navigator.sendBeacon(`/${document.visibilityState}`); };
  document.addEventListener("visibilitychange", tellSight);
  let looking = false;
  let cut = false;
  const watch = async () => {
    if (looking || leaving) return;
    looking = true;
    const cutBefore = cut;
    if (!(await alive() && answering === ours) && !leaving) await gone();
    else if (cutBefore && !leaving) window.location.assign("/");
    looking = false;
  };
  setInterval(watch, 1500);
  // Browsers let the clock of a hidden page run slowly.
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") watch(); });

  // While points are placed keys mean the views, not the button that was pressed for it.
  let pressed = null;
  const measuring = (kind) => {
    const { activeElement } = document;
    if (kind && activeElement?.matches("button")) {
      pressed = activeElement;
      pressed.blur();
    } else if (!kind) {
      if (activeElement === document.body) pressed?.focus({ preventScroll: true });
      pressed = null;
    }
  };

  // What the viewer asks of its page.
  const tab = Math.random().toString(36).slice(2);
  const page = {
    // Pictures that were made for the user to keep.
    save(name, base64, type) {
      const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
      window.trame.utils.download(name, bytes, type);
    },
    copy(base64) {
      const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
      const said = (done) => window.trame.trigger("copied", [done]);
      // Some browsers have no clipboard for pictures.
      Promise.resolve().then(() => navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]))
        .then(() => said(true), () => said(false));
    },
    // The colours of the page: "auto", "light" or "dark".
    wear(theme) { document.documentElement.dataset.theme = theme; },
    // Leads away, such as to the list of studies.
    go(address) {
      leaving = true;
      window.location.assign(address);
    },
    // Another page of the same viewer was opened: it has it now.
    shownIn(other) {
      if (other === tab) return;
      leaving = elsewhere = true;
      window.location.replace("/elsewhere");
    },
  };
  const ready = setInterval(() => {
    if (!document.querySelector("[data-view]")) return;
    clearInterval(ready);
    keepWhatIsSet();
    window.trame.refs.page = page;
    // Sleep and frozen tabs end a connection to a viewer that lives on; the next look shows which of the two it was.
    window.trame.client.onConnectionClose(() => { cut = true; });
    window.trame.trigger("here", [tab]);
    window.trame.state.watch(["measuring"], measuring);
    if (document.visibilityState !== "visible") tellSight();
  }, 50);
})();
