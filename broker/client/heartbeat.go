package client

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// negotiate applies STOMP 1.2, "Heart-beating": in each direction the interval
// is the longer of what one side offers and the other wants; if either is zero
// there are no heart-beats. header is the server's heart-beat header.
func negotiate(o Options, header string) (write, read time.Duration, err error) {
	if header == "" {
		return 0, 0, nil
	}
	send, want, ok := strings.Cut(header, ",")
	sx, err1 := strconv.ParseUint(strings.TrimSpace(send), 10, 31)
	sy, err2 := strconv.ParseUint(strings.TrimSpace(want), 10, 31)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("%w: heart-beat header %q is not two numbers of milliseconds", ErrNotStomp, header)
	}
	slower := func(ours time.Duration, theirs uint64) time.Duration {
		if ours == 0 || theirs == 0 {
			return 0
		}
		return max(ours, time.Duration(theirs)*time.Millisecond)
	}
	return slower(o.SendHeartBeat, sy), slower(o.ReceiveHeartBeat, sx), nil
}

// heartBeatHeader returns this side's heart-beat header.
func heartBeatHeader(o Options) string {
	return fmt.Sprintf("%d,%d", o.SendHeartBeat.Milliseconds(), o.ReceiveHeartBeat.Milliseconds())
}

// watch aborts a connection that is silent for too long during a read. Time
// without a read does not count, because bytes may have arrived.
type watch struct {
	timer   *time.Timer
	silence time.Duration
	fired   atomic.Bool
}

func newWatch(silence time.Duration, abort func()) *watch {
	w := &watch{silence: silence}
	w.timer = time.AfterFunc(silence, func() {
		w.fired.Store(true)
		abort()
	})
	w.timer.Stop()
	return w
}

// read reads from the transport with the watch running.
func (w *watch) read(t transport, p []byte) (int, error) {
	w.timer.Reset(w.silence)
	n, err := t.Read(p)
	w.timer.Stop()
	if err != nil && w.fired.Load() {
		err = ErrSilent
	}
	return n, err
}
