package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// A publisher is a backend's connection to the broker. It connects when needed,
// with a ticket that the backend signs itself. It acts for no user and uses no
// user's ticket.
type publisher struct {
	url     string
	secret  string
	tickets *ticket.Issuer

	mu   sync.Mutex
	conn *client.Conn
}

func newPublisher(url string, secret ticket.Secret) (*publisher, error) {
	tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{Signed: true, Secrets: []ticket.Secret{secret}})
	return &publisher{url: url, secret: string(secret.Key), tickets: tickets}, err
}

// Connected returns nil if messages can be published now, and the reason
// otherwise. It opens the connection if there is none.
func (p *publisher) Connected(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connect(ctx)
}

// Publish returns nil when the broker has accepted the message. The error says
// why it did not, or that it did not answer within 5 s.
func (p *publisher) Publish(ctx context.Context, destination string, body []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.connect(ctx); err != nil {
		return err
	}
	if err := p.conn.Send(destination, "application/json", body, stomp.SendOpt.Receipt); err != nil {
		p.conn.Abort()
		<-p.conn.Done()
		return fmt.Errorf("publish to %s: %w", destination, cmp.Or(p.conn.Err(), err))
	}
	return nil
}

// Close closes the connection if there is one.
func (p *publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.conn.Abort()
	}
}

func (p *publisher) connect(ctx context.Context) error {
	if p.conn != nil {
		select {
		case <-p.conn.Done():
		default:
			return nil
		}
	}
	ticket, err := p.tickets.MintBackend(ctx, p.secret, ticket.Grant{})
	if err != nil {
		return err
	}
	conn, err := client.Dial(ctx, p.url+"?ticket="+ticket.Value, client.Options{
		Stomp: []func(*stomp.Conn) error{stomp.ConnOpt.RcvReceiptTimeout(5 * time.Second)},
	})
	if err != nil {
		return err
	}
	p.conn = conn
	return nil
}
