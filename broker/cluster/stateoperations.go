package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Operations is a [webflow.Store] that several nodes share and that survives
// them: announced operations, who waits for them, results and their
// acknowledgement.
type Operations struct{ b *bucket }

var _ webflow.Store = (*Operations)(nil)

// The keys of the bucket.
const (
	keyOperation = "o." // a record, by its webSocketId
	keyName      = "n." // the webSocketId of a record that is Named, by its ID
)

// headerWebSocketID names the record that was deleted, so that nodes which have
// it know: the key is a hash. Its value is base64.
const headerWebSocketID = "Hoofbeat-Operation"

// expiredMemory is how long a record is kept after its operation has ended, so
// that a broker that was down so long still reports the end. The Flow deletes it
// then; the engine's clock only cleans up.
const expiredMemory = 24 * time.Hour

// deletedMemory is how long the key of a deleted record is known as deleted, for
// nodes that were not connected.
const deletedMemory = 10 * time.Minute

// Create implements [webflow.Store].
func (s *Operations) Create(ctx context.Context, r *webflow.Record) error {
	if err := s.b.room(); err != nil {
		return err
	}
	value, err := encodeRecord(r)
	if err != nil {
		return err
	}
	name, err := s.name(ctx, r)
	if err != nil {
		return err
	}
	revision, err := s.b.put(ctx, operationKey(r.WebSocketID), value, nil, 0, kept(r))
	if errors.Is(err, errChanged) {
		return webflow.ErrExists
	}
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, r, name); err != nil {
		if errors.Is(err, webflow.ErrExists) {
			_ = s.purge(ctx, r.WebSocketID, revision) // what stays is not confirmed to anybody, and expires
		}
		return err
	}
	r.Revision = revision
	return nil
}

// Update implements [webflow.Store].
func (s *Operations) Update(ctx context.Context, r *webflow.Record) error {
	value, err := encodeRecord(r)
	if err != nil {
		return err
	}
	key := operationKey(r.WebSocketID)
	if r.Revision == 0 { // to the engine it would mean that there is none
		return s.lost(ctx, key)
	}
	var old *webflow.Record
	var name uint64
	if r.Named {
		// Otherwise it would take the name from a record that it does not replace.
		if old, err = s.at(ctx, key, r.Revision); err != nil {
			return err
		}
		if !old.Named || old.ID != r.ID || old.Expires != r.Expires {
			if name, err = s.name(ctx, r); err != nil {
				return err
			}
		}
	}
	revision, err := s.b.publish(ctx, key, value, nil, r.Revision, kept(r))
	if errors.Is(err, errChanged) {
		return s.lost(ctx, key)
	}
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, r, name); err != nil {
		if errors.Is(err, webflow.ErrExists) {
			s.restore(ctx, old, revision)
		}
		return err
	}
	r.Revision = revision
	return nil
}

// restore undoes an update of a record that did not get its name.
func (s *Operations) restore(ctx context.Context, old *webflow.Record, revision uint64) {
	if value, err := encodeRecord(old); err == nil { // it was read from there
		_, _ = s.b.publish(ctx, operationKey(old.WebSocketID), value, nil, revision, kept(old)) // the update is not confirmed to anybody
	}
}

// Delete implements [webflow.Store]. The name of the record stays until it
// expires: it leads nowhere.
func (s *Operations) Delete(ctx context.Context, r *webflow.Record) error {
	key := operationKey(r.WebSocketID)
	if r.Revision == 0 {
		return s.lost(ctx, key)
	}
	old, err := s.at(ctx, key, r.Revision) // a deletion is an entry, too
	if err != nil {
		return err
	}
	err = s.purge(ctx, old.WebSocketID, r.Revision)
	if errors.Is(err, errChanged) {
		return s.lost(ctx, key)
	}
	if err == nil && old.Named {
		s.unname(ctx, old)
	}
	return err
}

// purge removes a record that has this revision.
func (s *Operations) purge(ctx context.Context, webSocketID string, revision uint64) error {
	id := base64.RawURLEncoding.EncodeToString([]byte(webSocketID))
	return s.b.purge(ctx, operationKey(webSocketID), nats.Header{headerWebSocketID: {id}}, revision, auth.Now().Add(deletedMemory))
}

// at returns the record of a key, if it has this revision.
func (s *Operations) at(ctx context.Context, key string, revision uint64) (*webflow.Record, error) {
	e, err := s.b.get(ctx, key)
	switch {
	case errors.Is(err, errNone) || err == nil && e.purged:
		return nil, webflow.ErrUnknown
	case err != nil:
		return nil, err
	case e.revision != revision:
		return nil, webflow.ErrConflict
	}
	return decodeRecord(e)
}

// lost returns the error of a step that lost a race.
func (s *Operations) lost(ctx context.Context, key string) error {
	e, err := s.b.get(ctx, key)
	switch {
	case errors.Is(err, errNone) || err == nil && e.purged:
		return webflow.ErrUnknown
	case err != nil:
		return err
	}
	return webflow.ErrConflict
}

// Get implements [webflow.Store].
func (s *Operations) Get(ctx context.Context, webSocketID string) (*webflow.Record, error) {
	e, err := s.b.get(ctx, operationKey(webSocketID))
	switch {
	case errors.Is(err, errNone) || err == nil && e.purged:
		return nil, webflow.ErrUnknown
	case err != nil:
		return nil, err
	}
	return decodeRecord(e)
}

// Find implements [webflow.Store].
func (s *Operations) Find(ctx context.Context, id string) (*webflow.Record, error) {
	e, err := s.b.get(ctx, nameKey(id))
	switch {
	case errors.Is(err, errNone) || err == nil && e.purged:
		return nil, webflow.ErrUnknown
	case err != nil:
		return nil, err
	}
	return s.named(ctx, e, id)
}

// named returns the record that a name leads to. A step that was interrupted
// leaves names that lead nowhere.
func (s *Operations) named(ctx context.Context, name entry, id string) (*webflow.Record, error) {
	r, err := s.Get(ctx, string(name.value))
	if err == nil && (!r.Named || r.ID != id) {
		return nil, webflow.ErrUnknown
	}
	return r, err
}

// name makes the ID of a record lead to it, if it is Named, and returns the
// revision of the name. The error is webflow.ErrExists if the ID leads to another
// record. Until the record is there, another one can take the name over, as from
// a step that was interrupted: see confirm.
func (s *Operations) name(ctx context.Context, r *webflow.Record) (revision uint64, _ error) {
	if r.ID == "" {
		return 0, nil
	}
	e, err := s.b.get(ctx, nameKey(r.ID))
	var last uint64
	switch {
	case errors.Is(err, errNone):
	case err != nil:
		return 0, err
	default:
		last = e.revision
		if !e.purged && string(e.value) != r.WebSocketID {
			if _, err := s.named(ctx, e, r.ID); err == nil {
				return 0, webflow.ErrExists
			} else if !errors.Is(err, webflow.ErrUnknown) {
				return 0, err
			}
		}
	}
	if !r.Named {
		return 0, nil
	}
	return s.writeName(ctx, r, last)
}

// confirm writes the name once more, now that the record is there. If another
// record took it over in between, the error is webflow.ErrExists. If another one
// is about to, because it did not see this record, it fails.
func (s *Operations) confirm(ctx context.Context, r *webflow.Record, name uint64) error {
	if name == 0 {
		return nil
	}
	_, err := s.writeName(ctx, r, name)
	return err
}

// writeName makes the name lead to the record, if the entry has the given
// revision. That it has another one proves nothing: it may be of a write for the
// same record that was carried out late or twice.
func (s *Operations) writeName(ctx context.Context, r *webflow.Record, last uint64) (revision uint64, _ error) {
	revision, err := s.b.publish(ctx, nameKey(r.ID), []byte(r.WebSocketID), nil, last, kept(r).Add(webflow.MaxTTL))
	if !errors.Is(err, errChanged) {
		return revision, err
	}
	e, err := s.b.get(ctx, nameKey(r.ID))
	switch {
	case err == nil && !e.purged && string(e.value) == r.WebSocketID:
		return e.revision, nil
	case err == nil || errors.Is(err, errNone):
		return 0, webflow.ErrExists // of somebody who names it at this moment
	}
	return 0, err
}

// unname removes the name of a record that was deleted. Nothing depends on it.
func (s *Operations) unname(ctx context.Context, r *webflow.Record) {
	e, err := s.b.get(ctx, nameKey(r.ID))
	if err == nil && !e.purged && string(e.value) == r.WebSocketID {
		_ = s.b.purge(ctx, nameKey(r.ID), nil, e.revision, auth.Now().Add(deletedMemory))
	}
}

// Watch implements [webflow.Store].
func (s *Operations) Watch(ctx context.Context, changed func(webflow.Change)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := s.b.watch(ctx, keyOperation+">", false, func(e entry) {
		if e.purged {
			if id, err := base64.RawURLEncoding.DecodeString(e.header.Get(headerWebSocketID)); err == nil && len(id) > 0 {
				changed(webflow.Change{Record: &webflow.Record{WebSocketID: string(id), Revision: e.revision}, Deleted: true})
			}
			return
		}
		r, err := decodeRecord(e)
		if err != nil {
			cancel(err)
			return
		}
		changed(webflow.Change{Record: r})
	}, func() { changed(webflow.Change{Current: true}) })
	if cause := context.Cause(ctx); errors.Is(cause, errDamaged) {
		return cause
	}
	return err
}

func operationKey(webSocketID string) string { return keyOperation + hashed(webSocketID) }
func nameKey(id string) string               { return keyName + hashed(id) }

// kept returns until when a record must be kept.
func kept(r *webflow.Record) time.Time { return time.Unix(0, r.Expires).Add(expiredMemory) }

// recordFormat is the version of an encoded record. A version that is not known
// is not read.
const recordFormat = 1

// encodedRecord is how a record is written: its fields by name, and the secret
// as text.
type encodedRecord struct {
	*webflow.Record
	Format    int
	Revision  uint64 `json:",omitempty"` // that of the entry counts
	PollToken []byte
}

var errNotText = errors.New("the record has text that is not UTF-8")

func encodeRecord(r *webflow.Record) ([]byte, error) {
	for _, s := range []string{r.WebSocketID, r.ID, r.Owner.User, r.Session, r.User, r.Result} {
		if strings.ToValidUTF8(s, "") != s {
			return nil, errNotText
		}
	}
	return json.Marshal(encodedRecord{Record: r, Format: recordFormat, PollToken: r.PollToken[:]})
}

func decodeRecord(e entry) (*webflow.Record, error) {
	x := encodedRecord{Record: new(webflow.Record)}
	if err := json.Unmarshal(e.value, &x); err != nil || x.Format != recordFormat || len(x.PollToken) != len(x.Record.PollToken) {
		return nil, errDamaged
	}
	copy(x.Record.PollToken[:], x.PollToken)
	x.Record.Revision = e.revision
	return x.Record, nil
}
