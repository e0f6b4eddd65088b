package users

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"pgregory.net/rapid"
)

func TestHashRefusals(t *testing.T) {
	for _, c := range []struct {
		passcode string
		cost     int
		want     error
	}{
		{"", MinCost, ErrPasscodeEmpty},
		{strings.Repeat("x", 73), MinCost, ErrPasscodeTooLong},
		{strings.Repeat("é", 37), MinCost, ErrPasscodeTooLong}, // bytes, not characters
		{"a\x00", MinCost, ErrPasscodeNUL},
		{"p", MinCost - 1, ErrCost},
		{"p", MaxCost + 1, ErrCost},
		{"p", -1, ErrCost},
	} {
		hash, err := Hash(c.passcode, c.cost)
		if hash != "" || !errors.Is(err, c.want) {
			t.Errorf("Hash(%.10q, %d) = %q, %v", c.passcode, c.cost, hash, err)
		}
	}
	if MaxPasscodeBytes != 72 {
		t.Error("ErrPasscodeTooLong names another limit")
	}
}

func TestHashDefaultCost(t *testing.T) {
	hash, err := Hash("p", 0)
	if err != nil {
		t.Fatal(err)
	}
	if cost, err := parseHash(hash); err != nil || cost != DefaultCost {
		t.Errorf("cost %d, %v", cost, err)
	}
}

// A generated hash is valid and matches only its passcode, and dummies of every
// cost are valid hashes.
func TestPropertyHashRoundTrip(t *testing.T) {
	passcode := rapid.StringOfN(rapid.RuneFrom([]rune("aé:%$ \n\u540d")), 1, 24, MaxPasscodeBytes)
	rapid.Check(t, func(t *rapid.T) {
		right, wrong := passcode.Draw(t, "right"), passcode.Draw(t, "wrong")
		hash, err := Hash(right, MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if cost, err := parseHash(hash); err != nil || cost != MinCost {
			t.Fatalf("%s: %d, %v", hash, cost, err)
		}
		s, err := New([]User{{Name: "u", Hash: hash}})
		if err != nil {
			t.Fatal(err)
		}
		tried := rapid.SampledFrom([]string{right, wrong}).Draw(t, "tried")
		if _, err := s.Authenticate(t.Context(), connect("u", tried)); (err == nil) != (tried == right) {
			t.Fatalf("%q for %q: %v", tried, right, err)
		}
	})
	for cost := MinCost; cost <= MaxCost; cost++ {
		if got, err := parseHash(dummyHash(cost)); err != nil || got != cost {
			t.Errorf("dummy %d: %d, %v", cost, got, err)
		}
	}
}

// FuzzParseHash checks that a comparison with a valid hash fails only because
// of the passcode. Another failure would take no time and so reveal that the
// user exists.
func FuzzParseHash(f *testing.F) {
	f.Add(dummyHash(MinCost))
	f.Add("$2y$05$abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234")
	f.Add("$2b$+4$" + strings.Repeat(".", 53))
	f.Fuzz(func(t *testing.T, hash string) {
		cost, err := parseHash(hash)
		if err != nil || cost > MinCost+1 {
			return
		}
		err = bcrypt.CompareHashAndPassword([]byte(hash), []byte("passcode"))
		if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Fatalf("%q: %v", hash, err)
		}
	})
}

func BenchmarkCheckAtDefaultCost(b *testing.B) {
	s, err := New(nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = s.Authenticate(b.Context(), connect("nobody", "p"))
	}
}
