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

// Operation is something that a page waits for.
type Operation struct {
	// ID is the program's name for it: 1 to 256 bytes of printable text.
	ID string
	// WebSocketID is the page's name for it, compared byte for byte. Empty means
	// [Flow.WebSocketID] of ID.
	WebSocketID string
	// Owner says who may wait for it.
	Owner Owner
	// TTL is how long it waits. Default [Options.TTL], at most [MaxTTL].
	TTL time.Duration
}

// Owner says whose an operation is. The zero Owner is whoever has a ticket that
// was minted for the operation ([auth.Grant].Operation): its scope is "operation:"
// followed by the operation's ID. That works on a login page, where there is no
// user yet. Only the program gives such a ticket away, by [auth.Tickets.Mint], the
// admin API or [auth.HandlerOptions].MayWait: [auth.Foreign] strips the scope from
// the tokens of others.
type Owner struct {
	// User is the name of the principal that owns it.
	User string
	// Anyone leaves it to who registers it first, for as long as he is
	// connected. Whoever knows the webSocketId can be that.
	Anyone bool
}

// operationScope begins the scope that binds a session to one operation, as
// package auth writes it.
const operationScope = "operation:"

// token is a poll token.
type token [16]byte

func (t *token) String() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// An operation is what is kept of an Operation. Everything is guarded by Flow.mu.
// There may be a million, so the fields are packed.
type operation struct {
	id          string // "" while it is not known
	webSocketID string
	owner       Owner

	at    *client // the session that registered it last, gone or not
	token token   // of that registration, or of who polls and has never registered

	expires int64 // when it ends, as Flow.now counts
	grace   int64 // when it is abandoned, 0 if it is not about to be
	due     int64 // the earlier of the two
	polled  int64 // when its owner polled last
	index   int32 // in the schedule

	registration uint32 // numbers the registrations
	result       result

	share       *share // of who took it up unannounced
	unannounced bool   // taken up by the mode Open
	ready       bool   // the reply to the registration is out, or held
	delivering  bool   // somebody is handing out the result
	again       bool   // and shall look once more when he has
}

// result is the latest result of an operation.
type result struct {
	text        string // "" while there is none
	number      uint64 // names it in its message-id
	interims    int32  // how many there have been
	outstanding int32  // deliveries of this registration that wait for an ACK
	terminal    bool
	pending     bool // to be handed to the registered session
	offered     bool // handed out before, in this registration or another
	acked       bool // by the owner: no more deliveries
	refused     bool // by a NACK: offered again when he registers again
}

// registered reports whether a connected session waits for the operation.
func (op *operation) registered() bool { return op.at != nil && !op.at.gone }

// unannounced returns an operation as the mode Open takes it up.
func (f *Flow) unannounced(webSocketID string) *operation {
	return &operation{webSocketID: webSocketID, owner: Owner{Anyone: true}, expires: f.now() + int64(f.o.TTL), unannounced: true}
}

// is reports whether id is the operation's.
func (f *Flow) is(op *operation, id string) bool {
	if op.id != "" {
		return op.id == id
	}
	return f.derive(id) == op.webSocketID
}

// scope says whether p is bound to operations, and whether op is one of them.
func (f *Flow) scope(p *auth.Principal, op *operation) (bound, includes bool) {
	if p == nil {
		return false, false
	}
	for _, s := range p.Scopes {
		if id, ok := strings.CutPrefix(s, operationScope); ok {
			bound = true
			if f.is(op, id) {
				return true, true
			}
		}
	}
	return bound, false
}

// mayRegister says whether op is, or may become, p's. It is the one rule for
// registrations and polls.
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

// MayWait reports whether the owner of an announced operation is the user p, so
// that p may be given a ticket which is bound to it: it is for
// [auth.HandlerOptions].MayWait. It is false for an operation that does not exist
// or has expired, for one of another user, and for one whose [Owner] is not a user:
// then the ticket itself would be what makes somebody the owner.
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

// knows reports whether s is the poll token, which an operation does not have before
// it was registered or a ticket exchanged.
func (op *operation) knows(s string) bool {
	return s != "" && op.token != (token{}) && subtle.ConstantTimeCompare([]byte(s), []byte(op.token.String())) == 1
}

// register makes c the session that waits for op. The session that did so before
// is returned, to be told. The caller has the lock.
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
	if m.terminal { // nothing is left to abandon, and the page gets its time to fetch it
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

// Event is what a callback of [Options] is told.
type Event struct {
	OperationID string // "" in the mode Open, while only the page has named it
	WebSocketID string
	Session     string // that registered, or had; "" if none ever did
	User        string // its principal's name, "" if anonymous
	Result      string // the latest result, "" if there is none

	// How the session ended, for Lost, Abandoned and an Expired after them.
	Reason broker.Reason
	// Code is the WebSocket close code that the client sent, 1005 if it gave
	// none, 1000 for DISCONNECT, and 1006 if it left without a word or the
	// broker ended the session: then Reason says more.
	Code int
	// Clean is set if the client said goodbye: every code but 1006. A reload is
	// clean (1001), a phone that fell asleep is not.
	Clean bool
}
