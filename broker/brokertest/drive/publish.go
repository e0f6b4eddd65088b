package drive

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// publisher is one publisher, over as many connections as necessary.
type publisher struct {
	*run
	n, sent, txs int
	to           []string
}

// publish makes all SENDs of a publisher.
func (r *run) publish(ctx context.Context, n int) error {
	p := &publisher{run: r, n: n, to: r.destinations()}
	for p.sent < r.Sends {
		c, err := r.dial(ctx, Publisher, n, fmt.Sprintf("%s-publisher%d", r.Name, n))
		if c == nil {
			return err
		}
		gone := make(chan error, 1)
		go func() {
			err := c.listen(ctx)
			c.session.Cut()
			gone <- err
		}()
		done := p.connection(ctx, c, gone)
		r.remove(c)
		if done {
			c.leave()
			<-gone // wait until it reads no more
			continue
		}
		_ = c.conn.CloseNow()
		if err := <-gone; errors.Is(err, errRefused) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// connection publishes over one connection until everything is sent and
// receipted. It returns false if the connection ended earlier.
func (p *publisher) connection(ctx context.Context, c *client, gone chan error) (done bool) {
	room := make(chan struct{}, p.Window)
	ended := make(chan struct{}) // closed when nothing more is to come
	defer close(ended)
	lost := make(chan struct{})
	go func() { // announces the end to all that wait
		select {
		case err := <-gone:
			gone <- err
			close(lost)
		case <-ended:
		}
	}()
	ask := func(then func(), command string, body []byte, headers ...string) bool {
		select {
		case room <- struct{}{}:
		case <-lost:
			return false
		case <-ctx.Done():
			return false
		}
		return c.ask(ctx, func(*frames.Frame) {
			then()
			p.receipts.Add(1)
			<-room
		}, command, body, headers...) == nil
	}
	for p.sent < p.Sends {
		if every := p.TransactionEvery; every > 0 && p.sent%(every+5) == every {
			if !p.transaction(ctx, c, ask) {
				return false
			}
			continue
		}
		if !p.send(c, ask, "") {
			return false
		}
	}
	for range p.Window { // until all are answered
		select {
		case room <- struct{}{}:
		case <-lost:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

type asker func(then func(), command string, body []byte, headers ...string) bool

// send makes the next SEND.
func (p *publisher) send(c *client, ask asker, tx string) bool {
	to := p.to[(p.sent+p.n)%len(p.to)]
	p.sent++
	id := c.session.Send(to, tx)
	headers := []string{"destination", to}
	if tx != "" {
		headers = append(headers, "transaction", tx)
	}
	return ask(func() { c.session.Receipted(id) }, frames.CommandSend, checker.Body(id, p.Size), headers...)
}

// transaction makes five SENDs in a transaction and commits or aborts it.
func (p *publisher) transaction(ctx context.Context, c *client, ask asker) bool {
	p.txs++
	tx := strconv.Itoa(p.txs)
	c.session.Begin(tx)
	if c.write(ctx, frames.CommandBegin, nil, "transaction", tx) != nil {
		return false
	}
	for range 5 {
		if !p.send(c, ask, tx) {
			return false
		}
	}
	if p.txs%3 == 0 {
		c.session.Abort(tx)
		return ask(func() {}, frames.CommandAbort, nil, "transaction", tx)
	}
	c.session.Commit(tx)
	return ask(func() { c.session.Committed(tx) }, frames.CommandCommit, nil, "transaction", tx)
}
