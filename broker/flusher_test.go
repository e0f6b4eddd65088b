package broker

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

func TestWhichBatchesAFlusherWrites(t *testing.T) {
	for _, c := range []struct {
		what                          string
		messages, body, subscriptions int
		outbox                        int
		large                         bool
	}{
		{"a read of large messages", 15, 4 << 10, 100, 512 << 10, true},
		{"a quarter of a read", 4, 4 << 10, 100, 512 << 10, true},
		{"few subscribers", 15, 4 << 10, 10, 512 << 10, false},
		{"one subscriber", 15, 4 << 10, 1, 512 << 10, false},
		{"a single message", 1, 4 << 10, 100, 512 << 10, false},
		{"a single message to many", 1, 4 << 10, 1000, 512 << 10, false},
		{"a read of small messages", 300, 128, 100, 512 << 10, false},
		{"outboxes that this batch fills", 15, 4 << 10, 100, 128 << 10, false},
		{"nothing", 0, 0, 0, 512 << 10, false},
	} {
		var l load
		for range c.messages {
			l.add(c.body, c.subscriptions)
		}
		if got := l.large(c.outbox); got != c.large {
			t.Errorf("%s: large is %v, want %v", c.what, got, c.large)
		}
	}
}

// gated is a wire whose TryWrite takes everything, but only once its gate is
// open: a flush that has lost its processor.
type gated struct {
	wire.Wire
	gate    chan struct{}
	written bytes.Buffer
}

func (w *gated) CanTry() bool { return true }

func (w *gated) TryWrite(p []byte) (int, error) {
	<-w.gate
	return w.written.Write(p)
}

// gatedSession returns an open session of b.
func gatedSession(b *Broker, gate chan struct{}) (*session, *gated) {
	w := &gated{Wire: wire.NewMessage(nowhere{}), gate: gate}
	return openSession(b, w), w
}

// A publisher reads on while a flusher writes its large batch, but only until
// an outbox is a quarter full. Its receipts do not wait for the flusher.
func TestPublisherWaitsForAFlusherThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Authenticator: auth.Anonymous}
		o.Limits.Outbox, o.Limits.Frame = 64<<10, 32<<10
		b, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		open, shut := make(chan struct{}), make(chan struct{})
		close(open)
		publisher, receipts := gatedSession(b, open)
		const subscribers, messages, size = 64, 16, 1 << 10
		var sessions [subscribers]*session
		var wires [subscribers]*gated
		for i := range sessions {
			sessions[i], wires[i] = gatedSession(b, shut)
		}
		var want bytes.Buffer
		batch := func(name string) (done chan struct{}) {
			bt := b.newBatch()
			for i := range messages {
				frame := fmt.Appendf(nil, "%-*s", size, fmt.Sprint(name, i))
				for _, s := range sessions {
					s.out.push(frame, bt)
				}
				bt.load.add(size, subscribers)
				want.Write(frame)
			}
			publisher.out.push([]byte("receipt "+name), bt)
			done = make(chan struct{})
			go func() {
				bt.end(&publisher.out)
				close(done)
			}()
			synctest.Wait()
			return done
		}
		ended := func(done chan struct{}) bool {
			select {
			case <-done:
				return true
			default:
				return false
			}
		}
		first := batch("first")
		if !ended(first) {
			t.Error("the publisher waits for the writing of its first batch")
		}
		if got := receipts.written.String(); got != "receipt first" {
			t.Errorf("the publisher got %q", got)
		}
		second := batch("second")
		if ended(second) {
			t.Error("the publisher does not wait for a flusher that is behind")
		}
		if got := receipts.written.String(); got != "receipt firstreceipt second" {
			t.Errorf("the publisher got %q", got)
		}
		close(shut)
		synctest.Wait()
		if !ended(second) {
			t.Error("the publisher waits although everything is written")
		}
		for i, w := range wires {
			if !bytes.Equal(w.written.Bytes(), want.Bytes()) {
				t.Errorf("subscriber %d got %d bytes, want %d, or others", i, w.written.Len(), want.Len())
			}
			if o := &sessions[i].out; o.bytes != 0 || o.queued || o.writing {
				t.Errorf("outbox %d: %d bytes, queued %v, writing %v", i, o.bytes, o.queued, o.writing)
			}
			if phase(sessions[i].phase.Load()) != phaseOpen {
				t.Errorf("session %d has ended", i)
			}
		}
	})
}

// A publisher does not wait for a flusher that cannot start, because the broker
// has stopped.
func TestPublisherDoesNotWaitForAStoppedFlusher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Options{Authenticator: auth.Anonymous})
		if err != nil {
			t.Fatal(err)
		}
		s, _ := gatedSession(b, make(chan struct{}))
		_ = b.Close()
		bt := b.newBatch()
		s.out.push([]byte("x"), bt)
		bt.load.add(largeOutbox, largeBatch/largeOutbox)
		bt.behind = true
		bt.end(nil)
	})
}
