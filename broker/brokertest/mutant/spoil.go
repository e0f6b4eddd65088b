package mutant

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// lane identifies messages that must stay in order.
type lane struct {
	subscription, destination string
	publisher                 int
}

// down forwards the broker's output and spoils some of it. The error is a fault
// of the proxy, not of the network.
func (x *pair) down(ctx context.Context) error {
	dec := decoder()
	for {
		kind, data, err := x.broker.Read(ctx)
		if err != nil {
			return nil
		}
		dec.Feed(data)
		x.out = x.out[:0]
		for {
			f, ok, err := dec.Next()
			if err != nil {
				return fmt.Errorf("mutant: what the broker sent: %w", err)
			}
			if !ok {
				break
			}
			if err := x.frame(ctx, f); err != nil {
				return err
			}
		}
		if len(x.out) > 0 && x.write(ctx, kind, x.out) != nil {
			return nil
		}
	}
}

func (x *pair) write(ctx context.Context, kind websocket.MessageType, data []byte) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	return x.client.Write(ctx, kind, data)
}

// frame appends a frame, or its spoilt version, to x.out.
func (x *pair) frame(ctx context.Context, f *frames.Frame) error {
	switch f.Command {
	case frames.CommandConnected:
		x.out = frames.Append(x.out, frames.Unnegotiated, f)
		return nil
	case frames.CommandReceipt:
		if x.forges(f) {
			f.Headers = slices.DeleteFunc(f.Headers, func(h frames.Header) bool { return h.Name == "recovered" })
			f.Headers = append(f.Headers, frames.Header{Name: "recovered", Value: "true"})
		}
	case frames.CommandMessage:
		return x.message(ctx, f)
	}
	x.out = frames.Append(x.out, frames.V12, f)
	return nil
}

func (x *pair) forges(f *frames.Frame) bool {
	x.mu.Lock()
	asked := x.offsets[f.Get(frames.HeaderReceiptID)]
	x.mu.Unlock()
	if x.p.o.Fault != ForgeRecovered || !asked {
		return false
	}
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	x.p.spoilt++
	return true
}

func (x *pair) message(ctx context.Context, f *frames.Frame) error {
	id, err := checker.ParseBody(f.Body)
	if err != nil {
		return fmt.Errorf("mutant: %w", err)
	}
	l := lane{f.Get(frames.HeaderSubscription), f.Get(frames.HeaderDestination), id.Publisher()}
	spoil, other := x.chosen(f)
	switch {
	case !spoil:
		x.out = frames.Append(x.out, frames.V12, f)
		if x.held != nil && l == x.heldLane && f.Get("redelivered") == "" {
			x.out = append(x.out, x.held...)
			x.held = nil
			x.p.mu.Lock()
			x.p.spoilt++
			x.p.mu.Unlock()
		}
	case x.p.o.Fault == Double:
		x.out = frames.Append(x.out, frames.V12, f)
		x.out = frames.Append(x.out, frames.V12, f)
	case x.p.o.Fault == Reorder:
		x.held, x.heldLane = frames.Append(nil, frames.V12, f), l
	case x.p.o.Fault == Misdeliver:
		return other.receive(ctx, f)
	}
	return nil
}

// chosen reports whether to spoil a MESSAGE, and for Misdeliver, which
// connection gets it.
func (x *pair) chosen(f *frames.Frame) (spoil bool, other *pair) {
	p := x.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	switch {
	case p.o.Fault == None || p.o.Fault == ForgeRecovered || p.seen < p.due:
		return false, nil
	case p.o.Fault == Reorder && (x.held != nil || f.Get("redelivered") != ""):
		return false, nil
	case p.o.Fault == Misdeliver:
		x.mu.Lock()
		user, private := x.user, x.own != "" && x.own == f.Get(frames.HeaderSubscription)
		x.mu.Unlock()
		i := slices.IndexFunc(p.pairs, func(y *pair) bool {
			y.mu.Lock()
			defer y.mu.Unlock()
			return y.own != "" && y.user != user
		})
		if !private || i < 0 {
			return false, nil
		}
		other = p.pairs[i]
	}
	if p.o.Fault != Reorder { // Reorder counts later, when it is done
		p.spoilt++
	}
	p.draw((p.seen + p.o.OneIn - 1) / p.o.OneIn * p.o.OneIn)
	return true, other
}

// receive writes another user's MESSAGE to this client.
func (x *pair) receive(ctx context.Context, f *frames.Frame) error {
	x.mu.Lock()
	own := x.own
	x.mu.Unlock()
	for i := range f.Headers {
		if f.Headers[i].Name == frames.HeaderSubscription {
			f.Headers[i].Value = own
		}
	}
	if err := x.write(ctx, websocket.MessageText, frames.Append(nil, frames.V12, f)); err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "closed") {
		return fmt.Errorf("mutant: %w", err)
	}
	return nil
}
