package broker

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// filling is a wire whose socket accepts a number of bytes without blocking.
// Its client reads nothing until it is released.
type filling struct {
	wire.Wire
	room    int
	widest  int // the largest write call
	blocked int // the same while the client does not read
	release chan struct{}
	written bytes.Buffer
}

func (w *filling) CanTry() bool { return true }

func (w *filling) TryWrite(p []byte) (int, error) {
	w.widest = max(w.widest, len(p))
	n := min(len(p), w.room)
	w.room -= n
	return w.written.Write(p[:n])
}

func (w *filling) Write(s wire.Source) (int, error) {
	<-w.release
	p := s.Chunk()
	w.blocked = max(w.blocked, len(p))
	w.written.Write(p)
	s.Wrote(len(p))
	return len(p), nil
}

// An outbox with much to write is written with wide calls. Wherever the socket
// is full, the client gets all bytes once and in order, and an outbox that waits
// for its client holds no wide buffer.
func TestWideBatches(t *testing.T) {
	const size, count = 3000, 120
	for _, room := range []int{0, 1, size - 1, size, size + 1, 30 * size, 30*size + 7, wideBatch - 1, wideBatch, 87 * size, 88*size + 1, count*size - 1, count * size} {
		for _, control := range []bool{false, true} {
			t.Run(fmt.Sprint(room, " ", control), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, err := New(Options{Authenticator: auth.Anonymous})
					if err != nil {
						t.Fatal(err)
					}
					defer b.Close()
					w := &filling{Wire: wire.NewMessage(nowhere{}), room: room, release: make(chan struct{})}
					s := openSession(b, w)
					bt := b.newBatch()
					var want bytes.Buffer
					if control {
						s.out.answerPing([]byte("pong"), bt)
						want.WriteString("pong")
					}
					for i := range count {
						frame := fmt.Appendf(nil, "%-*d", size, i)
						s.out.push(frame, bt)
						want.Write(frame)
					}
					bt.flush()
					bt.release()
					synctest.Wait()
					close(w.release)
					synctest.Wait()
					if !bytes.Equal(w.written.Bytes(), want.Bytes()) {
						t.Errorf("%d bytes were written, want %d, or others", w.written.Len(), want.Len())
					}
					if o := &s.out; o.bytes != 0 || o.writing || o.blocked {
						t.Errorf("%d bytes, writing %v, blocked %v", o.bytes, o.writing, o.blocked)
					}
					if w.widest <= maxBatch && room > maxBatch || w.widest > wideBatch {
						t.Errorf("a call wrote up to %d bytes", w.widest)
					}
					if w.blocked > maxBatch {
						t.Errorf("a call for a slow client wrote up to %d bytes", w.blocked)
					}
				})
			})
		}
	}
}
