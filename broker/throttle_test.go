package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// passcodes lets in whoever says "right", after a while, and counts.
type passcodes struct {
	takes time.Duration
	asked atomic.Int64
}

func (p *passcodes) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Ticket != "" || a.Bearer != "" {
		return nil, &auth.Refusal{Reason: "no such ticket"}
	}
	if a.Login == "" {
		return nil, auth.ErrNotMine
	}
	p.asked.Add(1)
	if p.takes > 0 {
		<-time.After(p.takes)
	}
	if a.Passcode != "right" {
		return nil, &auth.Refusal{Reason: "wrong"}
	}
	return &auth.Principal{Name: a.Login}, nil
}

// tryConnect returns the command and the message of the first frame that a
// CONNECT with these headers is answered with.
func tryConnect(t *testing.T, b *broker.Broker, address string, headers ...string) (answer string) {
	return connectAdmitted(t, b, broker.Admission{}, address, headers...)
}

// connectAdmitted is tryConnect behind a handshake.
func connectAdmitted(t *testing.T, b *broker.Broker, a broker.Admission, address string, headers ...string) (answer string) {
	var from netip.AddrPort
	if address != "" {
		from = netip.MustParseAddrPort(address + ":4711")
	}
	l := newLink(from)
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(t.Context(), l, a) }()
	l.in <- encode(frame("CONNECT", "", append([]string{"accept-version", "1.2"}, headers...)...))
	select {
	case p := <-l.out:
		answer = string(p)
	case <-time.After(time.Hour): // of the bubble
		t.Error("there was no answer")
	}
	_ = l.Close(0, "")
	<-ended
	command, rest, _ := strings.Cut(answer, "\n")
	if _, message, ok := strings.Cut(rest, "message:"); ok {
		message, _, _ = strings.Cut(message, "\n")
		return command + " " + message
	}
	return command
}

// Many tries at once are no way around the count: each is counted before it is
// compared.
func TestParallelTriesAreCountedBeforeTheyAreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &passcodes{takes: 100 * time.Millisecond}
		b := brokertest.New(t, broker.Options{Authenticator: p, Limits: broker.Limits{UnauthenticatedPerAddress: -1}})
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() { tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong") })
		}
		<-time.After(99 * time.Millisecond)
		if n := p.asked.Load(); n != 5 {
			t.Errorf("%d tries were compared at once, want the 5 that are free", n)
		}
		all.Wait()
		// Beyond those one at a time: the sixth, one after 1 s and one after 2 s
		// more. The others have waited for three quarters of their 5 s.
		if n := p.asked.Load(); n != 8 {
			t.Errorf("%d tries were compared, want 8", n)
		}
		if n := b.Stats().Limited["limits.login_failures"]; n != 52 {
			t.Errorf("%d refusals are counted, want 52", n)
		}
	})
}

// The same at the handshake and at an endpoint of the program.
func TestParallelTriesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var compared atomic.Int64
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: -1}, Authenticator: auth.AuthenticatorFunc(
			func(context.Context, *auth.Attempt) (*auth.Principal, error) {
				compared.Add(1)
				<-time.After(100 * time.Millisecond)
				return nil, &auth.Refusal{}
			})})
		from := netip.MustParseAddrPort("192.0.2.2:1")
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() {
				a, err := b.Admit(request("GET", "/ws", "192.0.2.1:1", "Authorization", basic("ann", "wrong")))
				if err == nil {
					a.Release()
					t.Error("a wrong passcode was admitted")
				}
			})
			all.Go(func() {
				end, err := b.TryPasscode(t.Context(), from, "ann")
				if err == nil {
					compared.Add(1)
					<-time.After(100 * time.Millisecond)
					end(&auth.Refusal{})
				}
			})
		}
		all.Wait()
		if n := compared.Load(); n != 16 {
			t.Errorf("%d tries were compared, want 8 at each place", n)
		}
	})
}

// Whoever tries other logins from ann's address does not lock ann out, however
// many and however fast, and nor does whoever tries tickets.
func TestRightPasscodeBesideStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(passcodes)
		b := brokertest.New(t, broker.Options{Authenticator: p})
		for i := range 56 {
			tryConnect(t, b, "192.0.2.1", "login", fmt.Sprint("user", i), "passcode", "wrong")
			tryConnect(t, b, "192.0.2.1", "ticket", "nonsense")
			tryConnect(t, b, "192.0.2.1", "login", "ann", "ticket", "nonsense")
		}
		if got := tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "right"); got != "CONNECTED" {
			t.Errorf("ann got %s", got)
		}
		// A flood that takes every place of the address but one.
		stop := make(chan struct{})
		var flood sync.WaitGroup
		for i := range 62 {
			flood.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
						tryConnect(t, b, "192.0.2.1", "login", fmt.Sprint("user", i, n), "passcode", "wrong")
					}
				}
			})
		}
		<-time.After(10 * time.Second)
		for range 20 {
			began := time.Now()
			if got := tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "right"); got != "CONNECTED" {
				t.Errorf("in the flood ann got %s", got)
			}
			if d := time.Since(began); d > 63*50*time.Millisecond {
				t.Errorf("ann waited %v", d)
			}
		}
		close(stop)
		flood.Wait()
	})
}

// Whoever guesses ann's own passcode from ann's address has a turn a minute, and
// she has her chance at each: of 200 turns she must get one, though the guesser
// always has ten tries waiting.
func TestRightPasscodeBesideGuesser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(passcodes)
		b := brokertest.New(t, broker.Options{Authenticator: p})
		stop := make(chan struct{})
		var guessers sync.WaitGroup
		for range 10 {
			guessers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
						<-time.After(time.Second)
					}
				}
			})
		}
		<-time.After(10 * time.Minute)
		before, began := p.asked.Load(), time.Now()
		for tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "right") != "CONNECTED" {
			if time.Since(began) > 200*time.Minute {
				t.Error("ann never got in")
				break
			}
			<-time.After(time.Second)
		}
		minutes := time.Since(began).Minutes()
		if n := float64(p.asked.Load() - before); n > minutes+2+5 { // five are free after she got in
			t.Errorf("%v tries were compared in %v minutes", n, minutes)
		}
		close(stop)
		guessers.Wait()
	})
}

// One failure now and then never adds up.
func TestFailuresDecay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(passcodes)
		b := brokertest.New(t, broker.Options{Authenticator: p})
		for range 8 {
			tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
		}
		for range 20 {
			<-time.After(9 * time.Minute)
			tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
		}
		began := time.Now()
		if got := tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "right"); got != "CONNECTED" || time.Since(began) != 0 {
			t.Errorf("ann got %s after %v", got, time.Since(began))
		}
	})
}

// A try that is held back gives up its place to a newcomer, as any socket that
// waits does, and ends with its client.
func TestHeldTryCanBeShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authenticator: new(passcodes), Limits: broker.Limits{Unauthenticated: 1, LoginFailures: 1}})
		for range 2 {
			tryConnect(t, b, "", "login", "bob", "passcode", "wrong")
		}
		held := pipe(t, b, false) // for 1 s
		held.send(t, "CONNECT", "", "accept-version", "1.2", "login", "bob", "passcode", "right")
		<-time.After(200 * time.Millisecond)
		pipe(t, b, false)
		held.wantGoodbye(t, 4429, "too many unauthenticated connections: limits.unauthenticated is 1")
	})
}

// What is remembered of failures is bounded, and long logins are not kept.
func TestThrottleIsBounded(t *testing.T) {
	b := brokertest.New(t, broker.Options{Authenticator: auth.TrustLogin})
	long := strings.Repeat("x", 4096)
	for i := range 40_000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		end, err := b.TryPasscode(t.Context(), from, fmt.Sprint(long, i))
		if err != nil {
			t.Fatal(err)
		}
		end(errors.New("wrong"))
	}
	if n := b.Throttled(); n > 16384 {
		t.Errorf("%d counts are kept", n)
	}
}

// A backend may ignore the case of logins: all spellings of one share the tries
// that are free.
func TestSpellingsOfALoginShareTheirFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(passcodes)
		b := brokertest.New(t, broker.Options{Authenticator: p})
		for _, login := range []string{"ann", "Ann", "aNN", "ANN", "anN", " ann"} {
			began := time.Now()
			if got := tryConnect(t, b, "192.0.2.1", "login", login, "passcode", "wrong"); got == "CONNECTED" || time.Since(began) != 0 {
				t.Errorf("%s got %s after %v", login, got, time.Since(began))
			}
		}
		for i, login := range []string{"AnN", "aNn", "ANn"} {
			began := time.Now()
			tryConnect(t, b, "192.0.2.1", "login", login, "passcode", "wrong")
			if d := time.Since(began); i < 2 && d != time.Second<<i {
				t.Errorf("%s was compared after %v, want %v", login, d, time.Second<<i)
			}
		}
		if n := p.asked.Load(); n != 8 {
			t.Errorf("%d tries were compared, want 8: the ninth would have to wait longer than it can", n)
		}
		// Another login, and the same from elsewhere, are not concerned.
		for _, other := range [][2]string{{"192.0.2.1", "bob"}, {"198.51.100.1", "Ann"}} {
			began := time.Now()
			if got := tryConnect(t, b, other[0], "login", other[1], "passcode", "right"); got != "CONNECTED" || time.Since(began) != 0 {
				t.Errorf("%s got %s after %v", other[1], got, time.Since(began))
			}
		}
		// Nor is the right passcode turned away.
		<-time.After(time.Minute)
		if got := tryConnect(t, b, "192.0.2.1", "login", "Ann", "passcode", "right"); got != "CONNECTED" {
			t.Errorf("Ann got %s", got)
		}
	})
}

// Where "Ann" and "ann" are two people, Ann's own passcode does not forgive her the
// guesses at ann's.
func TestASuccessForgivesItsOwnSpellingOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authenticator: new(passcodes)})
		for range 4 {
			tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
		}
		for range 3 {
			if got := tryConnect(t, b, "192.0.2.1", "login", "Ann", "passcode", "right"); got != "CONNECTED" {
				t.Errorf("Ann got %s", got)
			}
		}
		for range 2 { // five are free, and the sixth is compared at once
			tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
		}
		began := time.Now()
		tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
		if d := time.Since(began); d != time.Second {
			t.Errorf("the seventh guess was compared after %v, want 1s", d)
		}
		<-time.After(time.Minute)
		for range 2 { // the first forgives ann her own failures
			if got := tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "right"); got != "CONNECTED" {
				t.Errorf("ann got %s", got)
			}
		}
		for range 5 {
			began := time.Now()
			tryConnect(t, b, "192.0.2.1", "login", "ann", "passcode", "wrong")
			if d := time.Since(began); d != 0 {
				t.Errorf("a guess after a success waited %v", d)
			}
		}
	})
}
