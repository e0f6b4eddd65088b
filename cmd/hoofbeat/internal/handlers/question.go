package handlers

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

// question is the body of a POST, and of a message in the queue of a handler
// with Via. docs/handlers.md describes its members.
type question struct {
	ID          string            `json:"id"`
	Event       string            `json:"event"` // "send" or "subscribe"
	Destination string            `json:"destination"`
	Variables   map[string]string `json:"variables,omitempty"`
	User        string            `json:"user"`
	Roles       []string          `json:"roles,omitempty"`
	Session     string            `json:"session"`
	Remote      string            `json:"remote,omitempty"`
	Headers     map[string]string `json:"headers"`
	Body        *string           `json:"body,omitempty"`
	BodyBase64  []byte            `json:"body_base64,omitempty"`
}

// question returns the question about a request, as JSON, and its id.
func (h *handler) question(r *broker.Request) (id string, body []byte, err error) {
	variables, ok := h.pattern.variables(r.Destination)
	if !ok {
		return "", nil, &broker.Error{Reason: broker.ReasonDenied, Message: "nothing handles messages for this destination"}
	}
	q := question{
		ID: h.set.nextID(), Event: eventOf(r), Destination: h.set.app + r.Destination, Variables: variables,
		User: r.Principal.Name, Roles: r.Principal.Roles, Session: r.Session, Headers: make(map[string]string, len(r.Headers)),
	}
	if r.Remote.IsValid() {
		q.Remote = r.Remote.String()
	}
	for _, header := range r.Headers {
		if _, repeated := q.Headers[header.Name]; !repeated { // the first counts
			q.Headers[header.Name] = header.Value
		}
	}
	switch {
	case r.Subscribe:
	case utf8.Valid(r.Body):
		text := string(r.Body)
		q.Body = &text
	default:
		q.BodyBase64 = r.Body
	}
	body, err = json.Marshal(&q)
	return q.ID, body, err
}

// eventOf returns the name of what the client does.
func eventOf(r *broker.Request) string {
	if r.Subscribe {
		return "subscribe"
	}
	return "send"
}

// decode is how JSON has bytes.
var decode = base64.StdEncoding.DecodeString
