"""A dock that only takes links: FILE gets its process id, then every link; it ends after 15 idle seconds."""

import json
import os
import queue
import sys

from dicomdock.config.settings import Settings
from dicomdock.launch.handoff import AlreadyRunning, HandoffServer

if __name__ == "__main__":
    links: queue.Queue[str | None] = queue.Queue()

    def take(link: str) -> str:
        links.put(link)
        return "taken"

    def show() -> str:
        links.put(None)
        return "closing"

    server = HandoffServer(Settings.load(), take, show)
    try:
        server.start()
    except AlreadyRunning:
        sys.exit(0)
    with open(sys.argv[1], "a") as file:
        print(json.dumps({"pid": os.getpid(), "arguments": sys.argv}), file=file, flush=True)
        try:
            while (link := links.get(timeout=15)) is not None:
                print(json.dumps({"link": link}), file=file, flush=True)
        except queue.Empty:
            pass
    server.close()
