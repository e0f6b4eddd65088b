//go:build !nostore

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// A closed engine leaves no goroutine behind, but for those of a stream whose
// restore it has given up: it forgets their files. The process of an import ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect returns a connection of s and what speaks JetStream over it.
func connect(t *testing.T, s *embedded.Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestWhatIsAcknowledgedIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 {
		s, err := embedded.Start(within(t), embedded.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		conn, js := connect(t, s)
		stream, err := js.CreateOrUpdateStream(within(t), jetstream.StreamConfig{Name: "A", Subjects: []string{"a.>"}, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Msgs; n != uint64(run) {
			t.Errorf("run %d begins with %d messages", run, n)
		}
		if _, err := js.Publish(within(t), fmt.Sprint("a.", run), []byte("kept")); err != nil {
			t.Fatal(err)
		}
		if err := s.Health(); err != nil {
			t.Error(err)
		}
		conn.Close()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Health(); err == nil {
			t.Error("a closed engine is healthy")
		}
		if _, err := s.Connect(); err == nil {
			t.Error("a closed engine accepts a connection")
		}
	}
}

func TestTheLimitOfTheDiskIsAlwaysSet(t *testing.T) {
	s := start(t, embedded.Options{Disk: 1 << 20})
	_, js := connect(t, s)
	_, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "A", Subjects: []string{"a"}, MaxBytes: 2 << 20})
	var refused *jetstream.APIError
	if !errors.As(err, &refused) || refused.ErrorCode != 10047 {
		t.Errorf("a stream of 2 MiB in a store of 1 MiB: %v", err)
	}
}

func TestAStartThatIsGivenUpStopsTheEngine(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	s, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir()})
	if err == nil { // it was quicker
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, gone) {
		t.Error(err)
	}
}

func TestADirectoryIsRequired(t *testing.T) {
	if _, err := embedded.Start(t.Context(), embedded.Options{}); err == nil {
		t.Error("started without a directory")
	}
}
