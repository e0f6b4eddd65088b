package ticket

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestT6PlusOutstandingPerSubject(t *testing.T) {
	bothForms(t, Options{Rate: -1}, func(t *testing.T, tickets *Issuer) {
		if tickets.signed {
			return // nothing is kept of a signed ticket before it is used
		}
		for i := range 50 {
			mint(t, tickets, user(fmt.Sprint(i))) // what is swept before alice's
		}
		var values []string
		for range 100 {
			values = append(values, mint(t, tickets, user("alice")).Value)
			pass(time.Millisecond)
		}
		_, err := tickets.Mint(t.Context(), user("alice"))
		if code, wait := status(t, err); code != 429 || wait <= 299*time.Second || wait > 301*time.Second {
			t.Errorf("%v after %v", err, wait)
		}
		mint(t, tickets, user("bob"))
		if got := consumed(t, tickets, values[50], ""); got != "alice" {
			t.Fatal(got)
		}
		mint(t, tickets, user("alice"))
		pass(302 * time.Second)
		mint(t, tickets, user("alice")) // although none of hers has been swept yet
		if n := len(memoryOf(tickets).unused["alice"]); n != 1 {
			t.Errorf("%d are left", n)
		}
	})
}

func TestT6PlusRatePerSubject(t *testing.T) {
	bothForms(t, Options{PerSubject: -1}, func(t *testing.T, tickets *Issuer) {
		for i := range 50 {
			if _, err := tickets.Mint(t.Context(), user("alice")); err != nil {
				t.Fatal(i, err)
			}
		}
		for range 3 { // asking does not make it longer
			_, err := tickets.Mint(t.Context(), user("alice"))
			if code, wait := status(t, err); code != 429 || wait != 200*time.Millisecond {
				t.Errorf("%v after %v", err, wait)
			}
		}
		mint(t, tickets, user("bob"))
		if _, err := tickets.MintBackend(t.Context(), string(key('a').Key), Grant{}); err != nil {
			t.Error(err)
		}
		pass(200 * time.Millisecond)
		mint(t, tickets, user("alice"))
		_, err := tickets.Mint(t.Context(), user("alice"))
		if code, _ := status(t, err); code != 429 {
			t.Error(err)
		}
		pass(time.Hour)
		for i := range 50 {
			if _, err := tickets.Mint(t.Context(), user("alice")); err != nil {
				t.Fatal(i, err)
			}
		}
	})
}

func TestT6PlusOutstandingInAll(t *testing.T) {
	bothForms(t, Options{MaxOutstanding: 10}, func(t *testing.T, tickets *Issuer) {
		var values []string
		for i := range 10 {
			values = append(values, mint(t, tickets, user(fmt.Sprint(i))).Value)
		}
		if !tickets.signed {
			_, err := tickets.Mint(t.Context(), user("more"))
			if code, wait := status(t, err); code != 429 || wait != 300*time.Second {
				t.Errorf("%v after %v", err, wait)
			}
			pass(301 * time.Second)
			mint(t, tickets, user("more"))
			return
		}
		for _, value := range values {
			consumed(t, tickets, value, "")
		}
		// What cannot be remembered as used must not be used.
		value := mint(t, tickets, user("more")).Value
		if got := consumed(t, tickets, value, ""); got != "no room to remember its use" {
			t.Error(got)
		}
		pass(299 * time.Second)
		value = mint(t, tickets, user("more")).Value
		pass(2 * time.Second)
		if got := consumed(t, tickets, value, ""); got != "more" {
			t.Error(got)
		}
	})
}

// Dead tickets are remembered only for the log, so their number is bounded.
func TestDeadTicketsAreBounded(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{Rate: -1, PerSubject: -1})
	var last string
	for range maxDead + 10 {
		last = mint(t, tickets, user("alice")).Value
		if got := consumed(t, tickets, last, ""); got != "alice" {
			t.Fatal(got)
		}
	}
	if s := memoryOf(tickets); len(s.entries) != maxDead || s.dead != maxDead {
		t.Errorf("%d entries, %d dead", len(s.entries), s.dead)
	}
	if got := consumed(t, tickets, last, ""); got != "unknown" {
		t.Error(got)
	}
}

func TestLimiterForgets(t *testing.T) {
	l := limiter{gap: time.Second, most: time.Second}
	now := time.Now()
	for i := range 100_000 {
		now = now.Add(10 * time.Millisecond)
		if wait := l.take(fmt.Sprint(i), now); wait != 0 {
			t.Fatal(wait)
		}
	}
	if n := l.full.Len(); n > 1000 {
		t.Errorf("remembers %d of 100 that matter", n)
	}
}

func TestNewTicketsNamesTheBadOption(t *testing.T) {
	if _, err := New(nil, auth.NewRevocations(), Options{}); err == nil {
		t.Error("no store")
	}
	if _, err := New(NewMemory(), nil, Options{}); err == nil {
		t.Error("no revocations")
	}
	for want, o := range map[string]Options{
		"TTL: 999ms":                     {TTL: 999 * time.Millisecond},
		"TTL: 1h0m0.000000001s":          {TTL: time.Hour + 1},
		"TTL: -1s":                       {TTL: -time.Second},
		"Options.Signed: needs a secret": {Signed: true},
		"ID of secret 0":                 {Secrets: []Secret{{Key: key('a').Key}}},
		"ID of secret 1":                 {Secrets: []Secret{key('b'), {ID: "a.b", Key: key('a').Key}}},
		"the ID ka is there twice":       {Secrets: []Secret{key('a'), key('a')}},
		"31 bytes instead of":            {Secrets: []Secret{{ID: "x", Key: key('a').Key[1:]}}},
		"Rate: 1e-05":                    {Rate: 0.00001},
		"Rate: NaN":                      {Rate: math.NaN()},
		"Burst: -1":                      {Burst: -1},
		"Burst: 100001":                  {Burst: 100_001},
	} {
		_, err := New(NewMemory(), auth.NewRevocations(), o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "aaaa") {
			t.Errorf("%s: %v", want, err)
		}
	}
}
