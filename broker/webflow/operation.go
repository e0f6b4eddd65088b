package webflow

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// Operation describes something that a page waits for.
type Operation struct {
	// ID is the program's name for the operation: 1 to 256 bytes of printable
	// text.
	ID string
	// WebSocketID is the page's name for the operation, compared byte for byte.
	// If it is empty, [Flow.Open] uses [Flow.WebSocketID] of ID.
	WebSocketID string
	// Owner says who may wait for the operation.
	Owner Owner
	// TTL is how long the operation waits. Default [Options.TTL], at most
	// [MaxTTL].
	TTL time.Duration
}

// Owner says who may wait for an operation. The zero Owner admits each session
// with a ticket minted for the operation ([github.com/hoofbeat/hoofbeat/auth/ticket.Grant].Operation); the scope of
// such a ticket is "operation:" followed by the operation's ID. This suits
// login pages, where there is no user yet. Only the program issues such
// tickets, through [github.com/hoofbeat/hoofbeat/auth/ticket.Issuer.Mint], the admin API or
// [github.com/hoofbeat/hoofbeat/auth/ticket.HandlerOptions].MayWait; [auth.Foreign] strips the scope from other
// issuers' tokens.
type Owner struct {
	// User is the name of the owning principal.
	User string
	// Anyone gives the operation to the first session that registers it, for as
	// long as that session is connected. Any client that knows the webSocketId
	// can claim it.
	Anyone bool
}

// token is a poll token.
type token [16]byte

func (t *token) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// An operation is the state of an Operation. Flow.mu guards everything. There
// may be a million operations, so the fields are packed.
type operation struct {
	id          string // "" while unknown
	webSocketID string
	owner       Owner

	at    *client // the session that registered last, connected or not
	token token   // of the latest registration, or of a caller that polls without one

	expires int64 // when the operation ends, on the clock of Flow.now
	grace   int64 // when the operation counts as abandoned, 0 = no session was lost
	due     int64 // the earlier of expires and grace
	polled  int64 // when the owner last polled
	index   int32 // position in the schedule

	registration uint32 // number of the current registration
	result       result

	share       *share // that the operation counts against, if it is unannounced
	unannounced bool   // created by the mode Open
	ready       bool   // the reply to the registration was sent or is held
	delivering  bool   // a goroutine is handing out the result
	again       bool   // that goroutine must check once more when it is done
}

// result is the latest result of an operation.
type result struct {
	text        string // "" = no result yet
	number      uint64 // identifies the result in its message-id
	interims    int32  // interim results so far
	outstanding int32  // deliveries of this registration that await an ACK
	terminal    bool
	pending     bool // must be handed to the registered session
	offered     bool // was handed out, in this registration or an earlier one
	acked       bool // the owner acknowledged it: no more deliveries
	refused     bool // the owner sent NACK: deliver again after the next registration
}

// registered reports whether a connected session waits for the operation.
func (op *operation) registered() bool { return op.at != nil && !op.at.gone }

// unannounced returns a new operation for the mode Open.
func (f *Flow) unannounced(webSocketID string) *operation {
	return &operation{webSocketID: webSocketID, owner: Owner{Anyone: true}, expires: f.now() + int64(f.o.TTL), unannounced: true}
}

// is reports whether op has this id.
func (f *Flow) is(op *operation, id string) bool {
	if op.id != "" {
		return op.id == id
	}
	return f.derive(id) == op.webSocketID
}

// scope reports whether p is bound to operations, and whether op is one of
// them.
func (f *Flow) scope(p *auth.Principal, op *operation) (bound, includes bool) {
	if p == nil {
		return false, false
	}
	for _, s := range p.Scopes {
		if id, ok := strings.CutPrefix(s, auth.OperationScope); ok {
			bound = true
			if f.is(op, id) {
				return true, true
			}
		}
	}
	return bound, false
}

// mayRegister reports whether p may register op. Registrations and polls share
// this rule.
func (f *Flow) mayRegister(op *operation, p *auth.Principal, session, pollToken string) bool {
	bound, mine := f.scope(p, op)
	switch {
	case bound && !mine, !bound && p.Anonymous() && p.HasRole(auth.RoleBackend):
		return false
	case op.owner.User != "":
		return !p.Anonymous() && p.Name == op.owner.User
	case !op.owner.Anyone:
		return mine
	case !op.registered() || f.o.Policy == LastWins:
		return true
	}
	return op.at.session == session ||
		!p.Anonymous() && op.at.principal != nil && op.at.principal.Name == p.Name ||
		op.knows(pollToken)
}

// MayWait reports whether the user p owns an announced operation and may
// therefore get a ticket bound to it. It is meant for
// [github.com/hoofbeat/hoofbeat/auth/ticket.HandlerOptions].MayWait. It returns false if the operation does not
// exist, has expired, belongs to another user, or has an [Owner] that is not a
// user: in the last case the ticket itself would make its holder the owner.
func (f *Flow) MayWait(p *auth.Principal, operationID string) bool {
	if p.Anonymous() || !validText(operationID, auth.MaxOperationBytes) {
		return false
	}
	derived := f.derive(operationID)
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.find(operationID, derived)
	return op != nil && op.id == operationID && op.owner.User == p.Name
}

// knows reports whether s is the poll token of op. An operation has none before
// its first registration or ticket exchange.
func (op *operation) knows(s string) bool {
	return s != "" && op.token != (token{}) && subtle.ConstantTimeCompare([]byte(s), []byte(op.token.String())) == 1
}

// register makes c the session that waits for op. It returns the session that
// waited before, for which the caller must flush the notice. The caller has the
// lock.
func (f *Flow) register(op *operation, c *client) (before *client) {
	r := &op.result
	if op.at == c {
		r.pending = r.pending || r.text != "" && !r.acked && r.outstanding == 0 && !op.delivering
		r.refused = false
		return nil
	}
	if op.registered() {
		before = op.at
		f.supersede(op)
	}
	op.at = c
	c.operations = append(c.operations, op)
	f.registered++
	op.registration++
	_, _ = rand.Read(op.token[:]) // never fails
	op.ready = false
	r.outstanding, r.refused = 0, false
	r.pending = r.text != "" && !r.acked
	op.grace = 0
	f.reschedule(op)
	f.post(f.o.Registered, f.event(op, c))
	return before
}

// report sets the result of op. The caller has the lock.
func (f *Flow) report(op *operation, m meaning) {
	f.numbers++
	interims := op.result.interims
	if !m.terminal {
		interims++
	}
	op.result = result{text: m.text, terminal: m.terminal, number: f.numbers, interims: interims, pending: true}
	if m.terminal { // nothing is left to abandon; give the page time to fetch it
		op.grace = 0
		op.expires = max(op.expires, f.now()+int64(f.o.TTL))
		f.reschedule(op)
	}
}

func (f *Flow) event(op *operation, c *client) Event {
	e := Event{OperationID: op.id, WebSocketID: op.webSocketID, Result: op.result.text}
	if c != nil {
		e.Session, e.Reason, e.Code, e.Clean = c.session, c.reason, int(c.code), c.gone && c.code != codeLost
		if c.principal != nil {
			e.User = c.principal.Name
		}
	}
	return e
}

// Event is the argument of each callback in [Options].
type Event struct {
	OperationID string // "" in the mode Open, while only the page has named the operation
	WebSocketID string
	Session     string // session that registered last; "" if there was none
	User        string // name of the session's principal, "" if anonymous
	Result      string // latest result, "" if there is none

	// Reason is why the session ended. It is set for Lost and Abandoned, and
	// for an Expired after them.
	Reason broker.Reason
	// Code is the WebSocket close code that the client sent: 1005 if it gave
	// none, 1000 for DISCONNECT, and 1006 if the client vanished or the broker
	// ended the session. Reason then says more.
	Code int
	// Clean is true if the client closed the session itself, that is, for every
	// Code but 1006. A reload is clean (1001); a phone that falls asleep is
	// not.
	Clean bool
}
