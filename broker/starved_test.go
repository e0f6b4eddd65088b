package broker

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// A client that takes everything at once is not ended as slow because its writer
// goroutine found no processor while a publisher was busy: the outbox waits for
// its turn, and the publisher gives it one.
func TestStarvedWriterIsNoSlowConsumer(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // only who yields lets others run
	o := Options{Authenticator: auth.Anonymous}
	o.Limits.Outbox, o.Limits.Frame = 64<<10, 32<<10
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := openSession(b, wire.NewMessage(nowhere{}))
	frame := make([]byte, 1<<10)
	for range 1000 { // fifteen times what fits, in batches that fit
		bt := b.newBatch()
		for range 16 {
			s.out.push(frame, bt)
		}
		bt.flush()
		bt.yield()
		bt.release()
		if phase(s.phase.Load()) != phaseOpen {
			t.Fatal("the session was ended as slow")
		}
	}
	bt := b.newBatch()
	for range 1000 { // and all at once
		s.out.push(frame, bt)
	}
	bt.flush()
	bt.release()
	if phase(s.phase.Load()) != phaseOpen {
		t.Error("the session was ended as slow")
	}
}

// preempted is a wire whose first TryWrite takes its time although it never
// waits for the client: the system has given its thread's processor to others.
type preempted struct {
	wire.Wire
	entered, resumed chan struct{}
	written          int
}

func (w *preempted) CanTry() bool { return true }

func (w *preempted) TryWrite(p []byte) (int, error) {
	if w.written == 0 {
		close(w.entered)
		<-w.resumed
	}
	w.written += len(p)
	return len(p), nil
}

// A client is not ended as slow because the goroutine that flushes its outbox
// has lost its processor in the middle, as on a machine with other work.
func TestPreemptedFlushIsNoSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Authenticator: auth.Anonymous}
		o.Limits.Outbox, o.Limits.Frame = 64<<10, 32<<10
		b, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		w := &preempted{Wire: wire.NewMessage(nowhere{}), entered: make(chan struct{}), resumed: make(chan struct{})}
		s := openSession(b, w)
		frame := make([]byte, 16<<10)
		flushed := make(chan struct{})
		go func() {
			defer close(flushed)
			bt := b.newBatch()
			s.out.push(frame, bt)
			bt.flush()
			bt.release()
		}()
		<-w.entered
		time.AfterFunc(20*time.Millisecond, func() { close(w.resumed) })
		bt := b.newBatch()
		for range 8 { // twice what fits
			s.out.push(frame, bt)
		}
		bt.flush()
		bt.release()
		<-flushed
		if phase(s.phase.Load()) != phaseOpen {
			t.Error("the session was ended as slow")
		}
		if want := 9 * len(frame); w.written != want {
			t.Errorf("%d bytes were written, want %d", w.written, want)
		}
	})
}
