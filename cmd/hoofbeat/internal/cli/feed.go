package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// feed is what the subscriptions of one command receive.
type feed struct {
	*connection
	messages chan *stomp.Message
	stop     chan struct{}

	confirmed   chan confirmation
	unconfirmed int             // subscriptions of which confirm does not know yet
	patience    context.Context // for the receipts
	impatient   context.CancelFunc
}

// confirmation is how the wait for the receipt of one subscription has ended.
type confirmation struct {
	destination string
	err         error
}

// newFeed returns a feed for this number of subscriptions. room is how many
// messages can wait in it.
func (c *connection) newFeed(ctx context.Context, subscriptions, room int) *feed {
	f := &feed{connection: c, messages: make(chan *stomp.Message, room), stop: make(chan struct{}), confirmed: make(chan confirmation, subscriptions)}
	f.patience, f.impatient = context.WithTimeout(ctx, c.timeout)
	return f
}

func (f *feed) subscribe(ctx context.Context, conn *client.Conn, destination string, mode stomp.AckMode, options ...func(*frame.Frame) error) error {
	err := await(ctx, conn, func() error {
		sub, receipt, err := conn.SubscribeWithReceipt(destination, mode, options...)
		if err == nil {
			go forward(sub, f.messages, f.stop)
			go func() { f.confirmed <- confirmation{destination, receipt.Wait(f.patience)} }()
		}
		return err
	})
	if err == nil {
		f.unconfirmed++
	}
	return err
}

// forward also reads what comes after stop, because go-stomp waits for it.
func forward(sub *stomp.Subscription, to chan<- *stomp.Message, stop <-chan struct{}) {
	for m := range sub.C {
		select {
		case to <- m:
		case <-stop:
		}
	}
}

// confirm says on stderr whether a subscription is confirmed. When the
// connection has ended, the end says why. When the command ends before, it says
// nothing of what is not confirmed yet.
func (f *feed) confirm(c confirmation) {
	f.unconfirmed--
	destination := oneLine(c.destination)
	switch {
	case c.err == nil:
		fmt.Fprintf(f.program.Err, "subscribed to %s\n", destination)
	case errors.Is(c.err, context.DeadlineExceeded):
		fmt.Fprintf(f.program.Err, "no receipt for the subscription to %s within %v: the server may send none, or deny softly (auth.soft_denial)\n", destination, f.timeout)
	}
}

// end stops waiting for receipts and messages. After a success it says which
// other subscriptions have been confirmed.
func (f *feed) end(err error) {
	f.impatient()
	for err == nil && f.unconfirmed > 0 {
		f.confirm(<-f.confirmed)
	}
	close(f.stop)
}
