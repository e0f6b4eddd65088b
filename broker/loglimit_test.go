package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// suppressed sums up what the records with this text say was left out.
func (j *journal) suppressed(t *testing.T, text string) (records, left int) {
	t.Helper()
	for _, l := range j.all(text) {
		records++
		if n := l.attrs["suppressed"]; n != "" {
			m, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			left += m
		}
	}
	return records, left
}

// Whoever needs no credential can come and go a thousand times, and fills no log.
func TestAnonymousSessionsDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		b, err := broker.New(broker.Options{Logger: j.logger(), Authenticator: auth.Anonymous})
		if err != nil {
			t.Fatal(err)
		}
		visit := func() {
			if answer := tryConnect(t, b, "192.0.2.1"); answer != "CONNECTED" {
				t.Fatal(answer)
			}
			synctest.Wait()
		}
		for range 1000 {
			visit()
		}
		started, _ := j.suppressed(t, "session started")
		if ended, _ := j.suppressed(t, "session ended"); started != 5 || ended != 5 {
			t.Errorf("%d sessions started and %d ended in the log, want 5 of each", started, ended)
		}
		time.Sleep(time.Second)
		visit()
		started, left := j.suppressed(t, "session started")
		if started != 6 || left != 1990 {
			t.Errorf("%d records that tell of %d others, want 6 and 1,990", started, left)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Clients without a credential that try to renew a thousand times fill no log.
func TestRefusedRenewalsDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		b, err := broker.New(broker.Options{Logger: j.logger(), Authenticator: auth.Chain(auth.AuthenticatorFunc(wrongTickets), auth.Anonymous)})
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			c := brokertest.Connect(t, b)
			c.Send("SEND", `{"ticket":"wrong"}`, "destination", "/app/session/refresh")
			c.Expect(t, "ERROR")
			c.Close()
			synctest.Wait()
		}
		if n, _ := j.suppressed(t, "renewal refused"); n != 1 {
			t.Errorf("%d records about 1,000 renewals in one moment, want 1", n)
		}
		if n := b.Stats().AuthFailures; n != 1000 {
			t.Errorf("%d renewals were refused", n)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func wrongTickets(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Ticket != "" {
		return nil, &auth.Refusal{Reason: "no such ticket"}
	}
	return nil, auth.ErrNotMine
}

// One network that invents origins leaves lines for the events of others.
func TestInventedOriginsDoNotUseUpTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		b, err := broker.New(broker.Options{Logger: j.logger(), Authenticator: auth.TrustLogin, Origins: []string{"https://app.example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		handshake := func(address, origin string) {
			r := httptest.NewRequest("GET", "http://broker.example.com/ws", nil)
			r.Header.Set("Origin", origin)
			r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(address), 4711).String()
			if _, err := b.Admit(r); err == nil {
				t.Errorf("%s is let in", origin)
			}
		}
		for i := range 1000 {
			handshake("192.0.2.1", fmt.Sprintf("https://o%d.example.com", i))
		}
		if n, _ := j.suppressed(t, "origin not allowed"); n != 10 {
			t.Errorf("%d records about 1,000 origins, want 10", n)
		}
		handshake("198.51.100.1", "https://wrong.example.com")
		if n, _ := j.suppressed(t, "origin not allowed"); n != 11 {
			t.Error("there is no record left for another network")
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// failing is a listener that is out of file descriptors every other time.
type failing struct{ n int }

func (l *failing) Accept() (net.Conn, error) {
	if l.n++; l.n > 2000 {
		return nil, net.ErrClosed
	}
	if l.n%2 == 0 {
		c, s := net.Pipe()
		_ = c.Close()
		return s, nil
	}
	return nil, errors.New("too many open files")
}

func (l *failing) Addr() net.Addr { return &net.TCPAddr{} }
func (l *failing) Close() error   { return nil }

// Whoever opens and closes connections while descriptors are scarce fills no log.
func TestFailuresToAcceptDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		b, err := broker.New(broker.Options{Logger: j.logger()})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.ServeTCP(&failing{}); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		// 1,000 failures, 5 ms apart.
		if n, left := j.suppressed(t, "accept failed"); n != 5 || left != 4*199 {
			t.Errorf("%d records that tell of %d others, want 5 and 796", n, left)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
