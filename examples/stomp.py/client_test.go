package stomppy_test

import (
	"net"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

func TestClient(t *testing.T) {
	const python = "/usr/bin/python3" // the one that Debian's python3-stomp belongs to
	e2e.Need(t, "/usr/lib/python3/dist-packages/stomp", "apt-get install python3-stomp")
	srv := brokertest.Start(t, broker.Options{})
	host, port, err := net.SplitHostPort(srv.TCP)
	if err != nil {
		t.Fatal(err)
	}
	if out := e2e.Run(t, "apt-get install python3", python, "client.py", host, port); out != "working on a parcel\n" {
		t.Errorf("it printed %q", out)
	}
	for d := range srv.Broker.Destinations() {
		if d.Messages > 0 {
			t.Errorf("%s still holds %d messages: the ACK did not arrive", d.Name, d.Messages)
		}
	}
}
