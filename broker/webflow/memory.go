package webflow

import (
	"context"
	"slices"
	"sync"
)

// Memory is a [Store] in the memory of the process. Several Flows may share
// one.
type Memory struct {
	mu       sync.Mutex // held during calls to the watchers, so that they hear everything in order
	revision uint64
	records  index[*Record]
	named    map[string]*Record // by ID
	watchers []*func(Change)
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{records: newIndex[*Record](), named: make(map[string]*Record)}
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, r *Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.records.get(r.WebSocketID) != nil || m.named[r.ID] != nil {
		return ErrExists
	}
	m.store(r)
	return nil
}

// Update implements Store.
func (m *Memory) Update(ctx context.Context, r *Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := m.at(ctx, r)
	if err != nil {
		return err
	}
	if n := m.named[r.ID]; n != nil && n != old {
		return ErrExists
	}
	if old.Named {
		delete(m.named, old.ID)
	}
	m.store(r)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, r *Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := m.at(ctx, r)
	if err != nil {
		return err
	}
	m.records.remove(old.WebSocketID)
	if old.Named {
		delete(m.named, old.ID)
	}
	m.revision++
	m.report(Change{Record: &Record{WebSocketID: old.WebSocketID, Revision: m.revision}, Deleted: true})
	return nil
}

// at returns the stored record that r replaces. The caller has the lock.
func (m *Memory) at(ctx context.Context, r *Record) (*Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch old := m.records.get(r.WebSocketID); {
	case old == nil:
		return nil, ErrUnknown
	case old.Revision != r.Revision:
		return nil, ErrConflict
	default:
		return old, nil
	}
}

// store gives r its revision, keeps it for Get and, if it must, for Find, and
// reports it. The caller has the lock.
func (m *Memory) store(r *Record) {
	m.revision++
	r.Revision = m.revision
	m.records.put(r)
	if r.Named {
		m.named[r.ID] = r
	}
	m.report(Change{Record: r})
}

func (m *Memory) report(c Change) {
	for _, w := range m.watchers {
		(*w)(c)
	}
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, webSocketID string) (*Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(ctx, m.records.get(webSocketID))
}

// Find implements Store.
func (m *Memory) Find(ctx context.Context, id string) (*Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return found(ctx, m.named[id])
}

func found(ctx context.Context, r *Record) (*Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r == nil {
		return nil, ErrUnknown
	}
	return r, nil
}

// Watch implements Store. It returns when ctx ends.
func (m *Memory) Watch(ctx context.Context, changed func(Change)) error {
	m.mu.Lock()
	for _, r := range slices.SortedFunc(m.records.all(), byRevision) {
		changed(Change{Record: r})
	}
	changed(Change{Current: true})
	m.watchers = append(m.watchers, &changed)
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = slices.DeleteFunc(m.watchers, func(w *func(Change)) bool { return w == &changed })
	return ctx.Err()
}

func byRevision(x, y *Record) int {
	if x.Revision < y.Revision {
		return -1
	}
	return 1
}
