package webflow

import (
	"net/netip"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker"
)

// A share counts the unannounced operations of one user, or of all anonymous
// sessions of one address, so that one client cannot use up MaxOperations.
type share struct {
	key        shareKey
	operations int
}

type shareKey struct {
	user    string
	network netip.Addr
}

// takeUpFor adds an unannounced operation and counts it against the client of
// r. It returns false if a limit is reached. The caller has the lock.
func (f *Flow) takeUpFor(op *operation, r *broker.Request) bool {
	p := r.Principal
	if p.HasRole(auth.RoleBackend) {
		return f.add(op, "") == nil
	}
	key := shareKey{user: p.Name}
	if p.Anonymous() {
		key.network = httpsec.Network(r.Remote.Addr())
	}
	s := f.shares[key]
	if s == nil {
		s = &share{key: key}
	}
	if s.operations >= f.o.MaxPerUser || f.add(op, "") != nil {
		return false
	}
	s.operations++
	f.shares[key], op.share = s, s
	return true
}

// giveBack stops counting an operation against its share. The caller has the
// lock.
func (f *Flow) giveBack(op *operation) {
	s := op.share
	if s == nil {
		return
	}
	op.share = nil
	if s.operations--; s.operations == 0 {
		delete(f.shares, s.key)
	}
}
