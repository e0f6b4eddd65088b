package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/signed"
)

// answer is what a back end has decided.
type answer struct {
	reply  *broker.Message
	send   []*broker.Message
	refuse string // a text for the client, "" if the request is not refused
}

// Errors about an answer. They do not quote it: it may contain anything.
var (
	errJSON   = errors.New("the answer says application/json and is not an object with reply, send or refuse, and nothing else")
	errBoth   = errors.New("the answer has refuse and also reply or send")
	errBodies = errors.New("a message in the answer has body and body_base64")
	errBase64 = errors.New("a body_base64 in the answer is not base64")
)

const (
	// maxRefusal is the maximum length in bytes of a text for the client.
	maxRefusal = 256
	refused    = "the application refused this"
)

// message is a message in an answer.
type message struct {
	Destination string            `json:"destination"`
	Headers     map[string]string `json:"headers"`
	Body        json.RawMessage   `json:"body"`
	BodyBase64  *string           `json:"body_base64"`
}

// parseAnswer reads an answer with status 2xx.
func parseAnswer(a *signed.Answer) (*answer, error) {
	if len(a.Body) == 0 {
		return &answer{}, nil
	}
	if kind, _, err := mime.ParseMediaType(a.Type); err != nil || kind != "application/json" {
		m := &broker.Message{Body: a.Body}
		if a.Type != "" {
			m.Headers = []broker.Header{{Name: "content-type", Value: a.Type}}
		}
		return &answer{reply: m}, nil
	}
	var said struct {
		Reply  *message  `json:"reply"`
		Send   []message `json:"send"`
		Refuse *string   `json:"refuse"`
	}
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.DisallowUnknownFields() // a member that is misspelt would be ignored
	if err := d.Decode(&said); err != nil {
		return nil, errJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || bytes.TrimSpace(a.Body)[0] != '{' {
		return nil, errJSON
	}
	out := new(answer)
	if said.Refuse != nil {
		if said.Reply != nil || len(said.Send) > 0 {
			return nil, errBoth
		}
		out.refuse = sentence(*said.Refuse)
		return out, nil
	}
	for i := range said.Send {
		m, err := said.Send[i].message()
		if err != nil {
			return nil, err
		}
		if m.Destination == "" {
			return nil, fmt.Errorf("send[%d] of the answer has no destination", i)
		}
		out.send = append(out.send, m)
	}
	if said.Reply != nil {
		var err error
		if out.reply, err = said.Reply.message(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// message returns the message to send. A body that is no text is sent as JSON.
func (m *message) message() (*broker.Message, error) {
	out := &broker.Message{Destination: m.Destination}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		out.Headers = append(out.Headers, broker.Header{Name: name, Value: m.Headers[name]})
	}
	var text string
	switch {
	case m.BodyBase64 != nil && m.Body != nil:
		return nil, errBodies
	case m.BodyBase64 != nil:
		var err error
		if out.Body, err = decode(*m.BodyBase64); err != nil {
			return nil, errBase64
		}
	case m.Body == nil || string(m.Body) == "null":
	case json.Unmarshal(m.Body, &text) == nil:
		out.Body = []byte(text)
	default:
		out.Body = m.Body
		if out.Header("content-type") == "" {
			out.Headers = append(out.Headers, broker.Header{Name: "content-type", Value: "application/json"})
		}
	}
	return out, nil
}

// sentence returns a text that can be shown to a client: it is sent in a STOMP
// header.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxRefusal || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) }) {
		return refused
	}
	return s
}
