"""stomp.py over TCP, in its three protocol versions."""

import stomp

from harness import Mailbox, equal, run, target, test, unique


class Session(stomp.ConnectionListener):
    """A connection with mailboxes for what happens to it."""

    def __init__(self, version, tcp="tcp", login="alice", **config):
        kind = {"1.0": stomp.StompConnection10, "1.1": stomp.StompConnection11, "1.2": stomp.StompConnection12}[version]
        host, port = target[tcp].rsplit(":", 1)
        self.version = version
        self.connected = Mailbox("CONNECTED")
        self.messages = Mailbox("a MESSAGE")
        self.receipts = Mailbox("a RECEIPT")
        self.errors = Mailbox("an ERROR")
        self.ends = Mailbox("the end of the connection")
        self.beats = Mailbox("a heart-beat")
        self.timeouts = 0
        self.conn = kind([(host, int(port))], reconnect_attempts_max=1, timeout=60, **config)
        self.conn.set_listener("test", self)
        self.conn.connect(login, "secret", wait=True)
        self.headers = self.connected.next().headers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.conn.is_connected():
            self.conn.disconnect(receipt="bye")

    # What stomp.py calls.
    def on_connected(self, frame): self.connected.put(frame)
    def on_message(self, frame): self.messages.put(frame)
    def on_receipt(self, frame): self.receipts.put(frame.headers["receipt-id"])
    def on_error(self, frame): self.errors.put(frame)
    def on_disconnected(self): self.ends.put("disconnected")
    def on_heartbeat(self): self.beats.put("beat")

    def on_heartbeat_timeout(self):
        self.timeouts += 1

    def receipted(self, call, *args, **kwargs):
        """Calls with a receipt and waits for it."""
        receipt = unique("receipt")
        call(*args, receipt=receipt, **kwargs)
        equal(self.receipts.next(), receipt, "receipt-id")

    def subscribe(self, destination, id="1", ack="auto"):
        self.receipted(self.conn.subscribe, destination, id=id, ack=ack)

    def unsubscribe(self, destination, id="1"):
        if self.version == "1.0" and id is None:
            self.receipted(self.conn.unsubscribe, destination=destination)
        else:
            self.receipted(self.conn.unsubscribe, id=id)

    def send(self, destination, body, **headers):
        self.receipted(self.conn.send, destination, body, **headers)

    def settle(self, call, message, subscription="1", **kwargs):
        """Sends ACK or NACK as the version has it."""
        h = message.headers
        args = {"1.0": [h["message-id"]], "1.1": [h["message-id"], subscription], "1.2": [h.get("ack")]}[self.version]
        self.receipted(call, *args, **kwargs)


class Mute(Session):
    """Sends no heart-beats, though it promised them."""

    def __init__(self, version):
        super().__init__(version, tcp="quick", heartbeats=(target["beat"], 0))

    def on_connected(self, frame):
        transport = self.conn.transport
        send = transport.send
        transport.send = lambda data: None if data == b"\n" else send(data)
        super().on_connected(frame)


def bodies(messages):
    return [m.body for m in messages]


def connecting(version):
    with Session(version) as s:
        equal(s.headers["version"], version)
        equal(s.headers["user-name"], "alice")
        equal(len(s.headers["session"]), 32, "the length of the session id")
        equal(s.headers["server"].startswith("hoofbeat"), True)
        equal("heart-beat" in s.headers, True)
    equal(s.ends.next(), "disconnected")
    equal(s.receipts.next(), "bye", "trap 38: the receipt of DISCONNECT")
    s.errors.empty()


def exchanging(version):
    with Session(version) as s:
        topic = unique("/topic/py")
        s.subscribe(topic)
        headers = {"x-custom": "back\\slash:colon" if version != "1.0" else "plain", "content-type": "text/plain"}
        s.send(topic, "Příliš žluťoučký 🐎", headers=headers)
        m = s.messages.next()
        equal(m.body, "Příliš žluťoučký 🐎")
        equal(m.headers["destination"], topic)
        equal(m.headers["subscription"], "1")
        equal(m.headers["x-custom"], headers["x-custom"])
        equal(m.headers["content-type"], "text/plain")
        equal(m.headers["content-length"], str(len(m.body.encode())))
        equal("receipt" in m.headers, False, "trap 15: receipt is not forwarded")
        for i in range(200):
            s.conn.send(topic, str(i))
        equal(bodies(s.messages.take(200)), [str(i) for i in range(200)])
        s.unsubscribe(topic)
        s.send(topic, "late")
        s.messages.empty()
        s.errors.empty()


def binary(version):
    with Session(version, auto_decode=False) as s:
        topic = unique("/topic/py-binary")
        s.subscribe(topic)
        body = bytes(range(256)) * 3
        s.send(topic, body, content_type="application/octet-stream")
        equal(s.messages.next().body, body)


def large(version):
    with Session(version) as s:
        topic = unique("/topic/py-large")
        s.subscribe(topic)
        body = "汉字" * 10000
        s.send(topic, body)
        equal(s.messages.next().body, body)


def cumulative(version):
    with Session(version) as s:
        queue = unique("/queue/py")
        for body in "abcd":
            s.send(queue, body)
        s.subscribe(queue, ack="client")
        got = s.messages.take(4)
        equal(bodies(got), list("abcd"))
        s.settle(s.conn.ack, got[1])
        s.unsubscribe(queue)
        s.subscribe(queue, id="2", ack="client")
        again = s.messages.take(2)
        equal(bodies(again), ["c", "d"])
        equal([m.headers.get("redelivered") for m in again], ["true", "true"])


def individual(version):
    with Session(version) as s:
        queue = unique("/queue/py")
        for body in "abc":
            s.send(queue, body)
        s.subscribe(queue, ack="client-individual")
        got = s.messages.take(3)
        s.settle(s.conn.ack, got[1])
        s.settle(s.conn.nack, got[0])
        again = s.messages.next()
        equal(again.body, "a")
        equal(again.headers["redelivered"], "true")
        s.settle(s.conn.ack, again)
        s.unsubscribe(queue)
        s.subscribe(queue, id="2")
        equal(s.messages.next().body, "c")
        s.errors.empty()


def transactions(version):
    with Session(version) as s:
        topic = unique("/topic/py-tx")
        s.subscribe(topic)
        kept, lost = s.conn.begin(), s.conn.begin(transaction="lost")
        s.send(topic, "in 1", transaction=kept)
        s.send(topic, "never", transaction=lost)
        s.send(topic, "in 2", transaction=kept)
        s.send(topic, "outside")
        s.receipted(s.conn.commit, kept)
        s.receipted(s.conn.abort, lost)
        s.send(topic, "after")
        equal(bodies(s.messages.take(4)), ["outside", "in 1", "in 2", "after"])
        queue = unique("/queue/py-tx")
        s.send(queue, "x")
        s.subscribe(queue, id="q", ack="client")
        m = s.messages.next()
        aborted = s.conn.begin()
        s.settle(s.conn.ack, m, subscription="q", transaction=aborted)
        s.receipted(s.conn.abort, aborted)
        s.unsubscribe(queue, id="q")
        s.subscribe(queue, id="q2")
        equal(s.messages.next().body, "x", "the aborted ACK counts for nothing")


def beating(version):
    with Session(version, tcp="quick", heartbeats=(target["beat"],) * 2, heart_beat_receive_scale=60) as s:
        equal(s.headers["heart-beat"], "%d,%d" % (target["beat"], target["beat"]))
        s.beats.take(6)
        topic = unique("/topic/py-alive")
        s.subscribe(topic)
        s.send(topic, "alive")
        equal(s.messages.next().body, "alive")
        equal(s.timeouts, 0, "heart-beats that the client missed")
        s.errors.empty()


def silent(version):
    """stomp.py that promises heart-beats and sends none is closed: TCP has no ping."""
    with Mute(version) as s:
        equal(s.errors.next().headers["message"], "nothing was heard for %ds" % (3 * target["beat"] // 1000))
        equal(s.ends.next(), "disconnected")


def denied(version):
    with Session(version) as s:
        s.conn.subscribe("/topic/forbidden", id="1", receipt="denied")
        error = s.errors.next()
        equal(error.headers["message"], 'not allowed to subscribe to "/topic/forbidden"')
        equal(error.headers["receipt-id"], "denied")
        equal(error.body, error.headers["message"])
        equal(s.ends.next(), "disconnected")


def requesting(version):
    """As clients of RabbitMQ: reply-to:/temp-queue/… and no SUBSCRIBE."""
    with Session(version) as asks, Session(version) as answers:
        queue = unique("/queue/py-requests")
        answers.subscribe(queue)
        asks.send(queue, "ping", headers={"reply-to": "/temp-queue/foo"})
        to = answers.messages.next().headers["reply-to"]
        equal(to.startswith("/reply-queue/"), True)
        answers.send(to, "pong")
        m = asks.messages.next()
        equal(m.body, "pong")
        equal(m.headers["subscription"], "/temp-queue/foo")


ALL = ["1.0", "1.1", "1.2"]
for name, fn, versions in [
    ("connects and disconnects with a receipt", connecting, ALL),
    ("exchanges messages with receipts, in order", exchanging, ALL),
    ("binary bodies", binary, ALL),
    ("large bodies", large, ALL),
    ("ack client is cumulative", cumulative, ALL),
    ("ack and nack of client-individual", individual, ["1.1", "1.2"]),
    ("transactions", transactions, ALL),
    ("requests with answers to a temporary queue", requesting, ALL),
    ("heart-beats flow both ways", beating, ["1.1", "1.2"]),
    ("a client that stops its heart-beats is closed", silent, ["1.1", "1.2"]),
    ("a denied SUBSCRIBE is told and closed", denied, ALL),
]:
    for version in versions:
        test("%s: %s" % (version, name))(lambda fn=fn, version=version: fn(version))


@test("1.0: subscribing without an id, trap 27 and 40")
def _():
    with Session("1.0") as s:
        topic = unique("/topic/py-noid")
        s.subscribe(topic, id=None)
        s.send(topic, "one")
        m = s.messages.next()
        equal(m.body, "one")
        equal("subscription" in m.headers, False)
        s.unsubscribe(topic, id=None)
        s.send(topic, "two")
        s.messages.empty()
        s.errors.empty()


run()
