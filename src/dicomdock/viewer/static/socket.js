// Before trame's own script: it takes each message from the viewer as a Blob, which the browser keeps in another of its
// processes and gives back in three more messages between them. As memory of the page a message is there at once.
(() => {
  const kind = Object.getOwnPropertyDescriptor(WebSocket.prototype, "binaryType");
  Object.defineProperty(WebSocket.prototype, "binaryType", {
    ...kind,
    set(wanted) { kind.set.call(this, wanted === "blob" ? "arraybuffer" : wanted); },
  });
  ArrayBuffer.prototype.arrayBuffer ??= async function () { return this; }; // what trame asks a Blob for
})();
