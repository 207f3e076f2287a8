// Files that are dropped on any page, or chosen on the Upload page, go to the dock a few at a time; then their page opens.
(() => {
  const AT_ONCE = 4;

  // ---- which files: folders are walked through

  async function filesOf(transfer) {
    // The entries must be asked for before the first await: the browser takes them back after the event.
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...transfer.files].map(named);
    const found = [];
    for (const entry of entries) await walk(entry, found);
    return found;
  }

  async function walk(entry, found) {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, name: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const child of some) await walk(child, found);
    }
  }

  const named = (file) => ({ file, name: file.webkitRelativePath || file.name });

  // ---- sending

  async function upload(gathering) {
    const shown = panel();
    try {
      const files = await gathering;
      if (!files.length) {
        shown.fail("There are no files in it.");
        return;
      }
      const begun = await fetch("/uploads", { method: "POST" });
      if (!begun.ok) throw new Error(await reason(begun));
      const { batch } = await begun.json();
      const total = files.reduce((sum, { file }) => sum + file.size, 0);
      const moved = new Array(files.length).fill(0);
      let next = 0;
      let done = 0;
      const tell = () => shown.progress(done, files.length, moved.reduce((a, b) => a + b, 0), total);
      const worker = async () => {
        while (next < files.length && !shown.cancelled) {
          const at = next++;
          await send(batch, files[at], shown, (bytes) => { moved[at] = bytes; tell(); });
          moved[at] = files[at].file.size;
          done++;
          tell();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      if (!shown.cancelled) location.assign(`/upload/${batch}`);
    } catch (error) {
      if (!shown.cancelled) shown.fail(error.message || "The files could not be read.");
    }
  }

  function send(batch, { file, name }, shown, onProgress) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `/uploads/${batch}?name=${encodeURIComponent(name)}`);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      let told = 0;
      request.upload.onprogress = (event) => {
        if (event.timeStamp - told > 100) {
          told = event.timeStamp;
          onProgress(event.loaded);
        }
      };
      request.onload = () => (request.status === 204 ? resolve() : reject(new Error(said(request.responseText))));
      request.onerror = () => reject(new Error(`${name} could not be read, or dicomdock has ended.`));
      request.onabort = () => resolve();
      shown.onCancel(() => request.abort());
      request.send(file);
    });
  }

  const reason = async (response) => said(await response.text());

  function said(text) {
    try {
      return JSON.parse(text).error;
    } catch {
      return "dicomdock did not take the files.";
    }
  }

  // ---- what is shown meanwhile

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function panel() {
    const words = make("p", { textContent: "Looking for files …" });
    words.setAttribute("role", "status");
    const bar = make("progress", { max: 1 });
    bar.setAttribute("aria-label", "Files received");
    const button = make("button", { type: "button", className: "btn plain", textContent: "Cancel" });
    const box = make("dialog", { className: "keys-box drop-box" }, make("h2", { textContent: "Receiving files" }), words, bar, button);
    const cancels = new Set();
    const shown = {
      cancelled: false,
      onCancel: (cancel) => cancels.add(cancel),
      progress(done, count, bytes, total) {
        words.textContent = `${done.toLocaleString("en")} of ${count.toLocaleString("en")} files, ${(bytes / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`;
        bar.value = total ? bytes / total : done / count;
      },
      fail(sentence) {
        shown.cancelled = true;
        for (const cancel of cancels) cancel();
        words.textContent = sentence;
        words.className = "bad-text";
        bar.remove();
        button.textContent = "Close";
      },
    };
    button.onclick = () => box.close();
    box.onclose = () => {
      shown.cancelled = true;
      for (const cancel of cancels) cancel();
      box.remove();
    };
    document.body.append(box);
    box.showModal();
    return shown;
  }

  // ---- where files can be dropped: everywhere

  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0; // the pointer enters an element before it leaves the one around it
  const hint = (on) => document.documentElement.classList.toggle("dropping", on);

  addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) hint(++depth > 0);
  });
  addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) hint(--depth > 0);
  });
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    hint(false);
    upload(filesOf(event.dataTransfer));
  });

  document.addEventListener("change", (event) => {
    if (!event.target.matches?.("input[type=file][data-upload]") || !event.target.files.length) return;
    const files = [...event.target.files].map(named);
    event.target.value = "";
    upload(Promise.resolve(files));
  });
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-choose]");
    if (opener) document.querySelector(opener.dataset.choose)?.click();
  });
})();
