package broker

import (
	"slices"
	"sync"
	"time"
)

// A durableSaver saves the positions of durable subscriptions. There is at most
// one write of each on its way; what changes meanwhile goes with the next one.
type durableSaver struct {
	store DurableStore

	mu      sync.Mutex
	changed sync.Cond
	dirty   []*keptList
	flying  int // writes without an answer
	failed  map[*keptList]struct{}
	deletes map[string]StoredDurable // that failed
	stopped bool
	closing bool
	ended   chan struct{}
}

// saveAgain is how long after a failure a position is saved again.
const saveAgain = time.Second

func newDurableSaver(store DurableStore) *durableSaver {
	v := &durableSaver{store: store, failed: make(map[*keptList]struct{}), deletes: make(map[string]StoredDurable), ended: make(chan struct{})}
	v.changed.L = &v.mu
	return v
}

// update changes a position and has it saved. The caller may hold locks.
func (v *durableSaver) update(l *keptList, change func(*position)) {
	v.mu.Lock()
	change(&l.position)
	v.mark(l)
	v.mu.Unlock()
}

// settle settles a message. The store learns of it when that is saved: a message
// that it has removed must not be one that the position calls open.
func (v *durableSaver) settle(l *keptList, sequence uint64, change func(*position)) {
	v.mu.Lock()
	if l.removed {
		v.mu.Unlock()
		v.store.Settled(sequence)
		return
	}
	l.position.settle(sequence)
	change(&l.position)
	l.settled = append(l.settled, sequence)
	v.mark(l)
	v.mu.Unlock()
}

// mark has a position saved. The caller holds the lock.
func (v *durableSaver) mark(l *keptList) {
	l.version++
	if l.marked || l.flying || l.removed {
		return
	}
	l.marked = true
	v.dirty = append(v.dirty, l)
	v.changed.Broadcast()
}

// certain returns the completion of what has changed until now, nil if it is
// saved.
func (v *durableSaver) certain(l *keptList) *completion {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l.removed || l.saved == l.version && !l.flying {
		return nil
	}
	later := new(completion)
	l.waiting = append(l.waiting, waitingSave{l.version, later})
	return later
}

// waitingSave waits until a version of a position is saved.
type waitingSave struct {
	version uint64
	later   *completion
}

func (v *durableSaver) run() {
	defer close(v.ended)
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		for len(v.dirty) == 0 && !v.stopped {
			v.changed.Wait()
		}
		if v.stopped {
			return
		}
		list := v.dirty
		v.dirty = nil
		for _, l := range list {
			l.marked = false
			if l.removed {
				continue
			}
			version, p, settled := l.version, l.position.stored(), l.settled
			l.settled = nil
			l.flying = true
			v.flying++
			v.mu.Unlock()
			v.store.Save(l.def.ID, p, func(err error) { v.answered(l, version, settled, err) })
			v.mu.Lock()
		}
	}
}

// answered is called when a write has ended. After a failure it is repeated
// later, but whoever waits for it is told.
func (v *durableSaver) answered(l *keptList, version uint64, settled []uint64, err error) {
	var told []*completion
	v.mu.Lock()
	l.flying = false
	v.flying--
	l.waiting = slices.DeleteFunc(l.waiting, func(w waitingSave) bool {
		if w.version > version && err == nil {
			return false
		}
		told = append(told, w.later)
		return true
	})
	switch {
	case l.removed:
	case err != nil:
		l.settled = append(settled, l.settled...)
		settled = nil
		if len(v.failed)+len(v.deletes) == 0 && !v.closing {
			time.AfterFunc(saveAgain, v.again)
		}
		v.failed[l] = struct{}{}
	default:
		l.saved = version
		if l.version != version {
			l.version-- // mark counts it again
			v.mark(l)
		}
	}
	v.changed.Broadcast()
	v.mu.Unlock()
	for _, sequence := range settled {
		v.store.Settled(sequence)
	}
	for _, later := range told {
		later.end(err)
	}
}

// again repeats what has failed, unless the saver has ended.
func (v *durableSaver) again() {
	v.mu.Lock()
	if v.stopped {
		v.mu.Unlock()
		return
	}
	for l := range v.failed {
		v.mark(l)
	}
	clear(v.failed)
	deletes := v.deletes
	v.deletes = make(map[string]StoredDurable)
	v.mu.Unlock()
	for _, d := range deletes {
		v.delete(d)
	}
}

// forget ends the saving of a position whose subscription is removed, and
// deletes it from the store.
func (v *durableSaver) forget(l *keptList) *completion {
	v.mu.Lock()
	l.removed = true
	waiting, settled := l.waiting, l.settled
	l.waiting, l.settled = nil, nil
	delete(v.failed, l)
	v.mu.Unlock()
	for _, sequence := range settled {
		v.store.Settled(sequence)
	}
	for _, w := range waiting {
		w.later.end(nil) // there is nothing left that could come again
	}
	return v.delete(l.def)
}

func (v *durableSaver) delete(d StoredDurable) *completion {
	later := new(completion)
	v.mu.Lock()
	v.flying++
	v.mu.Unlock()
	v.store.Delete(d, func(err error) {
		v.mu.Lock()
		v.flying--
		if err != nil {
			if len(v.failed)+len(v.deletes) == 0 && !v.closing {
				time.AfterFunc(saveAgain, v.again)
			}
			v.deletes[d.ID] = d
		}
		v.changed.Broadcast()
		v.mu.Unlock()
		later.end(err)
	})
	return later
}

// close saves what has changed, for which it waits at most that long, and ends
// the saver. What has failed is repeated once. It returns how many subscriptions
// have changes that are not saved.
func (v *durableSaver) close(limit time.Duration) (unsaved int) {
	end := time.Now().Add(limit)
	stop := time.AfterFunc(limit, func() {
		v.mu.Lock()
		v.changed.Broadcast()
		v.mu.Unlock()
	})
	defer stop.Stop()
	v.mu.Lock()
	v.closing = true
	v.mu.Unlock()
	v.again()
	v.mu.Lock()
	for (v.flying > 0 || len(v.dirty) > 0) && time.Now().Before(end) {
		v.changed.Wait()
	}
	v.stopped = true
	unsaved = max(v.flying, len(v.dirty)+len(v.failed)+len(v.deletes))
	v.changed.Broadcast()
	v.mu.Unlock()
	<-v.ended
	return unsaved
}

// gave says that a message was delivered. It is saved with what comes next: while
// a session uses the subscription, the store knows that there may be more.
func (v *durableSaver) gave(l *keptList, sequence uint64) {
	v.mu.Lock()
	l.position.given = max(l.position.given, sequence)
	v.mu.Unlock()
}

// stored adds a message to the positions of those that want it, and returns those
// that still do.
func (v *durableSaver) stored(list []*durable, sequence uint64) []*durable {
	v.mu.Lock()
	defer v.mu.Unlock()
	kept := list[:0]
	for _, d := range list {
		if !d.kept.removed {
			d.kept.position.add(sequence)
			kept = append(kept, d)
		}
	}
	return kept
}
