package auth

import (
	"context"
	"fmt"
	"time"
)

// A Keeper stores what [Revocations] decide, so that it survives the process
// and reaches all processes that share it. Package broker/cluster has one.
//
// Whatever is stored the owner of the Keeper passes to [Revocations.Apply] of
// each process, in the order of the revisions, beginning with all that was
// stored before the process began. It may do so before Keep returns, or after.
type Keeper interface {
	// Keep stores an event, whose Source and Epoch are not set, and returns its
	// revision, which is greater than those of all events that were stored
	// before, by any process. Any error means that the event may not have been
	// stored. ctx may have no deadline; Keep must return in a few seconds.
	Keep(ctx context.Context, e Event) (revision uint64, err error)
}

// NewKeptRevocations returns Revocations that keep what they decide. source
// names the place where the Keeper counts the revisions: all processes that
// share it have the same, and no other place does. Use it when everything that
// was stored before has been passed to Apply.
func NewKeptRevocations(source string, k Keeper) *Revocations {
	v := NewRevocations()
	v.source, v.keeper = source, k
	return v
}

// keep stores a decision of this process before it makes it known. What may not
// have been stored takes effect here all the same, and is not confirmed.
func (v *Revocations) keep(ctx context.Context, e Event) error {
	revision, err := v.keeper.Keep(ctx, e)
	if err == nil && (revision == 0 || revision > maxEpoch) {
		err = fmt.Errorf("its revision is %d", revision)
	}
	v.mu.Lock()
	if err != nil {
		v.suspect(e, Now())
		v.tell(e)
		return fmt.Errorf("%w: %w", ErrNotKept, err)
	}
	if e.User != "" {
		e.Source, e.Epoch = v.source, revision
	}
	v.learn(e, Now())
	v.tell(e)
	return nil
}

// suspect makes a decision take effect that may not have been stored, so that
// its revision is not known. The caller holds v.mu.
func (v *Revocations) suspect(e Event, now time.Time) {
	if e.User == "" {
		v.learn(e, now)
		return
	}
	u := v.users[e.User]
	v.moment++
	u.moment, u.doubt = v.moment, true
	if e.Revocation.User != "" {
		u.revoked = latest(u.revoked, e.Revocation.At)
	}
	v.users[e.User] = u
}
