package client

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// Receipt is the server's RECEIPT for one frame, which may still be under way.
// Its methods are safe for concurrent use.
type Receipt struct {
	conn    *Conn
	id      string
	arrived chan struct{}
}

// Wait waits until the server has confirmed the frame, and returns nil then. If
// the connection ends before, it returns the reason, as [Conn.Err] does: an
// [*ErrorFrame] if the server refused the frame. If ctx ends before, it returns
// the cause; the RECEIPT may still come, and Wait may be called again. With a
// ctx that has ended, Wait says whether the RECEIPT has come. Always
// limit the wait: some servers confirm no SUBSCRIBE, such as Spring's simple
// broker.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.arrived:
		return nil
	case <-r.conn.Done():
	case <-ctx.Done():
	}
	select {
	case <-r.arrived: // it came before the end
		return nil
	case <-r.conn.Done():
		return cmp.Or(r.conn.Err(), error(stomp.ErrClosedUnexpectedly))
	default:
		return fmt.Errorf("client: wait for a receipt: %w", context.Cause(ctx))
	}
}

// SubscribeWithReceipt is Subscribe with a receipt: the returned Receipt says
// when the server has made the subscription, so that a message sent after that
// arrives. Read the subscription while you wait, since messages may come before
// the RECEIPT. The error is [ErrOptions] for an option that sets `receipt`,
// which belongs to this method, or `reply-to`, for which go-stomp sends no
// SUBSCRIBE.
func (c *Conn) SubscribeWithReceipt(destination string, ack stomp.AckMode, opts ...func(*frame.Frame) error) (*stomp.Subscription, *Receipt, error) {
	r := &Receipt{conn: c, id: receiptPrefix + strconv.FormatUint(lastReceipt.Add(1), 10), arrived: make(chan struct{})}
	opts = append(opts[:len(opts):len(opts)], func(f *frame.Frame) error {
		for _, name := range []string{frame.Receipt, stomp.ReplyToHeader} {
			if _, ok := f.Header.Contains(name); ok {
				return fmt.Errorf("%w: SUBSCRIBE with a receipt cannot have the header %s", ErrOptions, name)
			}
		}
		f.Header.Add(receiptAlias, r.id)
		return nil
	})
	c.session.expect(r)
	sub, err := c.Subscribe(destination, ack, opts...)
	if err != nil {
		c.session.received(r.id)
		return nil, nil, err
	}
	return sub, r, nil
}

// UnsubscribeWithReceipt ends a subscription: it sends UNSUBSCRIBE with the
// headers that opts add, such as `durable`, and returns a Receipt that says when
// the server has ended the subscription. Read the subscription until go-stomp
// closes its channel, which happens at about the same time. Use it instead of
// the subscription's own Unsubscribe, which often misses the RECEIPT of a fast
// server and then waits for its whole time limit. The error is
// stomp.ErrCompletedSubscription for a subscription that has ended or is being
// ended, and [ErrOptions] for an option that sets `receipt`, which belongs to
// this method. Do not use it for a subscription with `reply-to`, of which the
// server knows nothing.
func (c *Conn) UnsubscribeWithReceipt(sub *stomp.Subscription, opts ...func(*frame.Frame) error) (*Receipt, error) {
	// go-stomp gives UNSUBSCRIBE the id of the subscription as receipt, and ends
	// the subscription when it reads the RECEIPT.
	r := &Receipt{conn: c, id: escapeID.Replace(sub.Id()), arrived: make(chan struct{})}
	if !sub.Active() || !c.session.expect(r) {
		return nil, stomp.ErrCompletedSubscription
	}
	// Send is the method that takes any frame and waits for nothing. It keeps
	// the order of what this client sends.
	err := c.Send("", "", nil, func(f *frame.Frame) error {
		f.Command = frame.UNSUBSCRIBE
		f.Header = frame.NewHeader(frame.Id, sub.Id())
		for _, opt := range opts {
			if err := opt(f); err != nil {
				return err
			}
		}
		if _, ok := f.Header.Contains(frame.Receipt); ok {
			return fmt.Errorf("%w: UNSUBSCRIBE with a receipt cannot have the header receipt", ErrOptions)
		}
		return nil
	})
	if err != nil {
		c.session.received(r.id)
		return nil, err
	}
	return r, nil
}

// escapeID encodes an id as go-stomp does.
var escapeID = strings.NewReplacer("\\", `\\`, "\r", `\r`, "\n", `\n`, ":", `\c`)

const (
	// receiptAlias is the name of `receipt` on the way through go-stomp, which
	// would take the RECEIPT of a SUBSCRIBE for the end of the subscription. A
	// RECEIPT with an id that go-stomp does not know is ignored by it.
	receiptAlias = "hoofbeat-client-receipt"
	// receiptPrefix keeps our ids apart from those of go-stomp, which are
	// numbers.
	receiptPrefix = "hoofbeat-client-"
)

var lastReceipt atomic.Uint64

// withReceipt gives a SUBSCRIBE of go-stomp its `receipt`. Other frames do not
// change.
func withReceipt(p []byte) []byte {
	if !bytes.HasPrefix(p, []byte(frame.SUBSCRIBE+"\n")) {
		return p
	}
	return bytes.Replace(p, []byte("\n"+receiptAlias+":"), []byte("\n"+frame.Receipt+":"), 1)
}

// receiptID returns the receipt-id in the lines of head.
func receiptID(head []byte) string {
	for line := range bytes.Lines(head) {
		if value, ok := bytes.CutPrefix(line, []byte(frame.ReceiptId+":")); ok {
			return string(bytes.TrimRight(value, "\r\n"))
		}
	}
	return ""
}

// expect remembers a receipt until it is received. It returns false if one with
// this id is expected already.
func (s *session) expect(r *Receipt) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receipts == nil {
		s.receipts = make(map[string]chan struct{})
	}
	if s.receipts[r.id] != nil {
		return false
	}
	s.receipts[r.id] = r.arrived
	return true
}

// received notes a RECEIPT. Ids that nobody expects are go-stomp's.
func (s *session) received(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if arrived, ok := s.receipts[id]; ok {
		delete(s.receipts, id)
		close(arrived)
	}
}
