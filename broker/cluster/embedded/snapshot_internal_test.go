//go:build !nostore

package embedded

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A snapshot of an engine that ends meanwhile ends, too: its rest never comes.
func TestASnapshotEndsWithItsEngine(t *testing.T) {
	s, _ := opened(t, Options{Dir: t.TempDir()})
	conn, err := s.Connect(nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- pump(t.Context(), conn, make(chan *nats.Msg), make(chan []byte), make(chan struct{}))
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Receive(t, ended); err == nil {
		t.Error("it ended without an error")
	}
}
