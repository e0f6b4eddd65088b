package auth

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/expiring"
)

// Revocations holds what was withdrawn: revoked users and credentials, and the
// credential epochs of users. The broker, its admin API and every issuer of
// tickets in a process share one. That of [NewRevocations] is in memory; a new
// process knows nothing about the revocations of its predecessor. Programs with
// several processes pass what [Revocations.Watch] reports in one of them to
// [Revocations.Apply] of the others. That of [NewKeptRevocations] survives its
// process.
//
// Its size is bounded: it keeps [MaxRevocations] credentials, and one small
// record for each user that was ever revoked or had a new epoch. New entries
// remove a few outdated ones each; there is no goroutine. It is safe for
// concurrent use. Create it with [NewRevocations]; the zero value is not ready.
type Revocations struct {
	source string
	keeper Keeper // nil: in memory only

	mu          sync.RWMutex
	revision    uint64 // of the most recent epoch
	moment      Moment // counts the epochs that began, in the order of this process
	users       map[string]userRecord
	credentials expiring.Set // revoked CredentialIDs
	watchers    []*func(Event)
}

// userRecord is what is known of a user whose credentials were changed or
// revoked.
type userRecord struct {
	epoch     uint64 // the revision of the current epoch
	withdrawn uint64 // the epoch that the most recent revocation of the user began
	moment    Moment // at which the epoch began here
	began     int64  // when the epoch began here, in nanoseconds since 1970
	revoked   time.Time
	doubt     bool // a newer epoch may have begun, or not: the Keeper did not say
}

// Moment is a point in the order of the epochs of one Revocations. Get it from
// [Revocations.Now] before you check a credential, and ask
// [Revocations.Withdrawn] afterwards. It has no meaning for another
// Revocations. The zero Moment is none: it is before every other.
type Moment uint64

// maxEpoch is far beyond every real revision. Epochs above it could wrap
// around.
const maxEpoch = 1 << 62

// NewRevocations returns an empty Revocations with a source of its own.
func NewRevocations() *Revocations {
	return &Revocations{source: rand.Text(), moment: 1, users: make(map[string]userRecord)}
}

// Source names the place where the epochs are counted. Epochs of different
// sources cannot be compared.
func (v *Revocations) Source() string { return v.source }

// Now returns the present moment.
func (v *Revocations) Now() Moment {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.moment
}

// Epoch returns the credential epoch of a user: 0 before the first
// [Revocations.BumpEpoch] or revocation of the user, and greater with each. It
// is a revision, not a time, and only the order of epochs with the same
// [Revocations.Source] has a meaning. A ticket carries the epoch of its user,
// and is invalid when the user has a later one.
func (v *Revocations) Epoch(user string) uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.users[user].epoch
}

// Outdated reports whether a ticket that carries this epoch of a user is
// invalid: the user has a later one, or may have one that could not be kept.
// See [ErrNotKept].
func (v *Revocations) Outdated(user string, epoch uint64) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	u := v.users[user]
	return u.doubt || epoch < u.epoch
}

// EpochBegan returns when this Revocations learned of the user's current epoch,
// or the zero time before the first. Compare it only with times that others
// have signed; otherwise use the epoch.
func (v *Revocations) EpochBegan(user string) time.Time {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if u := v.users[user]; u.epoch > 0 {
		return time.Unix(0, u.began)
	}
	return time.Time{}
}

// BumpEpoch begins a new credential epoch of a user. Call it when the user's
// passcode or another credential changes. When it returns nil, all of the
// user's unused tickets are invalid, including those being minted with the old
// credential. Open sessions stay open; to end them too, call
// [Revocations.Revoke]. The error is ctx's, and nothing has changed then, or
// [ErrNotKept].
func (v *Revocations) BumpEpoch(ctx context.Context, user string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if user == "" { // anonymous principals have no credential to change
		return nil
	}
	return v.announce(ctx, Event{User: user, Local: true})
}

// Revoke takes effect at once: when it returns nil, the subject's credentials
// and unused tickets are rejected, all watchers have been called and, if the
// revocations are kept, it is stored. Revoking again calls the watchers again.
// The error is [ErrRevocation], [ErrRevocationTime] or ctx's, and nothing has
// changed then, or [ErrNotKept].
func (v *Revocations) Revoke(ctx context.Context, r Revocation) error {
	now := Now()
	if r.At.IsZero() {
		r.At = now
	}
	if r.subjects() != 1 {
		return ErrRevocation
	}
	if r.At.After(now.Add(MaxClockSkew)) {
		return ErrRevocationTime
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return v.announce(ctx, Event{Revocation: r, User: r.User, Local: true})
}

// announce makes a decision of this process known.
func (v *Revocations) announce(ctx context.Context, e Event) error {
	if v.keeper != nil {
		return v.keep(ctx, e)
	}
	v.mu.Lock()
	if e.User != "" {
		e.Source, e.Epoch = v.source, v.revision+1
	}
	v.learn(e, Now())
	v.tell(e)
	return nil
}

// Apply makes known here what another process has decided and its watchers have
// reported. Watchers are called with Local false, so that what was learned from
// others is not announced to them again.
//
// Apply ignores what is known already: the same event again, and an older epoch
// of the same [Revocations.Source]. An epoch of another source always begins a
// new epoch here, because the two cannot be compared. An event without a time
// takes the present. The error is [ErrRevocation]; nothing has changed then.
func (v *Revocations) Apply(e Event) error {
	if e.User == "" {
		e.User = e.Revocation.User
	}
	switch n := e.Revocation.subjects(); {
	case n > 1, n == 0 && e.User == "":
		return ErrRevocation
	case n == 1 && e.User != e.Revocation.User:
		return ErrRevocation
	}
	now := Now()
	if e.Revocation.At.IsZero() && e.Revocation.subjects() == 1 {
		e.Revocation.At = now
	}
	e.Local = false
	v.mu.Lock()
	if e.User != "" && (e.Source != v.source || e.Epoch == 0 || e.Epoch > maxEpoch) {
		e.Source, e.Epoch = v.source, v.revision+1
	}
	if !v.learn(e, now) {
		v.mu.Unlock()
		return nil
	}
	v.tell(e)
	return nil
}

// learn makes an event part of the state and reports whether it was new. The
// caller holds v.mu.
func (v *Revocations) learn(e Event, now time.Time) bool {
	r := &e.Revocation
	switch {
	case e.User != "":
		return v.learnUser(e, now)
	case r.Credential != "":
		return v.revokeCredential(r, now)
	}
	return true // a session; nothing of it is kept
}

func (v *Revocations) learnUser(e Event, now time.Time) (news bool) {
	u := v.users[e.User]
	if e.Epoch > u.epoch {
		v.revision = max(v.revision, e.Epoch)
		v.moment++
		u.epoch, u.moment, u.began, u.doubt = e.Epoch, v.moment, e.began(now).UnixNano(), false
		news = true
	}
	if e.Revocation.User != "" {
		u.revoked = latest(u.revoked, e.Revocation.At)
		if e.Epoch > u.withdrawn {
			u.withdrawn, news = e.Epoch, true
		}
	}
	v.users[e.User] = u
	return news
}

// tell calls the watchers. The caller holds v.mu; tell releases it.
func (v *Revocations) tell(e Event) {
	watchers := v.watchers
	v.mu.Unlock()
	for _, fn := range watchers {
		(*fn)(e)
	}
}

// Revoked reports whether p's credential was revoked by its id, or its user was
// revoked at a time after p was issued. Revoking a user does not affect a
// principal with an unknown time of issue, and a nil principal is never
// revoked. Times of issue are often rounded down to seconds, so a credential
// issued in the same second as its user's revocation may be rejected although
// it is newer.
func (v *Revocations) Revoked(p *Principal) bool {
	if p == nil {
		return false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.revoked(p, Now())
}

func (v *Revocations) revoked(p *Principal, now time.Time) bool {
	if p.CredentialID != "" && v.credentials.Until(revocationKey(p.CredentialID)).After(now) {
		return true
	}
	return p.Name != "" && !p.Issued.IsZero() && p.Issued.Before(v.users[p.Name].revoked)
}

// Withdrawn reports whether a credential that was found good after since is no
// longer good: it has expired, it was revoked, or its user has a new epoch or
// may have one that could not be kept. A nil principal is never withdrawn.
func (v *Revocations) Withdrawn(p *Principal, since Moment) bool {
	if p == nil {
		return false
	}
	now := Now()
	v.mu.RLock()
	defer v.mu.RUnlock()
	u := v.users[p.Name]
	return p.Expired(now) || v.revoked(p, now) || u.moment > since || u.doubt
}

// Watch registers fn for every later event: revocations with At filled in, and
// new epochs. fn runs after the event has taken effect and before
// [Revocations.Revoke], [Revocations.BumpEpoch] or [Revocations.Apply] returns,
// on the goroutine of its caller. Several calls may run at once, and fn may
// call the Revocations. After cancel has returned, fn is called only for events
// that had already begun. cancel may be called more than once.
func (v *Revocations) Watch(fn func(Event)) (cancel func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watchers = append(v.watchers, &fn)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		// Make a copy, because tell's caller reads the slice without the lock.
		v.watchers = slices.DeleteFunc(slices.Clone(v.watchers), func(w *func(Event)) bool { return w == &fn })
	}
}
