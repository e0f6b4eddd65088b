package webflow

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// A Record is an operation as all nodes see it: what a [Store] keeps. A record
// does not change; each step of the operation replaces it by the next one. It
// holds nothing that belongs to one node, such as timers or sessions.
//
// All fields can be compared, copied and encoded. PollToken is a secret.
type Record struct {
	WebSocketID string // the page's name; no other record has it
	ID          string // the program's name, "" while only a page has named the operation
	Owner       Owner
	PollToken   [16]byte // proves the latest registration or ticket exchange; zero: none so far
	Expires     int64    // when the operation ends, in nanoseconds since 1970

	// The session that registered last. It waits unless Gone.
	Session string // "" if there was none
	User    string // name of its principal, "" if anonymous
	Abandon int64  // when a lost session counts as abandoned, in nanoseconds since 1970; 0: never

	// The latest result.
	Result string // "" while there is none
	Number uint64 // identifies the result: see messageID

	// Revision is set by the Store. It is greater than that of every record
	// stored before, of this operation or another.
	Revision uint64

	Registration uint32 // counts the registrations, and other events after which old acknowledgements do not count
	Interims     int32  // interim results so far

	Code        uint16        // close code of a session that is Gone
	Reason      broker.Reason // why it ended
	Gone        bool          // Session has ended
	Scoped      bool          // Session has a ticket minted for the operation
	Unannounced bool          // created by the mode Open
	Named       bool          // ID cannot be derived from WebSocketID: Store.Find must find it
	Terminal    bool          // Result is final
	Offered     bool          // Result was handed to a page
	Acked       bool          // the owner acknowledged Result
}

func (r *Record) id() string { return r.WebSocketID }

// registered reports whether a connected session waits for the operation.
func (r *Record) registered() bool { return r.Session != "" && !r.Gone }

// knows reports whether s is the poll token. An operation has none before its
// first registration or ticket exchange.
func (r *Record) knows(s string) bool {
	return s != "" && r.PollToken != [16]byte{} && subtle.ConstantTimeCompare([]byte(s), []byte(r.pollToken())) == 1
}

func (r *Record) pollToken() string { return base64.RawURLEncoding.EncodeToString(r.PollToken[:]) }

// newPollToken invalidates the previous poll token.
func (r *Record) newPollToken() { _, _ = rand.Read(r.PollToken[:]) } // never fails

// same reports whether two records differ at most in their revision.
func (r *Record) same(other *Record) bool {
	x, y := *r, *other
	x.Revision, y.Revision = 0, 0
	return x == y
}

// unannounced returns a new record for the mode Open.
func (f *Flow) unannounced(webSocketID string) *Record {
	return &Record{WebSocketID: webSocketID, Owner: Owner{Anyone: true}, Expires: wall() + int64(f.o.TTL), Unannounced: true}
}

// named sets the program's name of the operation. derived is the webSocketId
// derived from it.
func (r *Record) named(id, derived string) {
	r.ID, r.Named = id, r.WebSocketID != derived
}

// setSession makes a session the one that waits.
func (r *Record) setSession(session string, p *auth.Principal, scoped bool) {
	r.Session, r.User, r.Scoped = session, "", scoped
	if !p.Anonymous() {
		r.User = p.Name
	}
	r.Gone, r.Reason, r.Code, r.Abandon = false, 0, 0, 0
	r.Registration++
	r.newPollToken()
}

// lose records the end of the session that waited.
func (r *Record) lose(reason broker.Reason, code uint16, abandon int64) {
	r.Gone, r.Reason, r.Code = true, reason, code
	if !r.Terminal { // otherwise nothing is left to abandon
		r.Abandon = abandon
	}
}

// report sets the result.
func (r *Record) report(m meaning, number uint64) {
	if !m.terminal {
		r.Interims++
	}
	r.Result, r.Terminal, r.Number, r.Offered, r.Acked = m.text, m.terminal, number, false, false
	if m.terminal {
		r.Abandon = 0
	}
}

// adopt turns an unannounced operation into the one that o announces, and
// detaches a session that the new owner does not have.
func (r *Record) adopt(o *Operation, derived string) {
	if !r.Unannounced {
		return
	}
	r.Unannounced, r.Owner = false, o.Owner
	r.named(o.ID, derived)
	if r.registered() && r.ownedBySession() {
		return
	}
	// The previous owner must not poll any more, and the new owner still gets a
	// result that the previous one acknowledged.
	r.newPollToken()
	r.Acked = false
	r.Registration++
	if r.registered() {
		r.Session, r.User, r.Scoped = "", "", false
	}
}

// ownedBySession reports whether the session that has registered may keep an
// operation whose owner has changed.
func (r *Record) ownedBySession() bool {
	switch {
	case r.Owner.User != "":
		return r.User == r.Owner.User
	case r.Owner.Anyone:
		return true
	}
	return r.Scoped && !r.Named // the ticket's scope was compared with the webSocketId
}

// is reports whether the operation has this id.
func (f *Flow) is(r *Record, id string) bool {
	if r.ID != "" {
		return r.ID == id
	}
	return f.derive(id) == r.WebSocketID
}

// scope reports whether p is bound to operations, and whether r is one of them.
func (f *Flow) scope(p *auth.Principal, r *Record) (bound, includes bool) {
	if p == nil {
		return false, false
	}
	for _, s := range p.Scopes {
		if id, ok := strings.CutPrefix(s, auth.OperationScope); ok {
			bound = true
			if f.is(r, id) {
				return true, true
			}
		}
	}
	return bound, false
}

// mayRegister reports whether p may register the operation. Registrations and
// polls share this rule.
func (f *Flow) mayRegister(r *Record, p *auth.Principal, session, pollToken string) bool {
	bound, mine := f.scope(p, r)
	switch {
	case bound && !mine, !bound && p.Anonymous() && p.HasRole(auth.RoleBackend):
		return false
	case r.Owner.User != "":
		return !p.Anonymous() && p.Name == r.Owner.User
	case !r.Owner.Anyone:
		return mine
	case !r.registered() || f.o.Policy == LastWins:
		return true
	}
	return r.Session == session || !p.Anonymous() && r.User == p.Name || r.knows(pollToken)
}
