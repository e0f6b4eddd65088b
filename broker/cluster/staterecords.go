package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Records keeps logins, sessions and tokens for an oauth.Client: it implements
// oauth.Records. It is single-use where the Client needs that: of all calls
// that remove a revision, on all nodes, one succeeds.
type Records struct{ b *bucket }

// keyRecord begins the keys of records in the bucket. The kind follows, and
// then the hash of the name.
const keyRecord = "l."

func recordKey(kind, name string) string { return keyRecord + kind + "." + hashed(name) }

// removedMemory is how long a record that was removed is known as removed, for
// nodes that were not connected.
const removedMemory = 10 * time.Minute

// Create stores a new record and returns its revision, or 0 if there is one of
// this kind with this name. until is when it may be forgotten; the zero time
// means never.
func (s *Records) Create(ctx context.Context, kind, name string, value []byte, until time.Time) (revision uint64, err error) {
	if err := s.b.room(); err != nil {
		return 0, err
	}
	return unchanged(s.b.put(ctx, recordKey(kind, name), value, nil, 0, forgotten(until)))
}

// Update replaces the record with this revision and returns the new one, or 0
// if it has been replaced or removed meanwhile.
func (s *Records) Update(ctx context.Context, kind, name string, value []byte, revision uint64, until time.Time) (uint64, error) {
	if revision == 0 {
		return 0, nil
	}
	return unchanged(s.b.publish(ctx, recordKey(kind, name), value, nil, revision, forgotten(until)))
}

func unchanged(revision uint64, err error) (uint64, error) {
	if errors.Is(err, errChanged) {
		return 0, nil
	}
	return revision, err
}

// Get returns a record and its revision, which is 0 if there is none.
func (s *Records) Get(ctx context.Context, kind, name string) (value []byte, revision uint64, err error) {
	e, err := s.b.get(ctx, recordKey(kind, name))
	switch {
	case errors.Is(err, errNone) || err == nil && e.purged:
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	}
	return e.value, e.revision, nil
}

// Remove removes the record with this revision. It reports whether this call
// did: of all calls for a revision at most one reports true.
func (s *Records) Remove(ctx context.Context, kind, name string, revision uint64) (removed bool, err error) {
	if revision == 0 {
		return false, nil
	}
	err = s.b.purge(ctx, recordKey(kind, name), nil, revision, auth.Now().Add(removedMemory))
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

// Watch reports each record of a kind, calls current, and then reports each
// change, until ctx ends or the store fails. value is nil if the record was
// removed.
func (s *Records) Watch(ctx context.Context, kind string, changed func(key string, value []byte, revision uint64), current func()) error {
	return s.b.watch(ctx, keyRecord+kind+".>", false, func(e entry) {
		switch {
		case e.purged:
			e.value = nil
		case e.value == nil:
			e.value = []byte{}
		}
		changed(e.key, e.value, e.revision)
	}, current)
}

// forgotten returns when the engine may forget a record. The zero time means
// never.
func forgotten(until time.Time) time.Time {
	if until.IsZero() {
		return until
	}
	return until.Add(remembered)
}
