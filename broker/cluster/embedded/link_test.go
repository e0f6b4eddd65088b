//go:build !nostore

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

func startLink(t *testing.T, o embedded.LinkOptions) *embedded.Link {
	t.Helper()
	l, err := embedded.StartLink(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// A link beyond loopback needs a secret, and what cannot work is refused with the
// name of the option.
func TestLinksThatAreRefused(t *testing.T) {
	const loopback = "127.0.0.1:0"
	taken := startLink(t, embedded.LinkOptions{Name: "taken", Listen: loopback})
	for what, test := range map[string]struct {
		o     embedded.LinkOptions
		names string
	}{
		"no secret, all addresses":      {embedded.LinkOptions{Name: "a", Listen: "0.0.0.0:0"}, "Secret"},
		"no secret, all IPv6 addresses": {embedded.LinkOptions{Name: "a", Listen: "[::]:0"}, "Secret"},
		"no secret, another address":    {embedded.LinkOptions{Name: "a", Listen: "192.0.2.1:0"}, "Secret"},
		"no secret, a name":             {embedded.LinkOptions{Name: "a", Listen: "example.com:0"}, "Secret"},
		"no name":                       {embedded.LinkOptions{Listen: loopback}, "Name"},
		"no address":                    {embedded.LinkOptions{Name: "a"}, "Listen"},
		"no host":                       {embedded.LinkOptions{Name: "a", Listen: ":6222", Secret: "s"}, "Listen"},
		"no port":                       {embedded.LinkOptions{Name: "a", Listen: "127.0.0.1"}, "Listen"},
		"a port that is none":           {embedded.LinkOptions{Name: "a", Listen: "127.0.0.1:65536"}, "Listen"},
		"a port that is taken":          {embedded.LinkOptions{Name: "a", Listen: taken.Addr()}, "Listen"},
		"a peer without a port":         {embedded.LinkOptions{Name: "a", Listen: loopback, Peers: []string{"127.0.0.1"}}, "Peers"},
	} {
		l, err := embedded.StartLink(within(t), test.o)
		if err == nil || !strings.Contains(err.Error(), "LinkOptions."+test.names+":") {
			t.Errorf("%s: the error is %v, want one about %s", what, err, test.names)
		}
		if l != nil {
			t.Errorf("%s: there is a link", what)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := embedded.StartLink(over, embedded.LinkOptions{Name: "a", Listen: loopback}); err == nil {
		if err := l.Close(); err != nil { // it was ready before it was looked at
			t.Error(err)
		}
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// shared is a log that goroutines write and the test reads.
type shared struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Servers with the same secret join. One with another secret is refused, and no
// log has a secret.
func TestLinksJoin(t *testing.T) {
	log := new(shared)
	logger := slog.New(slog.NewTextHandler(log, nil))
	a := startLink(t, embedded.LinkOptions{Name: "a", Listen: "127.0.0.1:0", Secret: "right", Logger: logger})
	b := startLink(t, embedded.LinkOptions{Name: "b", Listen: "127.0.0.1:0", Secret: "right", Peers: []string{a.Addr()}, Logger: logger})
	startLink(t, embedded.LinkOptions{Name: "c", Listen: "127.0.0.1:0", Secret: "guessed", Peers: []string{a.Addr()}, Logger: logger})
	var conns []*nats.Conn
	for _, l := range []*embedded.Link{a, b} {
		conn, err := l.Connect()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		conns = append(conns, conn)
	}
	got := make(chan *nats.Msg, 1<<10)
	if _, err := conns[1].ChanSubscribe("x", got); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "what is published on one comes to the other", func() bool {
		if err := conns[0].Publish("x", []byte("y")); err != nil {
			t.Fatal(err)
		}
		return len(got) > 0
	})
	if m := testkit.Receive(t, got); string(m.Data) != "y" {
		t.Errorf("%q came", m.Data)
	}
	brokertest.Eventually(t, "the wrong secret is refused", func() bool {
		return strings.Contains(strings.ToLower(log.String()), "authorization")
	})
	if text := log.String(); strings.Contains(text, "guessed") || strings.Contains(text, "right") {
		t.Errorf("a secret is in the log: %s", text)
	}
}
