// Package cluster keeps the state that must survive the process, and that
// several nodes share: unused tickets and spent ones, revocations and
// credential epochs, the operations of Web Flow, logins and tokens. It works
// over a connection to NATS with JetStream: that of the engine in this process
// (package embedded) or of a NATS cluster.
//
//	state, err := cluster.OpenState(ctx, js, cluster.StateOptions{})
//	if err != nil {
//		return err
//	}
//	defer state.Close()
//	issuer, err := ticket.New(state.Tickets(), state.Revocations(), ticket.Options{})
//	flow, err := webflow.New(b, webflow.Options{Store: state.Operations()})
//
// Every step is a compare-and-set on the leader of a stream, so that of all
// nodes at most one takes a ticket, reports the final result of an operation or
// completes a login. A step whose outcome is not known counts as done when that
// is the safe side, and is never confirmed to its caller.
package cluster

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/auth"
)

// StateOptions configure a [State]. All fields have defaults.
type StateOptions struct {
	// Prefix begins the names of the streams, "HB" if empty: two brokers on one
	// NATS need different ones. It consists of letters, digits and '_'.
	Prefix string
	// Replicas is on how many nodes each stream is kept: 1 if zero.
	Replicas int
	// Bytes is the maximum size of all that is kept, 1 GiB if zero. Half of it
	// is for operations and logins, a quarter each for tickets and revocations.
	// What exceeds it is refused: no ticket is minted, no operation announced.
	// What is kept can always be replaced and removed.
	Bytes int64
	// Key encrypts principals, logins and tokens with AES-256-GCM. It has 32
	// bytes, or none if the engine encrypts its files. Without either, tokens of
	// other services must not be kept: see [State.Secret].
	Key []byte
	// Encrypted says that the engine encrypts its files. Then Key is not needed.
	Encrypted bool
	// Room returns an error if the disk is too full for something new: a ticket,
	// an operation, a login. What is kept can still be used up, changed and
	// removed, and everything can be revoked. An [*auth.Refusal] is what the
	// client is told. Nil means that there is room.
	Room func() error
	// Watch calls report with nil while the engine can store, and with the
	// reason when it cannot: first as it is now, then with each change, until
	// stop is called. What waits for the engine then fails at once, instead of
	// after some seconds. Nil means that nothing is known of the engine.
	Watch func(report func(error)) (stop func())
	// Logger reports what fails in the background. Nil means no logging.
	Logger *slog.Logger
}

// State is what the nodes share. It is safe for concurrent use.
type State struct {
	o           StateOptions
	tickets     *tickets
	operations  *bucket
	revocations *auth.Revocations
	health      health
	cancel      context.CancelFunc
	unwatch     func()
	background  sync.WaitGroup
}

// OpenState creates the streams that do not exist yet, and reads what is needed
// at hand: when it returns, everything that was revoked before is revoked here.
// The error names the stream that cannot be used, or is ctx's. Call Close
// before the connection is closed.
func OpenState(ctx context.Context, js jetstream.JetStream, o StateOptions) (*State, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	seal, err := o.sealer()
	if err != nil {
		return nil, err
	}
	// What runs in the background outlives the call, but not the State.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &State{o: o, cancel: cancel, unwatch: func() {}}
	if o.Watch != nil {
		s.unwatch = o.Watch(s.health.set)
	}
	if err := s.open(ctx, background, js, seal); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *State) open(ctx, background context.Context, js jetstream.JetStream, seal *sealer) error {
	bucketOf := func(name, holds string, share int64) (*bucket, error) {
		return openBucket(ctx, js, bucketOptions{
			name: s.o.Prefix + "_" + name, holds: holds, replicas: s.o.Replicas, bytes: s.o.Bytes / share, seal: seal, room: s.o.Room, health: &s.health,
		})
	}
	of, err := bucketOf("AUTH", "revocations", 4)
	if err != nil {
		return err
	}
	ticketBucket, err := bucketOf("TICKET", "tickets", 4)
	if err != nil {
		return err
	}
	if s.operations, err = bucketOf("STATE", "operations and logins", 2); err != nil {
		return err
	}
	keeper := newKeeper(of)
	s.revocations = auth.NewKeptRevocations(keeper.source(), keeper)
	s.tickets = newTickets(ticketBucket)
	s.revocations.Watch(func(e auth.Event) {
		if e.User != "" {
			s.background.Go(func() { s.tickets.drop(background, e.User, e.Source, e.Epoch) })
		}
	})
	if err := s.follow(ctx, background, "revocations", of, keeper.follower(s.revocations, func(err error) {
		s.o.Logger.Error("a stored revocation cannot be read", "error", err)
	})); err != nil {
		return err
	}
	return s.follow(ctx, background, "tickets", ticketBucket, s.tickets.follower())
}

// Tickets returns the store of tickets. A ticket is single-use among all that
// share the State.
func (s *State) Tickets() *Tickets { return &Tickets{s.tickets} }

// Revocations returns the revocations and credential epochs that all nodes
// share. It is complete: what was revoked before is revoked.
func (s *State) Revocations() *auth.Revocations { return s.revocations }

// Operations returns the store of the operations of Web Flow.
func (s *State) Operations() *Operations { return &Operations{b: s.operations} }

// Records returns the store of the logins of an oauth.Client.
func (s *State) Records() *Records { return &Records{b: s.operations} }

// Secret reports whether what is kept is encrypted: by the engine or with
// [StateOptions.Key].
func (s *State) Secret() bool { return s.o.Encrypted || s.o.Key != nil }

// Close stops following the streams and waits for what runs in the background.
// It does not close the connection. Stores fail afterwards.
func (s *State) Close() {
	s.unwatch()
	s.cancel()
	s.background.Wait()
}

const defaultStateBytes = 1 << 30

func (o StateOptions) withDefaults() (StateOptions, error) {
	if o.Prefix == "" {
		o.Prefix = "HB"
	}
	if strings.Trim(o.Prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return o, errors.New("cluster: StateOptions.Prefix: has other characters than letters, digits and _")
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Bytes == 0 {
		o.Bytes = defaultStateBytes
	}
	if o.Replicas < 0 || o.Bytes < 0 {
		return o, errors.New("cluster: StateOptions.Replicas or Bytes: is negative")
	}
	if o.Encrypted {
		o.Key = nil // once is enough
	}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func (o *StateOptions) sealer() (*sealer, error) {
	if o.Key == nil {
		return nil, nil
	}
	if len(o.Key) != 32 {
		return nil, fmt.Errorf("cluster: StateOptions.Key: has %d bytes instead of 32", len(o.Key))
	}
	block, err := aes.NewCipher(o.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster: StateOptions.Key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("cluster: StateOptions.Key: %w", err)
	}
	return &sealer{aead}, nil
}

// follower is what follows a bucket: begin is called before each attempt, change
// for each entry, and current when all entries have been reported that existed
// when the attempt began.
type follower struct {
	headersOnly bool
	filter      string
	begin       func()
	change      func(entry)
	current     func()
}

// followPause is the time before a watch that broke is repeated.
const followPause = time.Second

// follow reports a bucket to f until the State is closed. It returns when the
// first report is complete.
func (s *State) follow(ctx, background context.Context, what string, b *bucket, f follower) error {
	started := make(chan error, 1)
	s.background.Go(func() {
		first := true
		for {
			f.begin()
			err := b.watch(background, f.filter, f.headersOnly, f.change, func() {
				f.current()
				if first {
					first = false
					started <- nil
				}
			})
			if background.Err() != nil {
				return
			}
			if first {
				started <- err
				return
			}
			s.o.Logger.Error("what the store reports broke off and is read again", "what", what, "error", err)
			select {
			case <-time.After(followPause):
			case <-background.Done():
				return
			}
		}
	})
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
		return fmt.Errorf("cluster: reading the %s: %w", what, context.Cause(ctx))
	}
}
