package store

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// removal removes the messages that no subscription wants any more. It gathers
// them for a moment, so that many in a row are removed by one request. A message
// that is still there after a crash is known as settled by the positions.
type removal struct {
	s *Durables

	mu      sync.Mutex
	changed sync.Cond
	wanted  map[uint64]int // by sequence
	lowest  sequenceHeap   // all of wanted, and some that are not any more
	due     []uint64       // nobody wants them
	busy    bool
	wake    chan struct{}
}

const (
	removeEvery = 50 * time.Millisecond
	// removeEarly is how many messages are removed without waiting.
	removeEarly = 1000
)

func newRemoval(s *Durables) *removal {
	r := &removal{s: s, wanted: make(map[uint64]int), wake: make(chan struct{}, 1)}
	r.changed.L = &r.mu
	return r
}

// stored says how many subscriptions want a message.
func (r *removal) stored(sequence uint64, wanted int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, known := r.wanted[sequence]
	if n += wanted; n <= 0 {
		r.drop(sequence)
		return
	}
	if r.wanted[sequence] = n; !known {
		r.lowest = append(r.lowest, sequence)
		heap.Fix(&r.lowest, len(r.lowest)-1)
		r.shrink()
	}
}

// shrink forgets what is not wanted any more, if it is most of lowest. The caller
// holds the lock.
func (r *removal) shrink() {
	if len(r.lowest) < 1024+2*len(r.wanted) {
		return
	}
	r.lowest = slices.AppendSeq(make(sequenceHeap, 0, len(r.wanted)), maps.Keys(r.wanted))
	heap.Init(&r.lowest)
}

// firstWanted returns the first message that is wanted, and false if none is. The
// caller holds the lock.
func (r *removal) firstWanted() (sequence uint64, any bool) {
	for len(r.lowest) > 0 {
		if _, any = r.wanted[r.lowest[0]]; any {
			return r.lowest[0], true
		}
		heap.Pop(&r.lowest)
	}
	return 0, false
}

// sequenceHeap implements [heap.Interface].
type sequenceHeap []uint64

func (h sequenceHeap) Len() int           { return len(h) }
func (h sequenceHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h sequenceHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sequenceHeap) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *sequenceHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func (r *removal) settled(sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch n, known := r.wanted[sequence]; {
	case !known:
	case n > 1:
		r.wanted[sequence] = n - 1
	default:
		r.drop(sequence)
	}
}

// unwanted says that nobody wants a message.
func (r *removal) unwanted(sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(sequence)
}

// drop has a message removed. The caller holds the lock.
func (r *removal) drop(sequence uint64) {
	delete(r.wanted, sequence)
	r.due = append(r.due, sequence)
	if len(r.due) >= removeEarly {
		r.again()
	}
}

// again has what is due removed now.
func (r *removal) again() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *removal) run() {
	ticks := time.NewTicker(removeEvery)
	defer ticks.Stop()
	for {
		select {
		case <-r.s.ctx.Done():
			return
		case <-ticks.C:
		case <-r.wake:
		}
		if r.s.Err() == nil {
			r.remove(r.s.ctx)
		}
	}
}

// remove removes what is due. What fails stays due.
func (r *removal) remove(ctx context.Context) {
	r.mu.Lock()
	list := r.due
	if len(list) == 0 {
		r.mu.Unlock()
		return
	}
	r.due, r.busy = nil, true
	slices.Sort(list)
	list = slices.Compact(list)
	first, any := r.firstWanted()
	if !any {
		first = list[len(list)-1] + 1
	}
	r.mu.Unlock()

	// All before the first message that is wanted go at once.
	at, _ := slices.BinarySearch(list, first)
	var failed []uint64
	ctx, cancel := context.WithTimeout(ctx, r.s.o.Timeout)
	defer cancel()
	if at > 4 {
		if err := r.removeBefore(ctx, list[at-1]+1); err != nil {
			failed = append(failed, list[:at]...)
		}
		list = list[at:]
	}
	results := make([]error, len(list))
	if err := together(ctx, len(list), func(i int, done func(error)) {
		r.s.control.request("$JS.API.STREAM.MSG.DELETE."+r.s.names.stream, deleteRequest(list[i]), func(m *nats.Msg, err error) {
			if err == nil {
				err = apiAnswer(m, nil)
			}
			if isGone(err) {
				err = nil
			}
			results[i] = err
			done(nil)
		})
	}); err != nil {
		failed = append(failed, list...) // deleting one twice is no error
	} else {
		for i, err := range results {
			if err != nil {
				failed = append(failed, list[i])
			}
		}
	}
	if len(failed) > 0 && r.s.Err() == nil {
		r.s.log.Warn("messages of durable subscriptions that nobody wants could not be removed yet", "messages", len(failed))
	}
	r.mu.Lock()
	r.due = append(r.due, failed...)
	r.busy = false
	r.changed.Broadcast()
	r.mu.Unlock()
}

// removeBefore removes all messages before a sequence.
func (r *removal) removeBefore(ctx context.Context, sequence uint64) error {
	request := fmt.Sprintf(`{"seq":%d}`, sequence)
	m, err := r.s.o.Control.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+r.s.names.stream, []byte(request))
	if err != nil {
		return err
	}
	return apiAnswer(m, nil)
}

// settle removes what is due, for which it takes at most until end.
func (r *removal) settle(end time.Time) {
	if r.s.Err() != nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	r.mu.Lock()
	for r.busy && time.Now().Before(end) {
		r.changed.Wait() // a request ends within its time
	}
	r.mu.Unlock()
	r.remove(ctx)
}
