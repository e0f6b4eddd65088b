"""A Python program with stomp.py over plain TCP: a worker that receives a
message from a queue, acknowledges it, and disconnects.

    hoofbeat serve --tcp 127.0.0.1:61613
    python3 examples/stomp.py/client.py 127.0.0.1 61613
"""
import sys
import threading

import stomp

done = threading.Event()


class Worker(stomp.ConnectionListener):
    def __init__(self, connection):
        self.connection = connection

    def on_message(self, frame):
        print(f"working on {frame.body}")
        self.connection.ack(frame.headers["ack"])
        done.set()

    def on_error(self, frame):
        print(f"refused: {frame.headers.get('message')}", file=sys.stderr)
        done.set()


host, port = sys.argv[1], int(sys.argv[2])
connection = stomp.StompConnection12([(host, port)])
connection.set_listener("worker", Worker(connection))
connection.connect(wait=True)
connection.subscribe("/queue/work", id="1", ack="client-individual")
connection.send("/queue/work", "a parcel", receipt="sent")
if not done.wait(10):
    sys.exit("nothing to do within 10 s")
connection.disconnect()
