package webhook

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
)

// question is the body of a POST. The package documentation describes its
// members.
type question struct {
	Event        Event             `json:"event"`
	Session      string            `json:"session,omitempty"`
	Remote       string            `json:"remote,omitempty"`
	Host         string            `json:"host,omitempty"`
	Login        string            `json:"login,omitempty"`
	Passcode     string            `json:"passcode,omitempty"`
	Bearer       string            `json:"bearer,omitempty"`
	Headers      map[string]string `json:"headers,omitempty"`
	Frame        map[string]string `json:"frame,omitempty"`
	User         string            `json:"user,omitempty"`
	Roles        []string          `json:"roles,omitempty"`
	Scopes       []string          `json:"scopes,omitempty"`
	CredentialID string            `json:"credential_id,omitempty"`
	Action       string            `json:"action,omitempty"`
	Destination  string            `json:"destination,omitempty"`
	Pattern      bool              `json:"pattern,omitempty"`
	Operation    string            `json:"operation,omitempty"`
}

// about sets the principal that the question is about.
func (q *question) about(p *auth.Principal) {
	if p != nil {
		q.User, q.Roles, q.Scopes, q.CredentialID = p.Name, p.Roles, p.Scopes, p.CredentialID
	}
}

// errNotText reports a credential that JSON cannot represent: different
// credentials would become the same.
var errNotText = errors.New("a credential is not valid UTF-8")

// identityQuestion returns the question that identifies a client.
func (w *Webhook) identityQuestion(event Event, a *auth.Attempt) ([]byte, error) {
	for _, text := range []string{a.Login, a.Passcode, a.Bearer, a.Host} {
		if !utf8.ValidString(text) {
			return nil, errNotText
		}
	}
	q := question{
		Event:    event,
		Session:  a.Session,
		Host:     a.Host,
		Login:    a.Login,
		Passcode: a.Passcode,
		Bearer:   a.Bearer,
	}
	if a.Remote.IsValid() {
		q.Remote = a.Remote.String()
	}
	if a.Handshake != nil {
		q.Headers = selected(w.headers, strings.ToLower, func(name string) string { return joined(a.Handshake.Header, name) })
	}
	if event != Handshake {
		q.Frame = selected(w.frameHeaders, strings.Clone, a.Header)
	}
	if event == Renew {
		q.about(a.Principal)
	}
	return json.Marshal(&q)
}

// permissionQuestion returns the question whether p may do act.
func permissionQuestion(p *auth.Principal, act auth.Action, destination string) ([]byte, error) {
	q := question{
		Event:       Event(act.String()),
		Action:      act.String(),
		Destination: destination,
		Pattern:     act == auth.Subscribe && isPattern(destination),
	}
	q.about(p)
	return json.Marshal(&q)
}

// waitQuestion returns the question whether p may wait for an operation.
func waitQuestion(p *auth.Principal, operation string) ([]byte, error) {
	q := question{Event: Wait, Operation: operation}
	q.about(p)
	return json.Marshal(&q)
}

// selected returns the named headers that are present.
func selected(names []string, key, value func(string) string) map[string]string {
	var found map[string]string
	for _, name := range names {
		text := value(name)
		if text == "" || !utf8.ValidString(text) {
			continue
		}
		if found == nil {
			found = make(map[string]string, len(names))
		}
		found[key(name)] = text
	}
	return found
}

// joined returns all values of a header as one (RFC 9110 section 5.3, RFC 9113
// section 8.2.3 for cookies).
func joined(h http.Header, name string) string {
	separator := ", "
	if strings.EqualFold(name, "Cookie") {
		separator = "; "
	}
	return strings.Join(h.Values(name), separator)
}

func isPattern(destination string) bool { return strings.ContainsAny(destination, "*?") }

// wellFormed reports whether a destination is a UTF-8 path without empty
// segments. The broker denies others, because a backend might not agree whether
// //a is /a.
func wellFormed(s string) bool {
	return s != "" && s[0] == '/' && s[len(s)-1] != '/' && !strings.Contains(s, "//") && utf8.ValidString(s)
}
