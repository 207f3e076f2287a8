// Keys, and what the page says when its viewer is gone. Everything else is trame's.
(() => {
  const typing = (node) => node && (node.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(node.tagName) && node.type !== "range");
  // Keys mean the view that the mouse is in.
  let view = "";
  window.addEventListener("mouseover", (event) => {
    for (let node = event.target; node && node.querySelector; node = node.parentElement) {
      const words = node.querySelectorAll("[data-view]");
      if (words.length === 1) { view = words[0].dataset.view; return; }
      if (words.length > 1) return;
    }
  });
  window.addEventListener("keydown", (event) => {
    const name = (event.ctrlKey ? "Ctrl+" : "") + event.key;
    // Who has just typed a name and saves does not mean the browser's own file dialog.
    if (event.altKey || event.metaKey || typing(event.target) && name !== "Ctrl+s") return;
    const ours = /^(Ctrl\+[zysZYS]|[a-zA-Z0-9+\-?[\]{} ]|Arrow(Up|Down|Left|Right)|Page(Up|Down)|Home|End|Escape)$/;
    if (!ours.test(name) || !window.trame) return;
    if (event.target && event.target.tagName === "BUTTON" && (name === " ")) return;
    event.preventDefault();
    window.trame.trigger("key", [name, view]);
  });

  const alive = async () => {
    try { return (await fetch("/__dicomdock/viewer.css", { method: "HEAD", cache: "no-store" })).ok; } catch { return false; }
  };
  let saying = false;
  const gone = async () => {
    if (saying) return;
    saying = true;
    const note = document.createElement("div");
    note.id = "gone";
    note.setAttribute("role", "alert");
    note.innerHTML = "<div><b>The viewer has stopped.</b><br>What you drew is kept up to the last few seconds. It is being started again&hellip;</div>";
    document.body.appendChild(note);
    for (let tries = 0; tries < 60; tries++) {
      await new Promise((wait) => setTimeout(wait, 500));
      if (await alive()) { window.location.assign("/"); return; }
    }
    note.firstChild.innerHTML = "<b>The viewer has stopped.</b><br>What you drew is kept. Open the study again from dicomdock.";
  };
  // The page cannot see its own connection break in all browsers, so it asks from time to time.
  let leaving = false;
  window.addEventListener("beforeunload", () => { leaving = true; });
  const watch = async () => {
    if (!leaving && !(await alive()) && !leaving) await gone();
    else setTimeout(watch, 1500);
  };
  setTimeout(watch, 1500);

  // Pictures that the viewer made for the user to keep.
  window.dicomdockSave = (name, base64, type) => {
    const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bytes], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
})();
