//go:build !nostore

package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Watch may be called while the server is closed, and after that: then it tells
// that it is closed. This is a data race if Close waits for the goroutines of
// Watch meanwhile.
func TestWatchWhileTheServerIsClosed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := newServer(ctx, Options{Dir: t.TempDir()}) // without an engine
	if err != nil {
		t.Fatal(err)
	}
	entered, leave, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	stop := s.Watch(func(State) {
		select {
		case entered <- struct{}{}:
			<-leave
		case <-leave:
		}
	})
	testkit.Receive(t, entered)
	go func() { closed <- s.Close() }()
	for s.State().Err != errClosed { //nolint:errorlint // it is that value
		time.Sleep(time.Millisecond)
	}
	close(leave)
	stop()
	for range 100 {
		told := make(chan State, 2)
		stop := s.Watch(func(now State) { told <- now })
		if now := testkit.Receive(t, told); now.Err != errClosed { //nolint:errorlint // it is that value
			t.Errorf("a closed server tells %v", now.Err)
		}
		stop()
	}
	if err := testkit.Receive(t, closed); err != nil {
		t.Error(err)
	}
}
