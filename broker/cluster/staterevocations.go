package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth"
)

// keeper is an [auth.Keeper]: the revocations and epochs that all nodes share.
// The revision of an entry is the epoch that it began.
type keeper struct {
	b *bucket

	mu      sync.Mutex
	pending map[string]uint64 // decisions of this node that are being stored, by their id: their revision, once it is known
	// own are ends of sessions that are stored and that the watch has not
	// reported yet. Of all else, what is known is not told again.
	own map[string]struct{}
}

func newKeeper(b *bucket) *keeper {
	return &keeper{b: b, pending: make(map[string]uint64), own: make(map[string]struct{})}
}

// maxOwn limits own: the watch may have broken.
const maxOwn = 1024

var _ auth.Keeper = (*keeper)(nil)

// The keys of the bucket. A user has two, so that a later epoch does not
// replace what is known of the revocation.
const (
	keyUser       = "r." // the latest revocation of a user
	keyEpoch      = "e." // the latest epoch that began without a revocation
	keyCredential = "c." // a revoked credential
	keySession    = "s." // a session that is ended
)

// headerDecision is the id of the decision that an entry is.
const headerDecision = "Hoofbeat-Decision"

// sessionMemory is how long the end of a session is kept: until all nodes have
// heard of it. Nobody can come back with the id of a session.
const sessionMemory = 2 * time.Minute

// keepPatience is how long a decision waits for the store.
const keepPatience = 5 * time.Second

// decision is the value of an entry.
type decision struct {
	User       string    `json:"user,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Session    string    `json:"session,omitempty"`
	At         time.Time `json:"at,omitzero"`    // of the revocation
	Until      time.Time `json:"until,omitzero"` // of the credential
	Decided    time.Time `json:"decided"`
}

// source names the place where the epochs are counted: this bucket.
func (k *keeper) source() string { return k.b.id }

// Keep implements [auth.Keeper].
func (k *keeper) Keep(ctx context.Context, e auth.Event) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, keepPatience)
	defer cancel()
	key, d := decide(e)
	id := rand.Text()
	k.mu.Lock()
	k.pending[id] = 0
	k.mu.Unlock()
	revision, err = k.store(ctx, key, d, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := k.pending[id]
	delete(k.pending, id)
	switch {
	case err != nil && seen > 0: // the answer was lost, but the watch has reported it
		return seen, nil
	case err == nil && seen == 0 && d.Session != "":
		if len(k.own) >= maxOwn {
			clear(k.own)
		}
		k.own[id] = struct{}{}
	}
	return revision, err
}

// store replaces the entry of a key. What the present one knows stays known.
func (k *keeper) store(ctx context.Context, key string, d *decision, id string) (uint64, error) {
	for {
		var last uint64
		e, err := k.b.get(ctx, key)
		switch {
		case errors.Is(err, errNone):
		case err != nil:
			return 0, err
		default:
			if last = e.revision; !e.purged {
				if err := d.merge(e.value); err != nil {
					return 0, err
				}
			}
		}
		value, err := json.Marshal(d)
		if err != nil {
			return 0, err
		}
		revision, err := k.b.publish(ctx, key, value, nats.Header{headerDecision: {id}}, last, d.forgotten(auth.Now()))
		if !errors.Is(err, errChanged) {
			return revision, err
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

// decide returns the entry that an event becomes.
func decide(e auth.Event) (key string, d *decision) {
	r := &e.Revocation
	d = &decision{User: e.User, Credential: r.Credential, Session: r.Session, At: r.At.UTC(), Until: r.Until.UTC(), Decided: auth.Now().UTC()}
	switch {
	case r.Credential != "":
		return keyCredential + hashed(r.Credential), d
	case r.Session != "":
		return keySession + hashed(r.Session), d
	case r.User != "":
		return keyUser + hashed(e.User), d
	}
	return keyEpoch + hashed(e.User), d
}

// merge takes over what an earlier decision about the same says: the later
// times count.
func (d *decision) merge(value []byte) error {
	var old decision
	if err := json.Unmarshal(value, &old); err != nil {
		return errDamaged
	}
	if old.At.After(d.At) {
		d.At = old.At
	}
	if d.Credential != "" && (old.Until.IsZero() || !d.Until.IsZero() && old.Until.After(d.Until)) {
		d.Until = old.Until
	}
	return nil
}

// forgotten returns when the engine may forget an entry, or the zero time. It is
// later than the revocation is needed: by then no ticket is left that was minted
// with the credential or with an older epoch.
func (d *decision) forgotten(now time.Time) time.Time {
	unused := now.Add(auth.RevocationMemory + remembered)
	switch {
	case d.Session != "":
		return now.Add(sessionMemory)
	case d.Credential != "":
		if d.Until.IsZero() && !strings.HasPrefix(d.Credential, auth.TicketCredential) {
			return time.Time{}
		}
		if until := d.Until.Add(remembered); until.After(unused) {
			return until
		}
		return unused
	case d.At.IsZero(): // only an epoch
		return unused
	}
	return time.Time{} // credentials of any age may come
}

// event returns the event that an entry stands for.
func (d *decision) event(key, source string, revision uint64) auth.Event {
	e := auth.Event{Decided: d.Decided}
	switch {
	case strings.HasPrefix(key, keyCredential):
		e.Revocation = auth.Revocation{Credential: d.Credential, At: d.At, Until: d.Until}
	case strings.HasPrefix(key, keySession):
		e.Revocation = auth.Revocation{Session: d.Session, At: d.At}
	default:
		e.User, e.Epoch, e.Source = d.User, revision, source
		if strings.HasPrefix(key, keyUser) {
			e.Revocation = auth.Revocation{User: d.User, At: d.At}
		}
	}
	return e
}

// follower applies what all nodes have decided. What this node is storing at
// the moment is left to Keep.
func (k *keeper) follower(v *auth.Revocations, failed func(error)) follower {
	return follower{filter: ">", begin: func() {}, current: func() {}, change: func(e entry) {
		if e.purged || e.key == keyIdentity {
			return
		}
		if id := e.header.Get(headerDecision); k.isPending(id, e.revision) {
			return
		}
		var d decision
		err := json.Unmarshal(e.value, &d)
		if err == nil {
			err = v.Apply(d.event(e.key, k.source(), e.revision))
		}
		if err != nil {
			failed(err)
		}
	}}
}

// isPending reports whether Keep is storing this decision or has done so, and
// notes that it is stored.
func (k *keeper) isPending(id string, revision uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, own := k.own[id]; own {
		delete(k.own, id)
		return true
	}
	if _, pending := k.pending[id]; !pending {
		return false
	}
	k.pending[id] = revision
	return true
}
