package webhook

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth"
)

// decision is what an answer comes to. The zero value is a no.
type decision uint8

const (
	deny decision = iota
	allow
	pass
)

// answer is what the backend says.
type answer struct {
	decision decision
	status   int    // of a refusal: 401, 403, or 0 if the body says no
	reason   string // what the client is told, possibly nothing

	user          string
	roles, scopes []string
	claims        map[string]any
	expires       time.Time
	issued        time.Time
	credentialID  string

	maxAge   time.Duration // negative if the backend leaves it to us
	coverage auth.Coverage
}

const (
	// maxReason is the longest reason, in bytes, that a client is told.
	maxReason = 256
	// maxUnix is the end of the year 9999. Whoever sends milliseconds is beyond it.
	maxUnix = 253402300799
)

// Errors of parseAnswer. Their texts are constant but for the names of members, which are ours.
var (
	errAllow    = errors.New("the answer has neither allow nor pass")
	errBoth     = errors.New("the answer has both allow and pass")
	errCoverage = errors.New("the answer's coverage is not all, some or none")
)

// parseAnswer reads the body of a response. It is as strict as it can be without having to know all members.
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
	return ans, nil
}

// members reads the members of an object. One that is absent or null is the zero value; the first one that is of the
// wrong type is err.
type members struct {
	all map[string]any
	err error
}

func (m *members) wrong(name, want string) {
	if m.err == nil {
		m.err = fmt.Errorf("the answer's %s is not %s", name, want)
	}
}

// member returns a member that is a T.
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

// decision reads allow and pass. An allow of null is a pass, and no allow at all is no answer.
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

// sentence returns s if it can be shown to a client, and nothing otherwise: it travels in a STOMP header.
func sentence(s string) string {
	if len(s) > maxReason || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) }) {
		return ""
	}
	return strings.TrimSpace(s)
}
