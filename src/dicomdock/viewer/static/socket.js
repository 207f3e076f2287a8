// Before trame's own script: it takes each message from the viewer as a Blob, which the browser keeps in another of its
// processes and gives back in three more messages between them. As memory of the page a message is there at once.
(() => {
  // An extension of the browser may have put a class of its own in its place.
  let sockets = WebSocket.prototype;
  while (sockets && !Object.hasOwn(sockets, "binaryType")) sockets = Object.getPrototypeOf(sockets);
  if (!sockets) return;
  const kind = Object.getOwnPropertyDescriptor(sockets, "binaryType");
  Object.defineProperty(sockets, "binaryType", {
    ...kind,
    set(wanted) { kind.set.call(this, wanted === "blob" ? "arraybuffer" : wanted); },
  });
  ArrayBuffer.prototype.arrayBuffer ??= async function () { return this; }; // what trame asks a Blob for
})();
