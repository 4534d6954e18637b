"""Receives operations, checks their signature, and applies each once. Needs the package `standardwebhooks`.

SIGNING_SECRET=whsec_... PORT=9333 python receive.py
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["SIGNING_SECRET"])
answers = {}  # what was answered to each id; a real desk keeps this in its database


def apply(message):
    number = message["change"]["number"]
    print(message["operation"], message["sequence"], number, message["change"]["title"], flush=True)
    return {"external_id": f"D-{number}", "external_status": "Received"}


class Operations(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            message = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.answer(401, {"detail": "The signature is wrong, or too old."})
            return
        if message["id"] not in answers:
            answers[message["id"]] = apply(message)
        self.answer(200, answers[message["id"]])

    def do_OPTIONS(self):
        """A ping: somebody at the desk asks whether this address is there."""
        self.send_response(204)
        self.send_header("Allow", "OPTIONS, POST")
        self.end_headers()

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


port = int(os.environ.get("PORT", "9333"))
print(f"Listening on http://127.0.0.1:{port}/operations. Ctrl-C ends it.", flush=True)
HTTPServer(("127.0.0.1", port), Operations).serve_forever()
