package broker_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	check "github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/drive"
)

// TestHistoryUnderFaults takes 6 s, or 60 s with HOOFBEAT_FAULTS=long,
// as .ci/run does, and longer on a machine on which too little happens in that
// time.
func TestHistoryUnderFaults(t *testing.T) {
	length := 6 * time.Second
	if os.Getenv("HOOFBEAT_FAULTS") == "long" {
		length = time.Minute
	}
	o := broker.Options{History: []broker.History{{Destination: drive.HistoryPattern, Messages: 40, Bytes: 100_000}}}
	o.Limits.Frame, o.Limits.Outbox = 8<<10, 32<<10
	c := check.New(check.Options{})
	r := &drive.History{Address: serveNarrow(t, newBroker(t, o)), Checker: c}
	ctx, cancel := context.WithTimeout(t.Context(), length+2*time.Minute)
	defer cancel()
	happened := func() bool {
		said := r.Counts()
		return c.Counts().Receipted >= 100 && said.True >= 10 && said.False >= 10
	}
	said, err := r.Run(ctx, func() {
		time.Sleep(length)
		for end := time.Now().Add(time.Minute); !happened() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		}
	})
	if err != nil {
		t.Error(err)
	}
	for _, v := range c.Report().Violations {
		t.Error(v)
	}
	n := c.Counts()
	t.Logf("%+v; %+v", n, said)
	if !happened() || length > 10*time.Second && said.Slow == 0 {
		t.Error("the run tests nothing")
	}
}

// narrow is a listener whose connections buffer little of what they write, so
// that a slow reader soon fills its outbox.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	return conn, err
}

// serveNarrow serves TCP and returns the address. The broker ends with the test.
func serveNarrow(t *testing.T, b *broker.Broker) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.ServeTCP(narrow{l}) }() // which Close waits for
	return l.Addr().String()
}
