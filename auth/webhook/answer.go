package webhook

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// decision is the decision in an answer. The zero value denies.
type decision uint8

const (
	deny decision = iota
	allow
	pass
)

// answer is the backend's answer.
type answer struct {
	decision decision
	status   int    // of a rejection: 401, 403, or 0 if the body decided
	reason   string // text for the client, may be empty

	user          string
	roles, scopes []string
	claims        map[string]any
	expires       time.Time
	issued        time.Time
	credentialID  string

	maxAge   time.Duration // negative if the answer has none
	coverage auth.Coverage
}

const (
	// maxReason is the maximum length in bytes of a reason for the client.
	maxReason = 256
	// maxUnix is the end of the year 9999. A time in milliseconds exceeds it.
	maxUnix = 253402300799
)

// Errors of parseAnswer. Their texts are constant except for the names of our
// own members.
var (
	errAllow    = errors.New("the answer has neither allow nor pass")
	errBoth     = errors.New("the answer has both allow and pass")
	errCoverage = errors.New("the answer's coverage is not all, some or none")
	errWeight   = fmt.Errorf("the answer's claims, roles and scopes take more than %d bytes of memory, which is a fixed limit", weight.MaxClaims)
)

// parseAnswer parses the body of a response. It is strict, but ignores unknown
// members.
func parseAnswer(body []byte) (answer, error) {
	object, err := parseObject(body)
	if err != nil {
		return answer{}, err
	}
	m := members{all: object}
	ans := answer{
		reason:       sentence(m.text("reason")),
		user:         m.text("user"),
		roles:        m.texts("roles"),
		scopes:       m.texts("scopes"),
		claims:       m.object("claims"),
		expires:      m.time("expires"),
		issued:       m.time("issued"),
		credentialID: m.text("credential_id"),
		maxAge:       m.age("max_age"),
		coverage:     m.coverage("coverage"),
	}
	ans.decision = m.decision()
	if m.err != nil {
		return answer{}, m.err
	}
	if weight.Of(ans.claims)+weight.Texts(ans.roles)+weight.Texts(ans.scopes) > weight.MaxClaims {
		return answer{}, errWeight
	}
	return ans, nil
}

// members reads the members of an object. A missing member or null gives the
// zero value. err is about the first member with a wrong type.
type members struct {
	all map[string]any
	err error
}

func (m *members) wrong(name, want string) {
	if m.err == nil {
		m.err = fmt.Errorf("the answer's %s is not %s", name, want)
	}
}

// member returns a member of type T.
func member[T any](m *members, name, want string) (value T, ok bool) {
	raw := m.all[name]
	if raw == nil {
		return value, false
	}
	if value, ok = raw.(T); !ok {
		m.wrong(name, want)
	}
	return value, ok
}

func (m *members) text(name string) string {
	s, _ := member[string](m, name, "a text")
	return s
}

func (m *members) object(name string) map[string]any {
	o, _ := member[map[string]any](m, name, "an object")
	return o
}

func (m *members) texts(name string) []string {
	const want = "a list of texts"
	list, ok := member[[]any](m, name, want)
	if !ok || len(list) == 0 {
		return nil
	}
	texts := make([]string, len(list))
	for i, item := range list {
		text, ok := item.(string)
		if !ok {
			m.wrong(name, want)
		}
		texts[i] = text
	}
	return texts
}

func (m *members) time(name string) time.Time {
	const want = "a time in seconds since 1970"
	seconds, ok := member[float64](m, name, want)
	if !ok {
		return time.Time{}
	}
	if seconds < 0 || seconds > maxUnix {
		m.wrong(name, want)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

func (m *members) age(name string) time.Duration {
	const want = "a number of seconds"
	seconds, ok := member[float64](m, name, want)
	if !ok {
		return -1
	}
	if seconds < 0 {
		m.wrong(name, want)
	}
	return time.Duration(min(seconds, MaxAge.Seconds()) * float64(time.Second))
}

func (m *members) coverage(name string) auth.Coverage {
	text, ok := member[string](m, name, "a text")
	switch {
	case !ok || text == "some":
		return auth.Some
	case text == "all":
		return auth.All
	case text == "none":
		return auth.None
	}
	if m.err == nil {
		m.err = errCoverage
	}
	return auth.None
}

// decision reads allow and pass. An allow of null is a pass; a missing allow is
// not an answer.
func (m *members) decision() decision {
	passed, passSaid := member[bool](m, "pass", "true or false")
	allowed, allowSaid := member[bool](m, "allow", "true, false or null")
	raw, allowThere := m.all["allow"]
	handed := passed || allowThere && raw == nil
	switch {
	case m.err != nil:
	case handed && allowSaid, handed && passSaid && !passed:
		m.err = errBoth
	case handed:
		return pass
	case !allowSaid:
		m.err = errAllow
	case allowed:
		return allow
	}
	return deny
}

// sentence returns s if it can be shown to a client, and "" otherwise. It is
// sent in a STOMP header.
func sentence(s string) string {
	if len(s) > maxReason || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) }) {
		return ""
	}
	return strings.TrimSpace(s)
}
