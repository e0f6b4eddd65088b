package broker

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// slowReader is a client that has subscribed and closes its half when leave is
// closed. Each write of a message takes as long as takes says, and one for which
// there is no entry blocks until the connection is closed.
type slowReader struct {
	in     chan []byte
	leave  chan struct{}
	closed chan struct{}
	once   sync.Once
	takes  []time.Duration

	got []string // bodies; of the writer
}

func (c *slowReader) Receive() ([]byte, error) {
	select {
	case p := <-c.in:
		return p, nil
	case <-c.leave:
	case <-c.closed:
	}
	return nil, io.EOF
}

func (c *slowReader) Send(list [][]byte) error {
	if strings.HasPrefix(string(list[0]), "CONNECTED") {
		return nil
	}
	var end <-chan time.Time // never
	if len(c.takes) > 0 {
		end, c.takes = time.After(c.takes[0]), c.takes[1:]
	}
	select {
	case <-end:
	case <-c.closed:
		return io.ErrClosedPipe
	}
	for _, p := range list {
		_, body, _ := strings.Cut(string(p), "\n\n")
		c.got = append(c.got, strings.TrimRight(body, "\x00\n"))
	}
	return nil
}

func (c *slowReader) Close(int, string) error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// What is pending when a client half-closes its connection is given up when
// nothing was written for LingerTimeout, and not before: each write that succeeds
// gives the next one as much time again.
func TestWhatIsWrittenSlowlyIsNotGivenUp(t *testing.T) {
	const linger, slow = 10 * time.Second, 8 * time.Second
	const clock = time.Second // the broker's may be off by a tick
	for name, tc := range map[string]struct {
		takes []time.Duration
		got   []string
		ends  time.Duration // after the client has left
	}{
		"everything is written": {[]time.Duration{slow, slow}, []string{"first", "second", "third"}, 2 * slow},
		"the rest is stuck":     {[]time.Duration{slow}, []string{"first"}, slow + linger},
		"nothing is written":    {nil, nil, linger},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, err := New(Options{Authenticator: auth.Anonymous, LingerTimeout: linger, WriteDeadline: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				c := &slowReader{in: make(chan []byte, 2), leave: make(chan struct{}), closed: make(chan struct{}), takes: tc.takes}
				c.in <- []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00")
				c.in <- []byte("SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00")
				served := make(chan error, 1)
				go func() { served <- b.Serve(t.Context(), c, Admission{}) }()
				synctest.Wait()
				since := time.Now()
				for _, body := range []string{"first", "second", "third"} {
					if err := b.Publish(t.Context(), &Message{Destination: "/topic/a", Body: []byte(body)}); err != nil {
						t.Error(err)
					}
					synctest.Wait() // the first is being written, the others are pending
				}
				close(c.leave)
				<-served
				if d := time.Since(since); (d - tc.ends).Abs() > clock {
					t.Errorf("the session ended after %v, want %v", d, tc.ends)
				}
				if !slices.Equal(c.got, tc.got) {
					t.Errorf("written is %q, want %q", c.got, tc.got)
				}
			})
		})
	}
}
