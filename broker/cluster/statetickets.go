package cluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// Tickets is a [ticket.Store] that several nodes share and that survives them.
// A ticket that was used stays used.
//
// Whether a ticket is unused is decided by one compare-and-set, so it is exact.
// The limits are counted here, from what all nodes report: on one node they are
// exact; on several they may be exceeded by what the others mint before this one
// hears of it, usually within some milliseconds.
type Tickets struct{ t *tickets }

var _ ticket.Store = (*Tickets)(nil)

// The keys of the bucket.
const (
	keyTicket = "t." // an unused opaque ticket, or one that was used
	keyNonce  = "u." // a signed ticket that was used
)

// The headers of a ticket, from which all nodes count. They contain no secret:
// the subject is hashed.
const (
	headerSubject = "Hoofbeat-Subject"
	headerBytes   = "Hoofbeat-Bytes"
	headerExpires = "Hoofbeat-Expires"
	headerSource  = "Hoofbeat-Source"
	headerEpoch   = "Hoofbeat-Epoch"
)

// remembered is how much longer a ticket is remembered than it is good, so that
// the clocks of nodes may differ.
const remembered = 2 * time.Minute

type tickets struct {
	b     *bucket
	count *counted
}

func newTickets(b *bucket) *tickets { return &tickets{b: b, count: newCounted()} }

func ticketKey(kind string, k ticket.Key) string {
	return kind + base64.RawURLEncoding.EncodeToString(k[:])
}

// Put implements [ticket.Store].
func (s *Tickets) Put(ctx context.Context, r ticket.Record, l ticket.Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.t.b.room(); err != nil {
		return err
	}
	value, err := encodeTicket(&r)
	if err != nil {
		return fmt.Errorf("%w: %w", ticket.ErrContent, err)
	}
	c := &countedTicket{
		key: ticketKey(keyTicket, r.Key), subject: hashed(r.Subject), source: r.Source, epoch: r.Epoch,
		bytes: int64(len(value)), expires: r.Expires, recheck: r.Principal.Recheck,
	}
	if wait := s.t.count.reserve(c, l, auth.Now()); wait > 0 {
		return &ticket.FullError{RetryAfter: wait}
	}
	_, err = s.t.b.create(ctx, c.key, value, c.header(), r.Expires.Add(remembered))
	if errors.Is(err, errChanged) {
		s.t.count.remove(c.key)
		return ticket.Used
	}
	// Without an answer the ticket may be stored. It counts until it expires.
	return err
}

// Take implements [ticket.Store].
func (s *Tickets) Take(ctx context.Context, k ticket.Key) (ticket.Record, error) {
	key := ticketKey(keyTicket, k)
	e, err := s.t.b.get(ctx, key)
	switch {
	case errors.Is(err, errNone):
		return ticket.Record{}, ticket.Unknown
	case err != nil:
		return ticket.Record{}, err
	case e.purged:
		return ticket.Record{}, ticket.Used
	}
	r, until, err := decodeTicket(e.value)
	if err != nil {
		return ticket.Record{}, err
	}
	r.Key = k
	recheck := s.t.count.recheck(key) // before this node hears that the ticket is gone
	// Whoever removes the entry has the ticket. Without an answer nobody has it.
	err = s.t.b.purge(ctx, key, nil, e.revision, r.Expires.Add(remembered))
	switch {
	case errors.Is(err, errChanged):
		return ticket.Record{Subject: r.Subject}, ticket.Used
	case err != nil:
		return ticket.Record{Subject: r.Subject}, err
	}
	s.t.count.remove(key)
	if recheck != nil { // minted by this process
		r.Principal.Recheck, r.Principal.Expires = recheck, until
	}
	return r, nil
}

// Spend implements [ticket.Store].
func (s *Tickets) Spend(ctx context.Context, u ticket.Use, l ticket.Limits) error {
	now := auth.Now()
	switch {
	case u.Created.Before(s.t.b.made):
		return ticket.TooOld
	case !now.Before(u.Expires):
		return ticket.Expired // it stays expired, so nothing needs to be remembered
	}
	c := &countedTicket{key: ticketKey(keyNonce, u.Key), expires: u.Expires.Add(remembered)}
	if !s.t.count.reserveUse(c, l, now) {
		return ticket.NoRoom
	}
	_, err := s.t.b.create(ctx, c.key, nil, c.header(), c.expires)
	if errors.Is(err, errChanged) {
		return ticket.Used
	}
	return err
}

// drop removes the unused tickets of a user that are of an older epoch, so that
// they take no room. They are invalid without it. It ends with ctx.
func (t *tickets) drop(ctx context.Context, user, source string, epoch uint64) {
	for _, c := range t.count.older(hashed(user), source, epoch) {
		e, err := t.b.get(ctx, c.key)
		if err == nil && !e.purged {
			err = t.b.purge(ctx, c.key, nil, e.revision, c.expires.Add(remembered))
		}
		if err == nil || errors.Is(err, errChanged) || errors.Is(err, errNone) {
			t.count.remove(c.key)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// follower counts what all nodes report.
func (t *tickets) follower() follower {
	return follower{filter: ">", headersOnly: true, begin: t.count.begin, current: t.count.current, change: func(e entry) {
		if !strings.HasPrefix(e.key, keyTicket) && !strings.HasPrefix(e.key, keyNonce) {
			return
		}
		if e.purged {
			t.count.remove(e.key)
			return
		}
		t.count.add(counts(e))
	}}
}

// header returns what the other nodes need to count a ticket.
func (c *countedTicket) header() nats.Header {
	h := nats.Header{}
	h.Set(headerExpires, strconv.FormatInt(c.expires.Unix(), 10))
	if c.subject != "" {
		h.Set(headerSubject, c.subject)
		h.Set(headerBytes, strconv.FormatInt(c.bytes, 10))
		h.Set(headerSource, c.source)
		h.Set(headerEpoch, strconv.FormatUint(c.epoch, 10))
	}
	return h
}

// counts is the reverse of header. What is damaged counts as little as it says.
func counts(e entry) *countedTicket {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(e.header.Get(name), 10, 64)
		return n
	}
	epoch, _ := strconv.ParseUint(e.header.Get(headerEpoch), 10, 64)
	return &countedTicket{
		key: e.key, subject: e.header.Get(headerSubject), bytes: max(number(headerBytes), 0),
		source: e.header.Get(headerSource), epoch: epoch, expires: time.Unix(number(headerExpires), 0),
	}
}

// ticketFormat begins the value of a ticket.
const ticketFormat = 1

func encodeTicket(r *ticket.Record) ([]byte, error) {
	p := *r.Principal
	if p.Recheck != nil {
		// Another process cannot check the credential again.
		p.Expires = earlier(p.Expires, p.Recheck.Unchecked())
	}
	e := encoder{b: make([]byte, 0, 512)}
	e.number(ticketFormat)
	e.text(r.Subject)
	e.text(r.Origin)
	e.time(r.Expires)
	e.text(r.Source)
	e.number(r.Epoch)
	e.time(r.Principal.Expires)
	e.principal(&p)
	return e.b, e.err
}

// decodeTicket returns a ticket, and when its principal expires for a process
// that can check the credential again.
func decodeTicket(b []byte) (r ticket.Record, until time.Time, err error) {
	d := decoder{b: b}
	if d.number() != ticketFormat {
		return ticket.Record{}, time.Time{}, errDamaged
	}
	r = ticket.Record{Subject: d.text(), Origin: d.text(), Expires: d.time(), Source: d.text(), Epoch: d.number()}
	until = d.time()
	r.Principal = d.principal()
	if d.err != nil || len(d.b) > 0 {
		return ticket.Record{}, time.Time{}, errDamaged
	}
	return r, until, nil
}

// earlier returns the earlier of two times, of which the first may be zero,
// which means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
