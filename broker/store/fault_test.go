package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Over an engine that answers late, out of order, twice, or not at all after it
// has done what it was asked: what is confirmed is true, and what is not is there
// or not, as a whole, and once.
func TestQueuesOverAFaultyEngine(t *testing.T) {
	const senders, each = 3, 150
	dir := t.TempDir()
	r, w := openFaulty(t, dir)
	f := &faultyRun{t: t, r: r, stored: set{}, acked: set{}, moved: set{}, doubtful: set{}, stop: make(chan struct{})}
	var sending, reading sync.WaitGroup
	for s := range senders {
		sending.Go(func() { f.send(s, each) })
	}
	for range 2 {
		reading.Go(f.read)
	}
	// An answer that was lost while the store began again must not keep it waiting.
	late := time.AfterFunc(patience, func() { t.Error("the store was not used for too long") })
	sending.Wait()
	close(f.stop)
	reading.Wait()
	late.Stop()
	w.calm.Store(true)
	untilWorks(t, r)
	w.check(t)
	before, shares := r.counts(), r.Shares()
	r.close()

	r = open(t, dir)
	equal(t, "queues", r.counts(), before)
	equal(t, "shares", r.Shares(), shares)
	jobs, pairs, dead := f.drain(r, queue), f.drain(r, "/queue/pairs"), f.drain(r, dlq)
	for body := range f.stored {
		if !f.acked[body] && !f.moved[body] && !f.doubtful[body] && !jobs[body] {
			t.Errorf("%s was stored and is lost", body)
		}
		if isPair(body) && !pairs[body] {
			t.Errorf("%s was stored with another one and is lost", body)
		}
	}
	for body := range pairs {
		if !jobs[body] && !f.acked[body] && !f.moved[body] && !f.doubtful[body] {
			t.Errorf("only one of two messages that were stored together is there: %s", body)
		}
	}
	for body := range f.moved {
		if !dead[body] || jobs[body] {
			t.Errorf("%s was replaced: is its dead letter there: %t, itself: %t", body, dead[body], jobs[body])
		}
	}
	for body := range f.acked {
		// It was perhaps replaced before, and came again because that was uncertain.
		if jobs[body] || dead[body] && !f.doubtful[body] {
			t.Errorf("%s was acknowledged: is it there: %t, is its dead letter there: %t", body, jobs[body], dead[body])
		}
	}
	t.Logf("%d stored, %d acknowledged, %d replaced, %d uncertain, %d left; failures: %d", len(f.stored), len(f.acked), len(f.moved), len(f.doubtful), len(jobs), w.n[isLost].Load())
}

const dlq = "/queue/DLQ.orders"

type set map[string]bool

// faultyRun is what clients know: the bodies of messages whose storing,
// acknowledgement or replacement was confirmed, or is doubtful.
type faultyRun struct {
	t    *testing.T
	r    *rig
	stop chan struct{}

	mu                             sync.Mutex
	stored, acked, moved, doubtful set
}

func isPair(body string) bool { return strings.HasSuffix(body, "0") }

func (f *faultyRun) send(sender, n int) {
	for i := range n {
		body := fmt.Sprintf("%d.%d", sender, i)
		list := []broker.QueuePut{message(queue, body)}
		list[0].Share = fmt.Sprint("user ", sender)
		if isPair(body) {
			list = append(list, message("/queue/pairs", body))
		}
		for err := f.r.Err(); err != nil; err = f.r.Err() { // nothing is sent meanwhile
			time.Sleep(time.Millisecond)
		}
		if f.r.tryPut(f.t, list...) == nil {
			f.mu.Lock()
			f.stored[body] = true
			f.mu.Unlock()
		}
	}
}

// read reads the queue until the end, again and again.
func (f *faultyRun) read() {
	for round := 0; ; round++ {
		select {
		case <-f.stop:
			return
		default:
		}
		k := &taker{t: f.t, changed: make(chan struct{}, 1)}
		reader, err := f.r.Open(queue, k)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		k.reader = reader
		reader.Want(20, 1<<20)
		for end := time.Now().Add(time.Duration(20+round%7*20) * time.Millisecond); time.Now().Before(end) && f.step(k); {
		}
		reader.Close()
	}
}

// step handles what has come. It reports false if the reader has failed.
func (f *faultyRun) step(k *taker) bool {
	select {
	case <-k.changed:
	case <-time.After(time.Millisecond):
	}
	k.mu.Lock()
	list, failed := k.list, k.failed != nil
	k.list = nil
	k.mu.Unlock()
	for i, m := range list {
		body := string(m.Message.Body)
		f.mu.Lock()
		if f.acked[body] || f.moved[body] {
			f.t.Errorf("%s comes again", body)
		}
		f.mu.Unlock()
		switch {
		case i%5 == 4:
			k.reader.Attempted(m.Sequence, m.Attempts+1)
			k.reader.Return([]uint64{m.Sequence})
		case i%5 == 3: // held until the reader is closed
		case i%11 == 10 || m.Attempts > 2:
			f.settle(body, f.moved, func(done func(error)) { f.r.Replace(queue, m.Sequence, message(dlq, body), done) })
		default:
			f.settle(body, f.acked, func(done func(error)) { k.reader.Ack([]uint64{m.Sequence}, done) })
		}
	}
	if len(list) > 0 {
		k.reader.Want(20, 1<<20)
	}
	return !failed
}

// settle records the outcome of a call.
func (f *faultyRun) settle(body string, settled set, call func(done func(error))) {
	err := result(f.t, call)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		settled[body] = true
	} else {
		f.doubtful[body] = true
	}
}

// drain takes all messages of a queue, and checks that each is there once and
// those of one sender are in order.
func (f *faultyRun) drain(r *rig, queue string) set {
	f.t.Helper()
	n := r.counts()[queue][0]
	found, last := set{}, map[string]string{}
	for _, m := range r.take(f.t, queue, max(n, 1)).next(n) {
		body := string(m.Message.Body)
		if found[body] {
			f.t.Errorf("%s is twice in %s", body, queue)
		}
		found[body] = true
		sender, _, _ := strings.Cut(body, ".")
		if queue != dlq && !later(last[sender], body) {
			f.t.Errorf("%s comes after %s in %s", body, last[sender], queue)
		}
		last[sender] = body
	}
	return found
}
