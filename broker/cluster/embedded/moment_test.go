//go:build !nostore

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// An export of a running store is of one moment: of two streams, of which one
// is written after the other has confirmed, it never has the second without the
// first; it has what was confirmed before it began, and what a work queue has
// handed out it has or has not, but never twice. Writers go on meanwhile.
func TestAnExportIsOfOneMoment(t *testing.T) {
	s := start(t, embedded.Options{})
	_, js := connect(t, s)
	_, reading := connect(t, s)
	for name, subject := range map[string]string{"FIRST": "first", "SECOND": "second"} {
		if _, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy, MaxBytes: 8 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	late := patiently(t)
	ctx, cancel := context.WithCancel(t.Context())
	var confirmed, taken, slowest atomic.Int64
	ended := make(chan error, 2)
	go func() { // writes into first, then into second
		for i := int64(1); ctx.Err() == nil; i++ {
			for i-taken.Load() > 100 && ctx.Err() == nil {
				time.Sleep(time.Millisecond) // until there is room
			}
			for _, subject := range []string{"first", "second"} {
				began := time.Now()
				if _, err := js.Publish(late, subject, make([]byte, 20<<10)); err != nil {
					ended <- fmt.Errorf("writing: %w", err)
					return
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(began))))
			}
			confirmed.Store(i)
		}
		ended <- nil
	}()
	c, err := reading.CreateConsumer(within(t), "FIRST", jetstream.ConsumerConfig{Durable: "reader", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	go func() { // takes out of first what second has
		for ctx.Err() == nil {
			if taken.Load() >= confirmed.Load()-20 {
				time.Sleep(time.Millisecond) // there is nothing to take yet
				continue
			}
			m, err := c.Next(jetstream.FetchMaxWait(time.Minute))
			if err == nil {
				err = m.DoubleAck(late)
			}
			if err != nil {
				ended <- fmt.Errorf("reading: %w", err)
				return
			}
			taken.Add(1)
		}
		ended <- nil
	}()
	eventually(t, "something is stored", func() bool { return confirmed.Load() > 30 })
	for range 3 {
		before, out := confirmed.Load(), taken.Load()
		var b bytes.Buffer
		if _, err := s.Export(patiently(t), &b, nil); err != nil {
			t.Fatal(err)
		}
		after := confirmed.Load()
		r := imported(t, embedded.Options{Dir: filepath.Join(t.TempDir(), "new")}, b.Bytes())
		first, second := r.Streams[0], r.Streams[1]
		if n := int64(second.Last); n < before || n > after+1 || int64(first.Last)-n > 1 || first.Last < second.Last {
			t.Errorf("first ends with %d and second with %d; %d were confirmed before, %d after", first.Last, second.Last, before, after)
		}
		if n := int64(first.Last) - int64(first.Messages); n < out || n > taken.Load()+1 {
			t.Errorf("%d were taken, and the export has %d of %d", out, first.Messages, first.Last)
		}
	}
	cancel()
	for range 2 {
		select {
		case err := <-ended:
			if err != nil && t.Context().Err() == nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("still going on")
		}
	}
	// How long is up to the machine. That connections are held back for five
	// seconds at most is up to the deadlines.
	t.Logf("the slowest confirmation took %v", time.Duration(slowest.Load()))
}

// What happens while the export is written is not in it, however much that is.
func TestAnExportThatTakesLong(t *testing.T) {
	dir := filled(t, embedded.Options{})
	want := contents(t, embedded.Options{Dir: dir})
	s := start(t, embedded.Options{Dir: dir})
	_, js := connect(t, s)
	var b bytes.Buffer
	changed := &hooked{w: &b, f: func() {
		if _, err := s.Export(within(t), io.Discard, nil); !errors.Is(err, embedded.ErrExporting) {
			t.Errorf("a second export: %v", err)
		}
		stream, err := js.Stream(within(t), topic)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Purge(within(t)); err != nil {
			t.Fatal(err)
		}
		if err := js.DeleteStream(within(t), queue); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			if _, err := js.Publish(within(t), "t.c", make([]byte, 30<<10)); err != nil {
				t.Fatal(err)
			}
		}
	}}
	if _, err := s.Export(patiently(t), changed, nil); err != nil {
		t.Fatal(err)
	}
	to := embedded.Options{Dir: filepath.Join(t.TempDir(), "new")}
	imported(t, to, b.Bytes())
	same(t, contents(t, to), want)
	var copied bytes.Buffer
	if r, err := embedded.CopyExport(&copied, bytes.NewReader(b.Bytes()), nil); err != nil || len(r.Streams) != 3 || !bytes.Equal(copied.Bytes(), b.Bytes()) {
		t.Errorf("%+v, %v: the copy has %d bytes of %d", r, err, copied.Len(), b.Len())
	}
	if _, err := embedded.CopyExport(io.Discard, bytes.NewReader(b.Bytes()[:b.Len()/2]), nil); err == nil {
		t.Error("half an export is copied without an error")
	}
	if _, err := os.Stat(filepath.Join(dir, "moment")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the files of the moment are still there: %v", err)
	}
}

// hooked calls f before the first write.
type hooked struct {
	w io.Writer
	f func()
}

func (h *hooked) Write(b []byte) (int, error) {
	if f := h.f; f != nil {
		h.f = nil
		f()
	}
	return h.w.Write(b)
}

// An export ends with the store, which does not wait for a writer that is not
// read, and a process that was killed leaves nothing that stays.
func TestAnExportEndsWithTheStore(t *testing.T) {
	dir := filled(t, embedded.Options{})
	left := filepath.Join(dir, "moment", "jetstream")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, embedded.Options{Dir: dir})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed process has left is still there: %v", err)
	}
	ended := make(chan error, 1)
	began := make(chan struct{})
	r, w := io.Pipe()
	go func() {
		_, err := s.Export(t.Context(), &hooked{w, func() { close(began) }}, nil)
		ended <- err
	}()
	select {
	case <-began:
	case <-time.After(time.Minute):
		t.Fatal("not begun")
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := testkit.Receive(t, closed); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the export ended while its writer was used: %v", err)
	default:
	}
	_ = r.Close() // always nil; as the server of the admin API does
	if err := testkit.Receive(t, ended); err == nil {
		t.Error("the export ended without an error")
	}
	if _, err := s.Export(t.Context(), io.Discard, nil); !errors.Is(err, embedded.ErrUnavailable) {
		t.Errorf("a closed store: %v", err)
	}
}
