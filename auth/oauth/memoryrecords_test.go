package oauth

import (
	"context"
	"errors"
	"sync"
	"time"
)

// memoryRecords are Records in memory, behind hooks: before runs before each
// operation and after it when it has taken effect. An error of before means that
// nothing has happened; an error of after loses the answer.
type memoryRecords struct {
	mu            sync.Mutex
	records       map[string]kept
	revision      uint64
	watchers      []*recordWatcher
	before, after func(op, kind string) error
}

type kept struct {
	value    []byte
	revision uint64
}

type recordWatcher struct {
	kind    string
	changed func(string, []byte, uint64)
}

func newMemoryRecords() *memoryRecords { return &memoryRecords{records: make(map[string]kept)} }

// set replaces the hooks, which may be nil.
func (m *memoryRecords) set(before, after func(op, kind string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before, m.after = before, after
}

func (m *memoryRecords) do(ctx context.Context, op, kind string, step func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before != nil {
		if err := m.before(op, kind); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	step()
	if m.after != nil {
		return m.after(op, kind)
	}
	return nil
}

func recordName(kind, name string) string { return kind + "\x00" + name }

func (m *memoryRecords) write(kind, name string, value []byte) uint64 {
	m.revision++
	key := recordName(kind, name)
	if value == nil {
		delete(m.records, key)
	} else {
		m.records[key] = kept{value, m.revision}
	}
	for _, w := range m.watchers {
		if w.kind == kind {
			w.changed(key, value, m.revision)
		}
	}
	return m.revision
}

func (m *memoryRecords) Create(ctx context.Context, kind, name string, value []byte, _ time.Time) (revision uint64, err error) {
	err = m.do(ctx, "create", kind, func() {
		if _, exists := m.records[recordName(kind, name)]; !exists {
			revision = m.write(kind, name, value)
		}
	})
	return revision, err
}

func (m *memoryRecords) Get(ctx context.Context, kind, name string) (value []byte, revision uint64, err error) {
	err = m.do(ctx, "get", kind, func() {
		r := m.records[recordName(kind, name)]
		value, revision = r.value, r.revision
	})
	return value, revision, err
}

func (m *memoryRecords) Update(ctx context.Context, kind, name string, value []byte, revision uint64, _ time.Time) (now uint64, err error) {
	err = m.do(ctx, "update", kind, func() {
		if r := m.records[recordName(kind, name)]; r.revision == revision && revision > 0 {
			now = m.write(kind, name, value)
		}
	})
	return now, err
}

func (m *memoryRecords) Remove(ctx context.Context, kind, name string, revision uint64) (removed bool, err error) {
	err = m.do(ctx, "remove", kind, func() {
		if r := m.records[recordName(kind, name)]; r.revision == revision && revision > 0 {
			m.write(kind, name, nil)
			removed = true
		}
	})
	return removed, err
}

func (m *memoryRecords) Watch(ctx context.Context, kind string, changed func(string, []byte, uint64), current func()) error {
	w := &recordWatcher{kind, changed}
	err := m.do(ctx, "watch", kind, func() {
		for key, r := range m.records {
			if len(key) > len(kind) && key[:len(kind)+1] == kind+"\x00" {
				changed(key, r.value, r.revision)
			}
		}
		current()
		m.watchers = append(m.watchers, w)
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.watchers {
		if m.watchers[i] == w {
			m.watchers = append(m.watchers[:i:i], m.watchers[i+1:]...)
			break
		}
	}
	return ctx.Err()
}

var errRecords = errors.New("no response from stream")
