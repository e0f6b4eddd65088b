//go:build !race

package broker

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// taking is a wire whose socket accepts everything without blocking.
type taking struct{ wire.Wire }

func (taking) CanTry() bool                   { return true }
func (taking) TryWrite(p []byte) (int, error) { return len(p), nil }

// A batch that touches a few outboxes is written without an allocation: it is
// the whole work of a SEND to one subscriber, or of a RECEIPT.
func TestSmallFlushAllocatesNothing(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, frame := openSession(b, taking{wire.NewMessage(nowhere{})}), []byte("frame")
	if n := testing.AllocsPerRun(1000, func() {
		bt := b.newBatch()
		s.out.push(frame, bt)
		s.out.push(frame, bt)
		bt.end(&s.out)
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
