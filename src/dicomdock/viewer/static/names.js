// Names for what trame-slicer's segment editor shows as icons alone: for screen readers, and on hovering.
(() => {
  const NAMES = {
    "mdi-plus": "New segment",
    "mdi-cursor-default": "No tool",
    "mdi-brush": "Paint",
    "mdi-eraser": "Erase",
    "mdi-content-cut": "Scissors",
    "mdi-draw": "Draw",
    "mdi-vector-intersection": "Logical operators",
    "mdi-auto-fix": "Threshold",
    "mdi-scatter-plot": "Islands",
    "mdi-square-rounded-outline": "Smoothing",
    "mdi-circle": "Name, codes and colour of the segment",
    "mdi-eye-outline": "Hide the segment",
    "mdi-eye-off-outline": "Show the segment",
    "mdi-delete-outline": "Delete the segment",
    "mdi-chevron-down": "Show more",
    "mdi-chevron-up": "Show less",
    "mdi-sphere": "Sphere or disc",
    "mdi-refresh-auto": "Automatic range",
    "mdi-video-3d": "Show in 3D",
  };
  const set = (node, name, value) => {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  };
  const named = (node) => node.innerText?.trim() || (node.hasAttribute("aria-label") && !node.dataset.named);
  const nameOf = (node) => {
    const icon = node.matches("i") ? node : node.querySelector("i");
    return NAMES[[...(icon?.classList ?? [])].find((one) => one in NAMES)];
  };
  const name = () => {
    const tips = document.querySelector(".v-overlay-container");
    if (tips) {
      set(tips, "role", "region");
      set(tips, "aria-label", "Tooltips and menus");
    }
    for (const editor of document.querySelectorAll(".editor")) {
      for (const node of editor.querySelectorAll("button, i[role=button]")) {
        const label = nameOf(node);
        if (!label || named(node)) continue;
        node.dataset.named = "ours";
        set(node, "aria-label", label);
        set(node, "title", label);
        const tip = document.getElementById(node.getAttribute("aria-describedby"));
        if (tip) set(tip, "aria-label", label);
      }
      // A list of rows with buttons in them is no list of options.
      for (const row of editor.querySelectorAll(".v-list-item")) {
        if (row.getAttribute("role") === "option") set(row, "role", "listitem");
        if (row.hasAttribute("aria-selected")) {
          set(row, "aria-current", row.getAttribute("aria-selected"));
          row.removeAttribute("aria-selected");
        }
        const field = row.querySelector("input[type=text]");
        if (field) {
          set(field, "aria-label", "Name of the segment");
          field.removeAttribute("aria-labelledby");
        }
      }
      for (const thumb of editor.querySelectorAll("[role=slider]:not([aria-label])")) {
        const title = thumb.closest(".v-card-text, div:has(> span)")?.querySelector("span, .text-subtitle-1, .text-subtitle-2");
        set(thumb, "aria-label", title?.innerText?.trim() || "Size of the brush");
      }
    }
  };
  let due = false;
  new MutationObserver(() => {
    if (due || !document.querySelector(".editor")) return;
    due = true;
    requestAnimationFrame(() => { due = false; name(); });
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["role", "aria-selected", "class"] });
})();
