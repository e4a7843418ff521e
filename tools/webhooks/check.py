"""Has somebody else's library check our webhooks: `standardwebhooks` of PyPI, which the specification's authors publish.

    URL=http://127.0.0.1:8080 TOKEN=… [CERTIFICATES=DIR] python3 tools/webhooks/check.py

Makes a webhook at a server of its own, has every event of the association sent there, checks each message, sees that
what was tampered with is refused, and compares what came with the feed. The node must run with
`webhooks.allow_insecure = true`, because this server is on the same machine. With a folder of certificates it speaks TLS,
as `trusted.pem`, whom the node must trust; and sees that nothing is sent to `unknown.pem`, whom it must not.
"""

import json
import os
import ssl
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

PATIENCE = 120  # seconds


class Partner:
    """A server that keeps what it gets; with a certificate and its key, over TLS."""

    def __init__(self, certificate=None):
        self.got = []
        self.changed = threading.Condition()
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with partner.changed:
                    partner.got.append((body, dict(self.headers)))
                    partner.changed.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.server.server_port}/hook"

    def wait_for(self, count):
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.got) >= count, PATIENCE)
            assert came, f"only {len(self.got)} of {count} messages came"
            return list(self.got)


def call(method, path, body=None):
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["URL"] + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = response.read()
        return json.loads(answer) if answer else None


def feed():
    """Every event of the association."""
    items, after = [], "0"
    while True:
        page = call("GET", f"/v1/feed?limit=1000&after={after}")
        items += page["data"]
        if not page["data"]:
            return items
        after = page["next"]


def is_refused(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


def tampered(body, headers, other):
    """Every way in which a message could be changed, or be another one."""
    changed = lambda **fields: {**headers, **{name.replace("_", "-"): value for name, value in fields.items()}}
    timestamp = int(headers["webhook-timestamp"])
    yield "a changed body", body.replace(b'"position":"', b'"position":"9'), headers
    yield "a shortened body", body[:-1], headers
    yield "another id", body, changed(webhook_id=other["webhook-id"])
    yield "another time", body, changed(webhook_timestamp=str(timestamp + 1))
    yield "an old time", body, changed(webhook_timestamp=str(timestamp - 3600))
    yield "another's signature", body, changed(webhook_signature=other["webhook-signature"])
    yield "no signature", body, changed(webhook_signature="")


def send_nothing_to(stranger):
    """Sees that a server whose certificate nobody vouches for gets nothing."""
    path = "/v1/webhooks/" + call("POST", "/v1/webhooks", {"url": stranger.url})["webhook"]["webhook_id"]
    said = call("POST", path + "/ping")
    call("DELETE", path)
    assert not said["delivered"] and "certificate" in said["detail"], said
    assert not stranger.got, "a message went to somebody unknown"


def main():
    certificates = os.environ.get("CERTIFICATES")
    if certificates:
        send_nothing_to(Partner(f"{certificates}/unknown.pem"))
    partner = Partner(certificates and f"{certificates}/trusted.pem")
    made = call("POST", "/v1/webhooks", {"url": partner.url, "from": "beginning"})
    path, secret = "/v1/webhooks/" + made["webhook"]["webhook_id"], made["secret"]
    try:
        events = feed()
        assert len(events) > 1, "the association has no history to be told of"
        got = partner.wait_for(len(events))[: len(events)]
        for event, (body, headers) in zip(events, got):
            message = Webhook(secret).verify(body, headers)
            assert message == {"type": event["type"], "timestamp": event["time"], "data": event}, message
            assert headers["webhook-id"] == event["id"]
        refused = 0
        for (body, headers), (_, other) in zip(got, got[1:]):
            for what, body, headers in tampered(body, headers, other):
                assert is_refused(secret, body, headers), f"{what} was accepted"
                refused += 1

        new = call("POST", path + "/secret")["secret"]
        count = len(partner.got)
        assert call("POST", path + "/ping")["delivered"]
        body, headers = partner.wait_for(count + 1)[-1]
        for holds in (secret, new):
            assert Webhook(holds).verify(body, headers)["type"] == "guildhall.webhook.Ping"
        assert is_refused(call("POST", path + "/secret")["secret"], body, headers), "a secret that did not sign"

        before_last = events[-2]["position"]
        count = len(partner.got)
        call("POST", path + "/replay", {"after": int(before_last)})
        _, headers = partner.wait_for(count + 1)[count]
        assert headers["webhook-id"] == events[-1]["id"], "sent again, a message has its old id"
    finally:
        call("DELETE", path)
    over = "TLS" if certificates else "plain HTTP"
    print(f"{len(events)} messages over {over} verified, {refused} tampered ones refused, two secrets at once, one message again")


if __name__ == "__main__":
    sys.exit(main())
