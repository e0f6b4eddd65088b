package broker_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// byValue is a listener that cannot be the key of a map.
type byValue struct {
	net.Listener
	protocols []string
}

// curious is a listener whose Close looks at the broker.
type curious struct {
	net.Listener
	b *broker.Broker
}

func (c curious) Close() error {
	_ = c.b.Ready(context.Background())
	return c.Listener.Close()
}

// A listener is code of the program: it may be a value that cannot be compared,
// and its Close may ask the broker, so no lock is held meanwhile.
func TestListenersOfAnyType(t *testing.T) {
	for _, drain := range []bool{false, true} {
		b := brokertest.New(t, broker.Options{LingerTimeout: 50 * time.Millisecond})
		served := make(chan error, 2)
		for i := range 2 {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = nc.Close() }()
			wrapped := net.Listener(byValue{l, []string{"stomp"}})
			if i == 1 {
				wrapped = curious{l, b}
			}
			go func() { served <- b.ServeTCP(wrapped) }()
			brokertest.Eventually(t, "it is served", func() bool { return b.Sockets() == i+1 })
		}
		ended := make(chan error, 1)
		go func() {
			if drain {
				ended <- b.Drain(t.Context())
			} else {
				ended <- b.Close()
			}
		}()
		for range 2 {
			if err := testkit.Receive(t, served); err != nil {
				t.Errorf("ServeTCP returned %v", err)
			}
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("the broker does not end")
		}
	}
}
