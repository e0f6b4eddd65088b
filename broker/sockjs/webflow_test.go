package sockjs_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

// webFlow is what Web Flow's page sends with stompjs 2.3.3, byte for byte.
var webFlow = []string{
	"CONNECT\nX-CSRF-TOKEN:t\naccept-version:1.1,1.0\nheart-beat:10000,10000\n\n\x00",
	"SUBSCRIBE\nid:sub-0\ndestination:/user/topic/registration\n\n\x00",
	"SEND\ndestination:/app/registration\ncontent-length:26\n\n{\"webSocketId\":\"12345678\"}\x00",
	"SUBSCRIBE\nid:sub-1\ndestination:/user/topic/authorization\n\n\x00",
	"UNSUBSCRIBE\nid:/user/topic/authorization\n\n\x00",
	"DISCONNECT\n\n\x00",
}

// E-2, W-11, C-1 to C-3 and C-5 to C-9: the recorded bytes, as SockJS carries
// them, cut in three ways.
func TestE2RecordedWebFlow(t *testing.T) {
	all := strings.Join(webFlow[:5], "")
	for name, messages := range map[string][]string{
		"frame by frame": webFlow[:5], "all in one": {all}, "octet by octet": strings.Split(all, ""),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
				p := &program{Broker: w.b, registered: make(map[string]string)}
				if err := w.b.Handle("/app/registration", broker.HandlerFunc(p.register)); err != nil {
					t.Fatal(err)
				}
				body, err := json.Marshal(messages)
				if err != nil {
					t.Fatal(err)
				}
				w.poll("a", "o")
				w.send("a", string(body))
				got := w.frames("a", 2)
				if !strings.HasPrefix(got[0], "CONNECTED\nversion:1.1\nheart-beat:10000,10000\n") {
					t.Errorf("got %q", got[0])
				}
				if !strings.HasPrefix(got[1], "MESSAGE\n") || !strings.Contains(got[1], "\nsubscription:sub-0\n") || !strings.Contains(got[1], "\ndestination:/user/topic/registration\n") ||
					!strings.HasSuffix(got[1], "\n\n{\"webSocketId\":\"12345678\",\"registrationSucceeded\":true}\x00") {
					t.Errorf("got %q", got[1])
				}
				synctest.Wait() // the SUBSCRIBE behind the SEND is handled
				if err := p.approve(t.Context(), &broker.Request{Body: []byte("12345678")}); err != nil {
					t.Fatal(err)
				}
				if got := w.frames("a", 1)[0]; !strings.HasSuffix(got, "\n\n{\"webSocketId\":\"12345678\",\"authResult\":\"CONFIRMED\"}\x00") {
					t.Errorf("got %q", got)
				}
				if body, err = json.Marshal(webFlow[5:]); err != nil {
					t.Fatal(err)
				}
				w.send("a", string(body))
				w.poll("a", `c[3000,"Go away!"]`)
				if e := w.ended(); e["disconnect"] != 1 || len(e) != 1 { // C-5
					t.Errorf("ended %v", e)
				}
			})
		})
	}
}

// frames polls until n messages have come.
func (w *world) frames(s string, n int) (list []string) {
	w.t.Helper()
	for len(list) < n {
		f := w.frame(s)
		var messages []string
		if err := json.Unmarshal([]byte(strings.TrimPrefix(f, "a")), &messages); err != nil {
			w.t.Fatalf("got %q", f)
		}
		list = append(list, messages...)
	}
	return list
}
