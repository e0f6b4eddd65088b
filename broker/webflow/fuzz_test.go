package webflow

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// For any body: an accepted id can be echoed, and the echo is the equivalent
// JSON; an invalid id is not echoed.
func FuzzRegistrationBody(f *testing.F) {
	for _, s := range []string{
		`{"webSocketId":"12345678"}`, `{"webSocketId":""}`, `{"webSocketId":7}`, `{}`, `[]`, `null`, `"x"`, `{"webSocketId":"\ud800"}`,
		`{"webSocketId":"a","webSocketId":"b"}`, `{"WebSocketID":"a"}`, "{\"webSocketId\":\"\xff\"}", `{"webSocketId":"\u003c\u2028\"\\"}`, ``, `{"webSocketId":"a"}{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const most = 256
		id, ok := parseRegistration(body, most)
		if ok != (id != "") || len(id) > most || !utf8.ValidString(id) {
			t.Fatalf("parseRegistration(%q) = %q, %v", body, id, ok)
		}
		for _, reply := range [][]byte{success(id, Full), success(id, Minimal), refusal(id, ""), refusal(id, "superseded"), notification(id, "DONE"), waiting(id)} {
			var got struct {
				WebSocketID string `json:"webSocketId"`
			}
			if err := json.Unmarshal(reply, &got); err != nil || got.WebSocketID != id {
				t.Fatalf("the reply to %q is %s: %v", body, reply, err)
			}
		}
		if !ok {
			return
		}
		var same struct {
			ID string `json:"webSocketId"`
		}
		again, ok := parseRegistration(success(id, Full), most)
		if err := json.Unmarshal(success(id, Minimal), &same); err != nil || !ok || again != id {
			t.Fatalf("%q is read from the echo as %q, %v", id, again, err)
		}
	})
}
