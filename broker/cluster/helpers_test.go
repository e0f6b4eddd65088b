package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is an engine on a directory, which can be stopped and started again.
type engine struct {
	t      *testing.T
	dir    string
	server *embedded.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	states []*State
}

func startEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, dir: t.TempDir()}
	e.start()
	t.Cleanup(e.stop)
	return e
}

func (e *engine) start() {
	e.t.Helper()
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// The tests kill no machine, so they need not wait for the disk.
	if e.server, err = embedded.Start(ctx, embedded.Options{Dir: e.dir, SyncInterval: time.Minute}); err != nil {
		e.t.Fatal(err)
	}
	if e.conn, err = e.server.Connect(); err != nil {
		e.t.Fatal(err)
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) stop() {
	for _, s := range e.states {
		s.Close()
	}
	e.states = nil
	e.conn.Close()
	if err := e.server.Close(); err != nil {
		e.t.Error(err)
	}
}

// restart ends everything and begins anew on the same directory.
func (e *engine) restart() {
	e.t.Helper()
	e.stop()
	e.start()
}

// state returns a node's view of what is kept.
func (e *engine) state(o StateOptions) *State {
	e.t.Helper()
	s, err := e.open(e.js, o)
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

func (e *engine) open(js jetstream.JetStream, o StateOptions) (*State, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	s, err := OpenState(ctx, js, o)
	if err == nil {
		e.states = append(e.states, s)
	}
	return s, err
}

// issuer returns an issuer over a node's state.
func issuer(t testing.TB, s *State, o ticket.Options) *ticket.Issuer {
	t.Helper()
	if o.Rate == 0 {
		o.Rate = -1
	}
	if o.Signed {
		o.Secrets = []ticket.Secret{{ID: "a", Key: make([]byte, 32)}}
	}
	i, err := ticket.New(s.Tickets(), s.Revocations(), o)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func mint(t testing.TB, i *ticket.Issuer, p *auth.Principal) string {
	t.Helper()
	minted, err := i.Mint(t.Context(), ticket.Grant{Principal: p})
	if err != nil {
		t.Fatal(err)
	}
	return minted.Value
}

// consumed returns the name of whom a ticket has let in, or the cause of the
// rejection.
func consumed(t testing.TB, i *ticket.Issuer, value string) string {
	t.Helper()
	p, err := i.Consume(t.Context(), value, "")
	switch e := err.(type) {
	case nil:
		return p.Name
	case *ticket.Error:
		return e.Cause.String()
	}
	t.Fatal(err)
	return ""
}

func bothForms(t *testing.T, test func(t *testing.T, signed bool)) {
	for name, signed := range map[string]bool{"opaque": false, "signed": true} {
		t.Run(name, func(t *testing.T) { test(t, signed) })
	}
}
