package sockjs

import (
	"context"
	"io"
	"sync"
)

// An inbox is the receiving half of a [broker.Transport]. put blocks until the
// broker takes the data, so an inbox buffers nothing.
type inbox struct {
	data   chan []byte
	life   chan struct{} // one slot: the client has shown that it is alive
	failed chan error    // one slot: the reason to end the session
	done   chan struct{}
	once   sync.Once
}

func newInbox() inbox {
	return inbox{
		data: make(chan []byte), life: make(chan struct{}, 1),
		failed: make(chan error, 1), done: make(chan struct{}),
	}
}

// Receive implements [broker.Transport]. It returns no data after a sign of
// life without data, so that the broker records it.
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

// put hands p to the broker. It returns false if the session or the request
// ended first.
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
	default: // a sign of life is pending already
	}
}

// fail ends the session with an error; only the first call counts.
func (i *inbox) fail(err error) {
	select {
	case i.failed <- err:
	default:
	}
}

// end makes Receive and put return.
func (i *inbox) end() { i.once.Do(func() { close(i.done) }) }

func (i *inbox) ended() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}
