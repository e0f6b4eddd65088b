package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
	"github.com/hoofbeat/hoofbeat/broker/store"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

const patience = time.Minute

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// rig is an engine with the queues in it.
type rig struct {
	*store.Queues
	engine *embedded.Server
	close  func()
}

type setting func(*embedded.Options, *store.Options)

func limited(l store.Limits) setting {
	return func(_ *embedded.Options, o *store.Options) { o.Limits = l }
}

// interval makes the engine answer before it syncs.
func interval(e *embedded.Options, o *store.Options) {
	e.SyncInterval, o.SyncAlways = time.Minute, false
}

// open starts an engine in a directory and opens the queues in it. They end with
// the test, or before by close.
func open(t testing.TB, dir string, settings ...setting) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	eo := embedded.Options{Dir: dir, Logger: log}
	o := store.Options{SyncAlways: true, Timeout: patience, Logger: log}
	for _, set := range settings {
		set(&eo, &o)
	}
	engine, err := embedded.Start(within(t), eo)
	if err != nil {
		t.Fatal(err)
	}
	data, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	control, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	o.Data, o.Control = data, control
	q, err := store.OpenQueues(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Queues: q, engine: engine}
	r.close = closing(t, q, data, control, engine)
	return r
}

// message makes a message for a queue.
func message(queue, body string) broker.QueuePut {
	m := &broker.Message{Destination: queue, ID: "id-" + body, Body: []byte(body)}
	return broker.QueuePut{Queue: queue, Message: m, Size: 100 + len(body)}
}

// result waits for the outcome of a call.
func result(t testing.TB, call func(done func(error))) error {
	t.Helper()
	got := make(chan error, 2)
	call(func(err error) { got <- err })
	select {
	case err := <-got:
		return err
	case <-time.After(patience):
		t.Fatal("no result")
		return nil
	}
}

func (r *rig) put(t testing.TB, list ...broker.QueuePut) {
	t.Helper()
	if err := r.tryPut(t, list...); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) tryPut(t testing.TB, list ...broker.QueuePut) error {
	t.Helper()
	return result(t, func(done func(error)) { r.Append(list, done) })
}

// putMany stores n messages with the bodies 0, 1, 2 …
func (r *rig) putMany(t testing.TB, queue string, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		r.Append([]broker.QueuePut{message(queue, strconv.Itoa(i))}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			all.Done()
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("messages were not stored")
	}
}

// taker is a feed that keeps what it gets.
type taker struct {
	t       testing.TB
	reader  broker.QueueReader
	mu      sync.Mutex
	list    []broker.StoredMessage
	failed  error
	changed chan struct{}
}

func (r *rig) take(t testing.TB, queue string, want int) *taker {
	t.Helper()
	k := &taker{t: t, changed: make(chan struct{}, 1)}
	var err error
	if k.reader, err = r.Open(queue, k); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.reader.Close)
	if want > 0 {
		k.reader.Want(want, 1<<20*8)
	}
	return k
}

func (k *taker) change(do func()) {
	k.mu.Lock()
	do()
	k.mu.Unlock()
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

func (k *taker) Messages(list []broker.StoredMessage) {
	k.change(func() {
		if k.failed != nil {
			k.t.Error("messages after the failure")
		}
		k.list = append(k.list, list...)
	})
}

func (k *taker) Failed(err error) {
	k.change(func() {
		if k.failed != nil {
			k.t.Error("failed twice")
		}
		k.failed = err
	})
}

// until waits for a condition.
func (k *taker) until(what string, ok func() bool) {
	k.t.Helper()
	late := time.After(patience)
	for {
		k.mu.Lock()
		yes := ok()
		n, err := len(k.list), k.failed
		k.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-k.changed:
		case <-late:
			k.t.Fatalf("%s: not within %v, %d messages, failed: %v", what, patience, n, err)
		}
	}
}

// next waits for n messages and forgets them.
func (k *taker) next(n int) []broker.StoredMessage {
	k.t.Helper()
	k.until(fmt.Sprint(n, " messages"), func() bool { return len(k.list) >= n })
	k.mu.Lock()
	defer k.mu.Unlock()
	list := slices.Clone(k.list[:n])
	k.list = slices.Clone(k.list[n:])
	return list
}

// idle checks that nothing is there and nothing comes for a while.
func (k *taker) idle() {
	k.t.Helper()
	time.Sleep(150 * time.Millisecond) // an absence cannot be waited for
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.list) > 0 {
		k.t.Errorf("got %d more: %v", len(k.list), bodies(k.list))
	}
}

func (k *taker) waitFailed() error {
	k.t.Helper()
	k.until("the failure", func() bool { return k.failed != nil })
	return k.failed
}

func (k *taker) ack(list ...broker.StoredMessage) {
	k.t.Helper()
	if err := result(k.t, func(done func(error)) { k.reader.Ack(sequences(list), done) }); err != nil {
		k.t.Fatal(err)
	}
}

func sequences(list []broker.StoredMessage) []uint64 {
	var s []uint64
	for _, m := range list {
		s = append(s, m.Sequence)
	}
	return s
}

func bodies(list []broker.StoredMessage) []string {
	var s []string
	for _, m := range list {
		s = append(s, string(m.Message.Body))
	}
	return s
}

func numbers(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, strconv.Itoa(i))
	}
	return s
}

func equal[T any](t interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want T,
) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func (r *rig) counts() map[string][2]int {
	all := make(map[string][2]int)
	for q := range r.Queues.Queues() {
		all[q.Name] = [2]int{q.Messages, int(q.Bytes)}
	}
	return all
}
