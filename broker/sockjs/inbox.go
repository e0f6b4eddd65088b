package sockjs

import (
	"context"
	"io"
	"sync"
)

// An inbox is the half of a [broker.Transport] that the broker reads from. What
// is put waits until the broker takes it, so nothing is buffered.
type inbox struct {
	data   chan []byte
	life   chan struct{} // one slot: the client has shown that it lives
	failed chan error    // one slot: why the session must end
	done   chan struct{}
	once   sync.Once
}

func newInbox() inbox {
	return inbox{
		data: make(chan []byte), life: make(chan struct{}, 1),
		failed: make(chan error, 1), done: make(chan struct{}),
	}
}

// Receive implements [broker.Transport]. It returns nothing at a sign of life
// that brought no data, from which the broker learns of it.
func (i *inbox) Receive() ([]byte, error) {
	select {
	case p := <-i.data:
		return p, nil
	case <-i.life:
		return nil, nil
	case err := <-i.failed:
		return nil, err
	case <-i.done:
		return nil, io.EOF
	}
}

// put hands p to the broker. It reports false when the session ended, or the
// request, before it was taken.
func (i *inbox) put(ctx context.Context, p []byte) bool {
	select {
	case i.data <- p:
		return true
	case <-i.done:
		return false
	case <-ctx.Done():
		return false
	}
}

func (i *inbox) alive() {
	select {
	case i.life <- struct{}{}:
	default: // the broker learns of it anyway
	}
}

// fail ends the session for a reason; the first one counts.
func (i *inbox) fail(err error) {
	select {
	case i.failed <- err:
	default:
	}
}

// end makes Receive and everybody else return.
func (i *inbox) end() { i.once.Do(func() { close(i.done) }) }

func (i *inbox) ended() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}
