package admin

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	// defaultBody and maxBody limit how much of a body is shown.
	defaultBody = 1024
	maxBody     = 16 << 20
	// maxShown limits the bodies and headers of one page, unless the first
	// message alone has more.
	maxShown = 512 << 10
)

// queuedMessage is [broker.QueuedMessage] as JSON.
type queuedMessage struct {
	Sequence    uint64            `json:"sequence"`
	MessageID   string            `json:"message_id"`
	Destination string            `json:"destination"`
	Headers     map[string]string `json:"headers"` // of repeated ones the first
	Body        *string           `json:"body,omitempty"`
	BodyBase64  *string           `json:"body_base64,omitempty"` // instead, if it is not text
	BodyBytes   int               `json:"body_bytes"`            // of the whole body
	Truncated   bool              `json:"truncated"`
	Bytes       int               `json:"bytes"` // what counts against the limits
	Put         *time.Time        `json:"put,omitempty"`
	Expires     *time.Time        `json:"expires,omitempty"`
	Attempts    int               `json:"attempts"`
	Redelivered bool              `json:"redelivered"`
	Held        bool              `json:"held"`
}

// messagePage is part of the messages of a queue.
type messagePage struct {
	After uint64 `json:"after"`
	Limit int    `json:"limit"`
	// Next is the After of the next page, absent if there is none.
	Next  uint64          `json:"next,omitempty"`
	Items []queuedMessage `json:"items"`
}

// browse shows messages of a queue, the oldest first, and leaves them there.
func (a *api) browse(w http.ResponseWriter, r *http.Request) *problem {
	q, p := query(r, "after", "limit", "body")
	if p != nil {
		return p
	}
	after, p := sequence("the parameter \"after\"", q.Get("after"), !q.Has("after"))
	if p != nil {
		return p
	}
	limit, p := number(q, "limit", defaultPage, 1, maxPage)
	if p != nil {
		return p
	}
	body, p := number(q, "body", defaultBody, 0, maxBody)
	if p != nil {
		return p
	}
	page := messagePage{After: after, Limit: limit, Items: []queuedMessage{}}
	for shown := 0; len(page.Items) < limit; {
		n := min(limit-len(page.Items), 50) // few at a time, for they may be large
		list, err := a.b.Browse(r.Context(), r.PathValue("queue"), after, n)
		if err != nil {
			return a.queueProblem(err)
		}
		for i := range list {
			m, size := newQueuedMessage(&list[i], body)
			if shown += size; shown > maxShown && len(page.Items) > 0 {
				page.Next = after
				return writeJSON(w, http.StatusOK, page)
			}
			page.Items = append(page.Items, m)
			after = m.Sequence
		}
		if len(list) < n {
			return writeJSON(w, http.StatusOK, page)
		}
	}
	page.Next = after
	return writeJSON(w, http.StatusOK, page)
}

// sequence reads a place in a queue.
func sequence(what, text string, absent bool) (uint64, *problem) {
	if absent {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt64 {
		return 0, problemf(http.StatusBadRequest, "%s must be the sequence of a message, a whole number", what)
	}
	return n, nil
}

// newQueuedMessage shows at most so many bytes of the body. size is what it
// shows.
func newQueuedMessage(m *broker.QueuedMessage, body int) (out queuedMessage, size int) {
	out = queuedMessage{
		Sequence: m.Sequence, MessageID: m.Message.ID, Destination: m.Message.Destination,
		Headers: make(map[string]string, len(m.Message.Headers)), BodyBytes: len(m.Message.Body),
		Bytes: m.Bytes, Attempts: m.Attempts, Redelivered: m.Redelivered, Held: m.Held,
	}
	for _, h := range m.Message.Headers {
		if _, repeated := out.Headers[h.Name]; !repeated {
			out.Headers[h.Name] = h.Value
			size += len(h.Name) + len(h.Value)
		}
	}
	if !m.Put.IsZero() {
		at := m.Put.UTC().Round(time.Millisecond)
		out.Put = &at
	}
	if !m.Expires.IsZero() {
		at := m.Expires.UTC()
		out.Expires = &at
	}
	part := m.Message.Body
	if out.Truncated = len(part) > body; out.Truncated {
		part = cut(part, body)
	}
	if utf8.Valid(part) {
		text := string(part)
		out.Body = &text
	} else {
		text := base64.StdEncoding.EncodeToString(part)
		out.BodyBase64 = &text
	}
	return out, size + len(part)
}

// cut returns the first n bytes, or fewer so as not to cut a character of text.
func cut(body []byte, n int) []byte {
	part := body[:n]
	for back := 1; back <= min(utf8.UTFMax-1, n); back++ {
		if c := part[n-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(part[n-back:]) && utf8.Valid(part[:n-back]) {
				return part[:n-back]
			}
			break
		}
	}
	return part
}

// deleteMessage removes the message with a sequence.
func (a *api) deleteMessage(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	n, p := sequence("the last segment of the path", r.PathValue("sequence"), false)
	if p != nil {
		return p
	}
	return a.removeOne(w, r, broker.QueueSelection{Sequences: []uint64{n}})
}
