package webflow

import (
	"context"
	"net/netip"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker"
)

// A share counts the unannounced operations that one user, or all anonymous
// sessions of one address, have created on this node, so that one client cannot
// use up MaxOperations.
type share struct {
	key        shareKey
	operations int
}

type shareKey struct {
	user    string
	network netip.Addr
}

// takeUp creates an unannounced operation that c waits for, and counts it
// against the client of r. The caller has the lock, which takeUp releases.
func (f *Flow) takeUp(ctx context.Context, id string, c *client, r *broker.Request) (*operation, error) {
	p, next := r.Principal, f.unannounced(id)
	if !f.mayRegister(next, p, c.session, "") || int(c.count) >= f.o.MaxPerSession {
		return nil, ErrUnknown
	}
	_, scoped := f.scope(p, next)
	next.setSession(c.session, p, scoped)
	if p.HasRole(auth.RoleBackend) {
		return f.create(ctx, next)
	}
	key := shareKey{user: p.Name}
	if p.Anonymous() {
		key.network = httpsec.Network(r.Remote.Addr())
	}
	s := f.shares[key]
	if s == nil {
		s = &share{key: key}
		f.shares[key] = s
	}
	if s.operations >= f.o.MaxPerUser {
		return nil, ErrFull
	}
	s.operations++
	op, err := f.create(ctx, next)
	if err != nil || !op.rec.Unannounced {
		f.uncount(s)
		return op, err
	}
	f.shareOf[op] = s
	return op, nil
}

// giveBack stops counting an operation against its share. The caller has the
// lock.
func (f *Flow) giveBack(op *operation) {
	if s := f.shareOf[op]; s != nil {
		f.uncount(s)
		delete(f.shareOf, op)
	}
}

// uncount takes one operation from a share. The caller has the lock.
func (f *Flow) uncount(s *share) {
	if s.operations--; s.operations == 0 && f.shares[s.key] == s {
		delete(f.shares, s.key)
	}
}
