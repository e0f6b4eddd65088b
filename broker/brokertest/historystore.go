package brokertest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// HistoryStore is a [broker.HistoryStore] in memory, for tests. It survives the
// brokers that use it. It answers on goroutines of its own.
type HistoryStore struct {
	mu      sync.Mutex
	entries map[string]*keptHistory
	faults  func(int) HistoryFault
	calls   int
}

// HistoryFault is what goes wrong with one call of Append, Fetch or Remove.
type HistoryFault struct {
	Err    error           // is returned
	Stored bool            // although everything was done
	Wait   <-chan struct{} // for which Append and Remove wait first, if not nil
}

// NewHistoryStore returns an empty store.
func NewHistoryStore() *HistoryStore { return &HistoryStore{entries: make(map[string]*keptHistory)} }

// SetFaults has the store ask before each call of Append, Fetch and Remove what
// is to go wrong with it, by the number of the call.
func (s *HistoryStore) SetFaults(f func(call int) HistoryFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

func (s *HistoryStore) fault() HistoryFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.faults == nil {
		return HistoryFault{}
	}
	return s.faults(s.calls)
}

// keptHistory is one entry.
type keptHistory struct {
	mu     sync.Mutex
	limits broker.History
	epoch  string
	list   []broker.HistoryRecord
	last   uint64
	full   int
	once   map[string]time.Time
	logs   []*keptLog
	gone   broker.HistoryRemoval // the last one, if there was one
}

// keptLog is an entry in use by one broker. The calls of its feed wait in work
// and are made one at a time.
type keptLog struct {
	s    *HistoryStore
	e    *keptHistory
	feed broker.HistoryFeed

	mu      sync.Mutex
	work    []func()
	running bool
	idle    sync.Cond
	closed  bool
}

// Open implements [broker.HistoryStore].
func (s *HistoryStore) Open(_ context.Context, h broker.History, feed broker.HistoryFeed) (broker.HistoryLog, error) {
	s.mu.Lock()
	e := s.entries[h.Destination]
	if e == nil {
		e = &keptHistory{epoch: strings.ToLower(rand.Text()[:8]), full: h.Messages, once: make(map[string]time.Time)}
		s.entries[h.Destination] = e
	}
	s.mu.Unlock()
	l := &keptLog{s: s, e: e, feed: feed}
	l.idle.L = &l.mu
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setLimits(h)
	e.begin(l)
	e.logs = append(e.logs, l)
	return l, nil
}

// begin tells a broker what is kept. The caller holds the lock.
func (e *keptHistory) begin(l *keptLog) {
	first := e.last + 1
	if len(e.list) > 0 {
		first = e.list[0].Number
	}
	l.feed.Begin(broker.HistoryBeginning{Epoch: e.epoch, First: first, Last: e.last, Full: e.full})
	list := slices.Clone(e.list)
	for i := range list {
		list[i].Message = nil
	}
	if e.gone.Number > 0 {
		n, _ := slices.BinarySearchFunc(list, e.gone.Number, byNumber)
		l.feed.Kept(list[:n])
		l.feed.Removed(e.gone)
		list = list[n:]
	}
	l.feed.Kept(list)
	for once, at := range e.once {
		l.feed.Remembered(once, at)
	}
	l.feed.Ready()
}

func (e *keptHistory) setLimits(h broker.History) {
	e.limits = h
	if h.Messages > 0 && (e.full <= 0 || h.Messages < e.full) {
		e.full = h.Messages
	}
	e.trim()
}

// trim drops what exceeds the limits. The caller holds the lock.
func (e *keptHistory) trim() {
	counts, bytes := make(map[string]int), int64(0)
	kept := e.list[:0:0]
	for _, r := range slices.Backward(e.list) {
		counts[r.Destination]++
		bytes += int64(r.Size)
		if e.limits.Messages > 0 && counts[r.Destination] > e.limits.Messages {
			bytes -= int64(r.Size)
			continue
		}
		if e.limits.Bytes > 0 && bytes > e.limits.Bytes || e.limits.Age > 0 && time.Since(r.Time) > e.limits.Age+time.Minute {
			break
		}
		kept = append(kept, r)
	}
	slices.Reverse(kept)
	e.list = kept
}

// do has a call made, after those before it.
func (l *keptLog) do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.work = append(l.work, f)
	if !l.running {
		l.running = true
		go l.run()
	}
}

func (l *keptLog) run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.work) > 0 {
		f := l.work[0]
		l.work = l.work[1:]
		l.mu.Unlock()
		f()
		l.mu.Lock()
	}
	l.running = false
	l.idle.Broadcast()
}

var errClosedHistory = errors.New("brokertest: the history is closed")

// Append implements [broker.HistoryLog].
func (l *keptLog) Append(puts []broker.HistoryPut, done func(error)) {
	fault := l.s.fault()
	l.do(func() {
		if fault.Wait != nil {
			<-fault.Wait
		}
		if fault.Err != nil && !fault.Stored {
			done(fault.Err)
			return
		}
		l.mu.Lock()
		closed := l.closed
		l.mu.Unlock()
		if closed {
			done(errClosedHistory)
			return
		}
		if !l.e.store(l, puts, func() { done(fault.Err) }) {
			done(broker.ErrDuplicate)
		}
	})
}

// store stores messages and hands them over to all brokers. The other brokers
// get copies. It returns false if one of them was stored before.
func (e *keptHistory) store(by *keptLog, puts []broker.HistoryPut, done func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range puts {
		if at, found := e.once[p.Once]; found && time.Since(at) < 2*time.Minute {
			return false
		}
	}
	for _, p := range puts {
		if p.Once != "" {
			e.once[p.Once] = time.Now()
		}
	}
	list := make([]broker.HistoryRecord, len(puts))
	for i, p := range puts {
		e.last++
		size := 100 + len(p.Message.Destination) + len(p.Message.Body)
		list[i] = broker.HistoryRecord{Number: e.last, Time: time.Now(), Size: size, Destination: p.Destination, Message: p.Message}
		e.list = append(e.list, list[i])
	}
	e.trim()
	for _, l := range e.logs {
		l.do(func() {
			if l == by {
				l.feed.Stored(list)
				done()
				return
			}
			l.feed.Stored(withoutSettled(list))
		})
	}
	return true
}

func withoutSettled(list []broker.HistoryRecord) []broker.HistoryRecord {
	list = slices.Clone(list)
	for i := range list {
		m := *list[i].Message
		m.Settled = nil
		list[i].Message = &m
	}
	return list
}

// Fetch implements [broker.HistoryLog].
func (l *keptLog) Fetch(_ context.Context, numbers []uint64) ([]*broker.Message, error) {
	fault := l.s.fault()
	if fault.Err != nil {
		return nil, fault.Err
	}
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	found := make([]*broker.Message, len(numbers))
	for i, n := range numbers {
		if at, ok := slices.BinarySearchFunc(l.e.list, n, byNumber); ok {
			m := *l.e.list[at].Message
			m.Settled = nil
			found[i] = &m
		}
	}
	return found, nil
}

func byNumber(r broker.HistoryRecord, n uint64) int { return cmp.Compare(r.Number, n) }

// Remove implements [broker.HistoryLog].
func (l *keptLog) Remove(ctx context.Context, destination string) error {
	fault, result := l.s.fault(), make(chan error, 1)
	l.do(func() {
		if fault.Wait != nil {
			<-fault.Wait
		}
		if fault.Err != nil && !fault.Stored {
			result <- fault.Err
			return
		}
		l.mu.Lock()
		closed := l.closed
		l.mu.Unlock()
		if closed {
			result <- errClosedHistory
			return
		}
		l.e.remove(l, destination, func() { result <- fault.Err })
	})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remove removes a destination and tells all brokers.
func (e *keptHistory) remove(by *keptLog, destination string, done func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = slices.DeleteFunc(slices.Clone(e.list), func(r broker.HistoryRecord) bool { return r.Destination == destination })
	e.last++
	e.epoch = strings.ToLower(rand.Text()[:8])
	e.gone = broker.HistoryRemoval{Destination: destination, Number: e.last, Epoch: e.epoch}
	gone := e.gone
	for _, l := range e.logs {
		l.do(func() {
			l.feed.Removed(gone)
			if l == by {
				done()
			}
		})
	}
}

// SetLimits implements [broker.HistoryLog].
func (l *keptLog) SetLimits(h broker.History) {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.e.setLimits(h)
}

// Renew has the store begin anew with the numbers of an entry, as after a loss:
// it forgets the latest messages.
func (s *HistoryStore) Renew(destination string, lost int) {
	s.mu.Lock()
	e := s.entries[destination]
	s.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.epoch, e.gone = strings.ToLower(rand.Text()[:8]), broker.HistoryRemoval{}
	e.list = e.list[:max(0, len(e.list)-lost)]
	e.last -= uint64(lost) //nolint:gosec // a test knows how many there are
	for _, l := range e.logs {
		l.do(func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.begin(l)
		})
	}
}

// Close implements [broker.HistoryLog].
func (l *keptLog) Close() {
	l.e.mu.Lock()
	l.e.logs = slices.DeleteFunc(l.e.logs, func(x *keptLog) bool { return x == l })
	l.e.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for l.running {
		l.idle.Wait()
	}
}
