"""Stands in for Grafana: its health check, and a page that wants the login it was started with."""

import base64
import http.server
import os

LOGIN = "Basic " + base64.b64encode(
    ("admin:" + os.environ.get("GF_SECURITY_ADMIN_PASSWORD", "admin")).encode()
).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/api/health":
            self.answer(200)
        else:
            self.answer(200 if self.headers.get("Authorization") == LOGIN else 401)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", 3000), Handler).serve_forever()
