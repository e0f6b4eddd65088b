package interop_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/frames"
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

// csrf is an authenticator that remembers a header that means nothing to STOMP.
type csrf struct {
	mu   sync.Mutex
	seen []string
}

func (c *csrf) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage == auth.StageConnect {
		c.mu.Lock()
		c.seen = append(c.seen, a.Header("X-CSRF-TOKEN"))
		c.mu.Unlock()
	}
	return auth.TrustLogin.Authenticate(ctx, a)
}

// TestStompJS2 is stompjs 2.3.3. The script makes the calls, and here is read
// what they put on the wire: the statements are those of the reference.
func TestStompJS2(t *testing.T) {
	t.Parallel()
	run := node(t)
	var tokens csrf
	plain := start(t, broker.Options{Authenticator: &tokens})
	fast := start(t, quickly())
	still := start(t, broker.Options{HeartBeat: frames.HeartBeat{Send: -1, Receive: -1}})
	w, fw := tap(t, plain.URL), tap(t, fast.URL)
	run("stompjs2.mjs", brokers{URL: w.URL, Quick: fw.URL, Beat: quick.Milliseconds(), Still: still.URL})

	t.Run("what the broker gets is what the reference recorded", func(t *testing.T) {
		c := w.listen(t, "case=webflow")
		if got := texts(c.up); !slices.Equal(got, webFlow) {
			t.Errorf("sent to the broker:\n%q\nwant\n%q", got, webFlow)
		}
		if got := texts(c.down); len(got) != 2 {
			t.Errorf("the page got %q, want CONNECTED and one MESSAGE", got)
		}
		message := c.frame(t, "MESSAGE")
		if _, body, _ := strings.Cut(message, "\n\n"); body != "{\"webSocketId\":\"12345678\",\"registrationSucceeded\":true}\x00" {
			t.Errorf("W-1: the reply is %q", body)
		}
	})
	t.Run("C-1 on the wire", func(t *testing.T) {
		connect := texts(w.listen(t, "case=C-1").up)[0]
		if _, ok := header(connect, "host"); ok || !strings.Contains(connect, "accept-version:1.1,1.0\n") {
			t.Errorf("this is no CONNECT of 1.1 without host: %q", connect)
		}
	})
	t.Run("C-2 on the wire", func(t *testing.T) {
		for _, query := range []string{"case=C-2", "case=C-2-none"} {
			if v, ok := header(w.listen(t, query).frame(t, "CONNECTED"), "heart-beat"); !ok || v != "10000,10000" {
				t.Errorf("%s: heart-beat is %q", query, v)
			}
		}
	})
	t.Run("C-3 on the wire", func(t *testing.T) {
		c := w.listen(t, "case=C-3")
		if !slices.Contains(texts(c.up), "UNSUBSCRIBE\nid:/user/topic/authorization\n\n\x00") {
			t.Errorf("the page did not send it: %q", texts(c.up))
		}
		noErrors(t, c)
	})
	t.Run("C-4 on the wire", func(t *testing.T) {
		var sizes []int
		for _, m := range texts(w.listen(t, "case=C-4").up)[2:5] {
			sizes = append(sizes, len(m))
		}
		if want := []int{16384, 16384, 40000 + len("SEND\ndestination:/app/echo\ncontent-length:40000\n\n\x00") - 2*16384}; !slices.Equal(sizes, want) {
			t.Errorf("the SEND came in messages of %d, want %d", sizes, want)
		}
	})
	t.Run("C-5 counts as a clean end", func(t *testing.T) {
		for _, query := range []string{"case=C-5", "case=webflow"} {
			c := w.listen(t, query)
			if up := texts(c.up); up[len(up)-1] != "DISCONNECT\n\n\x00" {
				t.Errorf("%s: the last frame was %q", query, up[len(up)-1])
			}
			noErrors(t, c)
			session, _ := header(c.frame(t, "CONNECTED"), "session")
			if r := plain.reasonOf(session); r != broker.ReasonDisconnect {
				t.Errorf("%s: the session ended with %v", query, r)
			}
			last := c.down[len(c.down)-1]
			if code, _ := ws.ParseCloseFrameData([]byte(last.data)); last.op != ws.OpClose || code != 1000 && code != ws.StatusNoStatusRcvd {
				t.Errorf("%s: the broker closed with %d", query, code)
			}
		}
		plain.quiet(t)
	})
	t.Run("C-6 on the wire", func(t *testing.T) {
		c := w.listen(t, "case=C-6")
		for _, m := range texts(c.up) {
			if _, ok := header(m, "ack"); ok || strings.HasPrefix(m, "ACK") {
				t.Errorf("this page knows of no acknowledgement: %q", m)
			}
		}
		noErrors(t, c)
	})
	t.Run("C-7 the authenticator sees the header", func(t *testing.T) {
		tokens.mu.Lock()
		defer tokens.mu.Unlock()
		for _, want := range []string{"t", "f81d4fae", ""} {
			if !slices.Contains(tokens.seen, want) {
				t.Errorf("no CONNECT with X-CSRF-TOKEN %q among %q", want, tokens.seen)
			}
		}
	})
	t.Run("C-8 on the wire", func(t *testing.T) {
		c := fw.listen(t, "case=C-8")
		beats := 0
		for _, m := range texts(c.down) {
			switch {
			case m == "\n":
				beats++
			case strings.IndexByte(m, 0) != len(m)-1 || strings.HasPrefix(m, "\n"):
				t.Errorf("neither a heart-beat nor one frame: %q", m)
			}
		}
		if beats < 5 {
			t.Errorf("%d heart-beats", beats)
		}
		for _, m := range c.down {
			if m.op != ws.OpText && m.op != ws.OpClose {
				t.Errorf("a message of opcode %d", m.op)
			}
		}
		if up := texts(c.up); !slices.Contains(up, "\n") {
			t.Error("the page sent no heart-beat")
		}
		fast.quiet(t)
	})
	t.Run("C-9 on the wire", func(t *testing.T) {
		for query, want := range map[string][2]string{"case=C-9": {"", ""}, "case=C-9-client": {"v10.stomp,v11.stomp", "v11.stomp"}} {
			c := w.listen(t, query)
			offered, chosen := c.request.Header.Get("Sec-Websocket-Protocol"), c.response.Header.Get("Sec-Websocket-Protocol")
			if got := [2]string{offered, chosen}; got != want {
				t.Errorf("%s: offered and chosen are %q, want %q", query, got, want)
			}
			if v, _ := header(c.frame(t, "CONNECTED"), "version"); v != "1.1" {
				t.Errorf("%s: version %s", query, v)
			}
		}
	})
}

func noErrors(t *testing.T, c *talk) {
	t.Helper()
	for _, m := range texts(c.down) {
		if strings.HasPrefix(m, "ERROR") {
			t.Errorf("the broker sent %q", m)
		}
	}
}
