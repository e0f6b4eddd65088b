package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// ofAnn is an error of an authenticator that knows whose credential it refuses.
type ofAnn struct{ error }

func (ofAnn) Whose() string { return "ann" }

// "ann cannot connect" is answered by the log, whatever turned her away: each of
// these ends before CONNECTED, and each is a warning.
func TestEveryoneWhoIsTurnedAwayBeforeConnectedIsLogged(t *testing.T) {
	revoked := auth.NewRevocations()
	if err := revoked.Revoke(t.Context(), auth.Revocation{Credential: "jwt:gone"}); err != nil {
		t.Fatal(err)
	}
	connect := []string{"accept-version", "1.2", "host", "x"}
	for name, c := range map[string]struct {
		authenticate func(context.Context, *auth.Attempt) (*auth.Principal, error)
		send         func(c *brokertest.Client)
		record       string
		attrs        []string
	}{
		"no version in common": {
			send:   func(c *brokertest.Client) { c.Send("CONNECT", "", "accept-version", "3.0") },
			record: "session ended", attrs: []string{"reason", "protocol-error", "detail", "supported versions are 1.0,1.1,1.2"},
		},
		"no STOMP": {
			send:   func(c *brokertest.Client) { c.Write([]byte("{\"type\":\"hello\"}\x00")) },
			record: "session ended", attrs: []string{"reason", "protocol-error"},
		},
		"heart-beat that is no heart-beat": {
			send:   func(c *brokertest.Client) { c.Send("CONNECT", "", "accept-version", "1.2", "heart-beat", "often") },
			record: "session ended", attrs: []string{"reason", "protocol-error"},
		},
		"nothing": {
			send:   func(*brokertest.Client) {},
			record: "session ended", attrs: []string{"reason", "connect-timeout"},
		},
		"another frame": {
			send:   func(c *brokertest.Client) { c.Send("SEND", "x", "destination", "/topic/x") },
			record: "authentication rejected", attrs: []string{"error", "a frame came before CONNECT"},
		},
		"revoked": {
			authenticate: func(context.Context, *auth.Attempt) (*auth.Principal, error) {
				return &auth.Principal{Name: "ann", CredentialID: "jwt:gone"}, nil
			},
			send:   func(c *brokertest.Client) { c.Send("CONNECT", "", connect...) },
			record: "authentication rejected", attrs: []string{"user", "ann", "error", "the credential was revoked"},
		},
		"a credential that is known to be ann's": {
			authenticate: func(context.Context, *auth.Attempt) (*auth.Principal, error) {
				return nil, ofAnn{errors.New("expired")}
			},
			send:   func(c *brokertest.Client) { c.Send("CONNECT", "", connect...) },
			record: "authentication rejected", attrs: []string{"user", "ann", "error", "expired"},
		},
		"a backend that does not answer": {
			authenticate: func(ctx context.Context, _ *auth.Attempt) (*auth.Principal, error) {
				<-ctx.Done()
				return nil, errors.New("the backend gives no answer")
			},
			send:   func(c *brokertest.Client) { c.Send("CONNECT", "", append(connect, "login", "ann")...) },
			record: "authentication rejected",
			attrs:  []string{"login", "ann", "error", "not decided within 1s (limits.connect_deadline): the backend gives no answer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := broker.Options{ConnectDeadline: time.Second, Revocations: revoked}
			if c.authenticate != nil {
				o.Authenticator = auth.AuthenticatorFunc(c.authenticate)
			}
			j := newJournal()
			o.Logger = j.logger()
			client := brokertest.Dial(brokertest.New(t, o))
			defer client.Close()
			c.send(client)
			client.Expect(t, "ERROR")
			l := j.await(t, c.record, 1)
			wantAttrs(t, l, c.attrs...)
			if l.level.String() != "WARN" {
				t.Errorf("it is logged as %v", l.level)
			}
		})
	}
}

// A credential at the handshake is bound to its user, and who tries another login
// with it is found in the log.
func TestLoginOfAnotherUserIsLogged(t *testing.T) {
	j := newJournal()
	srv := brokertest.Start(t, broker.Options{Logger: j.logger(), Authenticator: auth.AuthenticatorFunc(proofs)})
	p := rawWebSocket(t, srv, "Cookie", "bob")
	p.send(t, "CONNECT", "", "accept-version", "1.2", "login", "ann", "passcode", "right")
	wantAttrs(t, j.await(t, "authentication rejected", 1), "login", "ann", "user", "bob",
		"error", "the login names another user than the one this connection was opened for")
}

// A browser ends a connection whose sub-protocols the server does not know, and
// tells its page 1006. The log has what was missing, and never what was offered:
// tickets travel there.
func TestUnknownSubprotocolIsLogged(t *testing.T) {
	for name, c := range map[string]struct {
		offered string
		want    bool
	}{
		"another": {"mqtt", true}, "a ticket alone": {"ticket.s3cret", true},
		"STOMP": {"mqtt, v12.stomp", false}, "none": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			srv := brokertest.Start(t, broker.Options{Logger: j.logger()})
			var headers []string
			if c.offered != "" {
				headers = []string{"Sec-WebSocket-Protocol", c.offered}
			}
			if res, _ := handshake(t, srv, "/ws", headers...); res.StatusCode != 101 {
				t.Fatalf("answered with %s", res.Status)
			}
			found := j.all("the client offers no STOMP sub-protocol")
			if (len(found) == 1) != c.want {
				t.Fatalf("%d records, want one: %v", len(found), c.want)
			}
			for _, l := range found {
				for key, value := range l.attrs {
					if value == c.offered {
						t.Errorf("%s has what was offered", key)
					}
				}
			}
		})
	}
}
