package webflow

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
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

// An operation is what this node keeps of an Operation: its record, and what
// waits for it here. Flow.mu guards everything. There may be a million
// operations, so the fields are packed.
type operation struct {
	rec  *Record    // the latest that this node knows
	at   *client    // the session connected here that waits, nil if there is none or if it is elsewhere
	next *operation // of the same client, registered before this one

	expires int64 // when the operation ends, on the clock of Flow.now
	grace   int64 // when the operation counts as abandoned, 0 = no session was lost
	due     int64 // when this node acts on the earlier of expires and grace
	index   int32 // position in the schedule, -1 when the operation has ended

	outstanding int16 // deliveries of this registration that await an ACK
	writing     int16 // goroutines here that are writing the record

	home       bool // this node was the last to write the record: it acts first when it is due
	ready      bool // the reply to the registration was sent or is held
	pending    bool // the result must be handed to the registered session
	offered    bool // the result was handed out; newer than the record
	acked      bool // the owner acknowledged it; newer than the record
	refused    bool // the owner sent NACK: deliver again after the next registration
	delivering bool // a goroutine is handing out the result
	again      bool // that goroutine must check once more when it is done
}

// ended reports whether this node has removed the operation.
func (op *operation) ended() bool { return op.index < 0 }

func (op *operation) id() string { return op.rec.WebSocketID }

// copy returns a copy of the record to make the next one of, with what this
// node has not written yet. The caller has the lock.
func (op *operation) copy() *Record {
	next := *op.rec
	next.Offered, next.Acked = op.offered, op.acked
	return &next
}

// unsaved reports whether this node knows more than the record says.
func (op *operation) unsaved() bool {
	return op.offered != op.rec.Offered || op.acked != op.rec.Acked
}

// save writes what this node knows about the result. If the Store fails, it is
// repeated later. The caller has the lock, which save releases.
func (f *Flow) save(op *operation) {
	if !op.unsaved() || f.present(op) != nil {
		return
	}
	if _, err := f.change(f.patient(), op, func(*Record) (*Record, error) { return op.copy(), nil }); err != nil {
		f.postpone(op)
	}
}

// MayWait reports whether the user p owns an announced operation and may
// therefore get a ticket bound to it. It is meant for
// [github.com/hoofbeat/hoofbeat/auth/ticket.HandlerOptions].MayWait. It returns false if the operation does not
// exist, has expired, belongs to another user, or has an [Owner] that is not a
// user: in the last case the ticket itself would make its holder the owner.
//
// The error is ErrUnavailable, ErrClosed or that of ctx.
func (f *Flow) MayWait(ctx context.Context, p *auth.Principal, operationID string) (bool, error) {
	if p.Anonymous() || !validText(operationID, auth.MaxOperationBytes) {
		return false, nil
	}
	derived := f.derive(operationID)
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, done := f.bounded(ctx)
	defer done()
	op, err := f.lookUpID(ctx, operationID, derived)
	if err == nil {
		err = f.check(ctx, op, func(now *Record) bool { return now.ID == operationID && now.Owner.User == p.Name })
	}
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

// check returns ErrUnknown if the record of op is not what ok wants, in the
// Store as well. The caller has the lock, which check may release.
func (f *Flow) check(ctx context.Context, op *operation, ok func(*Record) bool) error {
	_, err := f.change(ctx, op, func(now *Record) (*Record, error) {
		if !ok(now) {
			return nil, ErrUnknown
		}
		return nil, nil
	})
	return err
}

// number returns the number of a new result.
func (f *Flow) number() uint64 {
	f.numbers++
	return f.run | uint64(f.numbers)
}

// messageID returns the message-id of the result with this number: the same on
// every node.
func messageID(number uint64) string {
	var run [4]byte
	binary.BigEndian.PutUint32(run[:], uint32(number>>32))
	b := hex.AppendEncode(append(make([]byte, 0, 24), "wf-"...), run[:])
	return string(strconv.AppendUint(append(b, '-'), number&math.MaxUint32, 10))
}

// event returns the event of a record.
func event(r *Record) Event {
	return Event{
		OperationID: r.ID, WebSocketID: r.WebSocketID, Session: r.Session, User: r.User, Result: r.Result,
		Reason: r.Reason, Code: int(r.Code), Clean: r.Gone && r.Code != codeLost,
	}
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
