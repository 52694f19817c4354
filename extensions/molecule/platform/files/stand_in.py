"""Listen on the ports of software that Debian does not package, and tell clients so."""

import socketserver
import sys
import threading


class Handler(socketserver.BaseRequestHandler):
    """Greets with the port."""

    def handle(self) -> None:
        """Say on which port this is."""
        self.request.sendall(b"stand-in on port %i\n" % self.server.server_address[1])


socketserver.ThreadingTCPServer.allow_reuse_address = True
for port in map(int, sys.argv[1:]):
    server = socketserver.ThreadingTCPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 3600}).start()
