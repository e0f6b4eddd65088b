package admin

import (
	"encoding/json"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// FuzzMessages sends any body. What is taken is what encoding/json reads in it;
// what is not gets a problem; nothing fails inside.
func FuzzMessages(f *testing.F) {
	for _, s := range []string{
		`{"destination":"/topic/x","body":"hi","content_type":"text/plain","headers":{"a":"b"}}`,
		`{"destination":"/queue/x","body_base64":"AP8="}`,
		`{"destination":"/user/ann/queue/x","body":null,"headers":null}`,
		`{"destination":"/topic/x","destination":"/topic/y"}`,
		`{"destination":"/topic/\ud800","body":"\u0000"}`,
		`{"DESTINATION":"/topic/x"}`,
		`[[[[`, `{"headers":{"a":{}}}`, "\xff", `null`, ``,
	} {
		f.Add([]byte(s))
	}
	b := brokertest.New(f, broker.Options{Queues: broker.Queues{Messages: 10, Queues: 10}})
	h := newHandler(f, b, Options{MaxBody: 4096})
	f.Fuzz(func(t *testing.T, body []byte) {
		r := request(t, "POST", "http://localhost/api/v1/messages", string(body), "Content-Type", "application/json")
		a := serve(h, r)
		if a.status != http.StatusAccepted {
			switch a.status {
			case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
				a.problem(t, a.status, "")
			default:
				t.Fatalf("%d %s", a.status, a.body)
			}
			return
		}
		a.json(t, http.StatusAccepted, &published{})
		if !utf8.Valid(body) {
			t.Fatalf("%q was taken", body)
		}
		var want struct {
			Destination string             `json:"destination"`
			Headers     map[string]*string `json:"headers"`
			Body        *string            `json:"body"`
			BodyBase64  []byte             `json:"body_base64"`
			ContentType *string            `json:"content_type"`
		}
		decode(t, body, &want)
		m, err := parseMessage(json.RawMessage(body))
		if err != nil {
			t.Fatal(err)
		}
		content := string(want.BodyBase64)
		if want.Body != nil {
			content = *want.Body
		}
		if m.Destination != want.Destination || string(m.Body) != content {
			t.Fatalf("%q was read as %+v", body, m)
		}
		if want.ContentType != nil {
			if want.Headers == nil {
				want.Headers = make(map[string]*string)
			}
			want.Headers["content-type"] = want.ContentType
		}
		for _, h := range m.Headers {
			if v := want.Headers[h.Name]; v == nil || *v != h.Value || broker.Reserved(h.Name) {
				t.Fatalf("%q has the header %+v", body, h)
			}
		}
	})
}
