package topics

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEscapeUser(t *testing.T) {
	for name, want := range map[string]string{
		"alice":  "alice",
		"a/b":    "a%2Fb",
		"100%":   "100%25",
		"a%2Fb":  "a%252Fb",
		"":       "",
		"//%%":   "%2F%2F%25%25",
		"ä b+c?": "ä b+c?",
	} {
		if got := EscapeUser(name); got != want {
			t.Errorf("EscapeUser(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestValidUser(t *testing.T) {
	for name, want := range map[string]error{
		"alice":                        nil,
		"alice@example.org":            nil,
		"a/b%c*?":                      nil,
		"topics":                       nil,
		strings.Repeat("u", MaxUser):   nil,
		"":                             ErrUserEmpty,
		"a\rb":                         ErrUserControl,
		"a\nb":                         ErrUserControl,
		"a\x00":                        ErrUserControl,
		"\x1b[0m":                      ErrUserControl,
		"\x7f":                         ErrUserControl,
		"\xc3":                         ErrUserEncoding,
		"topic":                        ErrUserReserved,
		"queue":                        ErrUserReserved,
		strings.Repeat("u", MaxUser+1): ErrUserTooLong,
	} {
		if got := ValidUser(name); !errors.Is(got, want) || (want == nil) != (got == nil) {
			t.Errorf("ValidUser(%q) = %v, want %v", name, got, want)
		}
	}
}

// For every user name, the destination built from it leads back to exactly that
// user.
func TestUserDestinationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[/%2Ff5topicqueue]{1,12}`)).
			Filter(func(s string) bool { return ValidUser(s) == nil }).Draw(t, "name")
		path := rapid.SampledFrom([]string{"/queue/x", "/topic/a/b"}).Draw(t, "path")
		d, err := Parse(UserDestination(name, path))
		if err != nil || d.Kind != UserNamed || d.User != name || d.Path != path {
			t.Fatalf("%q became %+v, %v", name, d, err)
		}
	})
}
