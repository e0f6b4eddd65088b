package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// published answers POST /messages. It does not include the number of
// subscribers, because a queue may deliver the message later.
type published struct {
	MessageID string `json:"message_id,omitempty"` // the message-id that receivers see
	Duplicate bool   `json:"duplicate,omitempty"`  // the message was accepted before, under another message-id
}

// delivered answers POST /users/{user}/messages.
type delivered struct {
	MessageID      string `json:"message_id"`
	Subscriptions  int    `json:"subscriptions"`
	Unacknowledged int    `json:"unacknowledged"`

	Unanswered []string `json:"unanswered,omitempty"` // nodes that are not counted
}

func (a *api) publish(w http.ResponseWriter, r *http.Request) *problem {
	m, p := a.readMessage(w, r)
	if p != nil {
		return p
	}
	switch err := a.b.Publish(r.Context(), m); {
	case errors.Is(err, broker.ErrDuplicate):
		return writeJSON(w, http.StatusAccepted, published{Duplicate: true})
	case err != nil:
		return a.refused(err, "a message goes to /topic/…, /queue/… or /user/{name}/…, and to no pattern")
	}
	return writeJSON(w, http.StatusAccepted, published{MessageID: m.ID})
}

func (a *api) publishToUser(w http.ResponseWriter, r *http.Request) *problem {
	user, p := pathUser(r)
	if p != nil {
		return p
	}
	m, p := a.readMessage(w, r)
	if p != nil {
		return p
	}
	d, err := a.b.PublishToUser(r.Context(), user, m)
	answer := delivered{MessageID: m.ID, Subscriptions: d.Subscriptions, Unacknowledged: d.Unacknowledged}
	if partial := (*broker.PartialError)(nil); errors.As(err, &partial) {
		answer.Unanswered = partial.Missing
		err = nil
	}
	if err != nil {
		return a.refused(err, "a message to a user goes to /topic/… or /queue/…, and to no pattern")
	}
	return writeJSON(w, http.StatusOK, answer)
}

// refused converts an error of Broker.Publish. takes says which destinations
// are valid.
func (a *api) refused(err error, takes string) *problem {
	var partial *broker.PartialError
	switch {
	case errors.As(err, &partial):
		return unanswered(partial)
	case errors.Is(err, broker.ErrDestination):
		return problemf(http.StatusBadRequest, "%s; %s", strings.TrimPrefix(err.Error(), "broker: "), takes)
	case errors.Is(err, broker.ErrNUL), errors.Is(err, broker.ErrHeader):
		return problemf(http.StatusBadRequest, "%s", strings.TrimPrefix(err.Error(), "broker: "))
	case errors.Is(err, broker.ErrNoSession): // an answer, sent to /reply-queue/…
		return problemf(http.StatusNotFound, "the session that sent the request has gone")
	case errors.Is(err, broker.ErrQueueFull), errors.Is(err, broker.ErrLimit):
		p := problemf(http.StatusTooManyRequests, "%s", strings.TrimPrefix(err.Error(), "broker: "))
		p.retryAfter = time.Second
		return p
	case errors.Is(err, broker.ErrClosed):
		return problemf(http.StatusServiceUnavailable, "the broker is closed")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return problemf(http.StatusServiceUnavailable, "the request was given up, and the message may be published or not")
	}
	a.log.Warn("a message could not be stored for certain", "error", err)
	return problemf(http.StatusServiceUnavailable, "the store does not answer as it should: the message may be stored or not; the log says why")
}

// unanswered converts the error of an operation on other nodes.
func unanswered(e *broker.PartialError) *problem {
	return problemf(http.StatusServiceUnavailable, "no answer in time from %s: it may be done or not", strings.Join(e.Missing, ", "))
}

// readMessage reads the body of a request as a message and gives it a new id.
func (a *api) readMessage(w http.ResponseWriter, r *http.Request) (*broker.Message, *problem) {
	data, p := readObject(w, r, a.maxBody)
	if p != nil {
		return nil, p
	}
	m, err := parseMessage(data)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "%v", err)
	}
	m.ID = rand.Text()
	return m, nil
}

func parseMessage(data []byte) (*broker.Message, error) {
	m := new(broker.Message)
	var destination, contentType, body, encoded *string
	err := members("the request body", data, func(name string, value json.RawMessage) error {
		switch name {
		case "destination":
			return text(name, value, &destination)
		case "content_type":
			return text(name, value, &contentType)
		case "body":
			return text(name, value, &body)
		case "body_base64":
			return text(name, value, &encoded)
		case "headers":
			if string(value) == "null" { // like the other members
				return nil
			}
			return members(`"headers"`, value, func(name string, value json.RawMessage) error {
				var v *string
				if err := text(name, value, &v); err != nil || v == nil {
					return err
				}
				return addHeader(m, name, *v)
			})
		}
		return fmt.Errorf("there is no field %q, only destination, headers, body, body_base64 and content_type", name)
	})
	if err != nil {
		return nil, err
	}
	if destination == nil {
		return nil, errors.New(`"destination" is missing`)
	}
	m.Destination = *destination
	if contentType != nil {
		for _, h := range m.Headers {
			if h.Name == contentTypeHeader {
				return nil, errors.New(`the content type is given twice, as "content_type" and in "headers"`)
			}
		}
		if err := addHeader(m, contentTypeHeader, *contentType); err != nil {
			return nil, err
		}
	}
	switch {
	case body != nil && encoded != nil:
		return nil, errors.New(`"body" and "body_base64" exclude each other`)
	case body != nil:
		m.Body = []byte(*body)
	case encoded != nil:
		if m.Body, err = base64.StdEncoding.DecodeString(*encoded); err != nil {
			return nil, errors.New(`"body_base64" is not standard base64 with padding`)
		}
	}
	return m, nil
}

const contentTypeHeader = "content-type"

// addHeader refuses headers that the broker would silently drop. Line feeds and
// the like are escaped for clients of STOMP 1.2. No version can express NUL.
func addHeader(m *broker.Message, name, value string) error {
	switch {
	case name == "":
		return errors.New("a header has no name")
	case broker.Reserved(name):
		return fmt.Errorf("the header %q belongs to the protocol and cannot be given", name)
	case strings.Contains(name, "\x00") || strings.Contains(value, "\x00"):
		return fmt.Errorf("the header %q has a NUL", name)
	}
	m.Headers = append(m.Headers, broker.Header{Name: name, Value: value})
	return nil
}
