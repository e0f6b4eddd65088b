package webhook

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// secretText is what must never be seen outside of a question.
const secretText = "wonderland-7Qd"

// down is an address where nobody listens: the port of tcpmux, which no system
// hands out, unlike one that a listener has given back.
const down = "http://127.0.0.1:1"

func TestFailures(t *testing.T) {
	slow := func(release <-chan struct{}) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow":true,"user":"alice"}`)
	}))
	secure.Config.ErrorLog = discardLog
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := answering(t, 200, `{"allow":true}`)
	elsewhere := answering(t, 200, `{"allow":true,"user":"alice"}`)
	redirect := func(status int) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, status)
		}).URL
	}

	for name, tt := range map[string]struct {
		url     string
		timeout time.Duration
		cause   string
	}{
		"slow": {serve(t, slow(release)).URL, 20 * time.Millisecond, "no answer within "},
		"slow to end": {serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"allow":true`)
			_ = http.NewResponseController(w).Flush()
			slow(release)(w, r)
		}).URL, 20 * time.Millisecond, "no answer within "},
		"down":              {down, 0, "connection refused"},
		"an unknown issuer": {secure.URL, 0, "certificate"},
		"no TLS":            {strings.Replace(plain.URL, "http:", "https:", 1), 0, "not HTTP"},
		"panicking":         {serve(t, func(http.ResponseWriter, *http.Request) { panic("backend") }).URL, 0, "closed the connection"},
		"cut off": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"allow":true}`)
		}).URL, 0, "closed the connection"},
		"302":             {redirect(302), 0, "redirects"},
		"307":             {redirect(307), 0, "redirects"},
		"204":             {answering(t, 204, ``).URL, 0, "status 204"},
		"201":             {answering(t, 201, `{"allow":true}`).URL, 0, "status 201"},
		"404":             {answering(t, 404, `{"allow":true}`).URL, 0, "status 404"},
		"429":             {answering(t, 429, `{"allow":true}`).URL, 0, "status 429"},
		"500":             {answering(t, 500, secretText).URL, 0, "status 500"},
		"nothing":         {answering(t, 200, ``).URL, 0, "not a JSON object"},
		"a page":          {answering(t, 200, `<html>`+secretText).URL, 0, "not a JSON object"},
		"huge":            {answering(t, 200, `{"allow":true,"claims":{"x":"`+strings.Repeat("x", maxAnswer)+`"}}`).URL, 0, "64 KiB"},
		"not HTTP":        {testkit.Raw(t, secretText+"\r\n\r\n"), 0, "not HTTP"},
		"neither TLS":     {strings.Replace(testkit.Raw(t, secretText), "http:", "https:", 1), 0, "tls"},
		"hung up":         {testkit.Raw(t, ""), 0, "closed the connection"},
		"a broken header": {testkit.Raw(t, "HTTP/1.1 200 OK\r\n"+secretText+"\r\n\r\n"), 0, "not HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.timeout == 0 {
				tt.timeout = time.Minute // a busy machine must not be the cause
			}
			a := connect("alice", secretText)
			a.Bearer = secretText
			ask := func() (*Webhook, *auth.Principal, error) {
				w := newHook(t, Options{
					URL: tt.url + "?key=" + secretText, AllowHTTP: true, Timeout: tt.timeout,
					Events: []Event{Handshake, Connect, Subscribe, Send},
				})
				p, err := w.Authenticate(t.Context(), a)
				return w, p, err
			}
			w, p, err := ask()
			for errors.Is(err, errQueue) && tt.timeout < time.Minute { // the time was over before the question had its turn
				tt.timeout *= 4
				w, p, err = ask()
			}
			r := refusalOf(t, err)
			if tt.timeout < time.Minute {
				tt.cause += tt.timeout.String()
			}
			if p != nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.cause) {
				t.Errorf("connect: %v, %v", p, err)
			}
			if strings.Contains(err.Error(), secretText) || strings.Contains(r.Reason, secretText) {
				t.Errorf("a secret is in the error %q", err)
			}
			a = &auth.Attempt{Stage: auth.StageHandshake, Bearer: secretText, Header: func(string) string { return "" }}
			_, err = w.Authenticate(t.Context(), a)
			if r := refusalOf(t, err); r.Status != http.StatusServiceUnavailable || r.RetryAfter != time.Second {
				t.Errorf("handshake: %+v", r)
			}
			err = w.Authorize(t.Context(), alice, auth.Send, "/app/a")
			if !errors.Is(err, ErrUnavailable) || errors.Is(err, auth.ErrDenied) || strings.Contains(err.Error(), secretText) {
				t.Errorf("send: %v", err)
			}
			if c, err := w.AuthorizePattern(t.Context(), alice, "/topic/*"); c != auth.None || !errors.Is(err, ErrUnavailable) {
				t.Errorf("pattern: %v, %v", c, err)
			}
			if w.cache.order.Len() != 0 {
				t.Error("a failure was remembered")
			}
		})
	}
	if n := elsewhere.requests.Load(); n != 0 {
		t.Errorf("%d questions followed a redirect", n)
	}
}

func TestPanicInTheClient(t *testing.T) {
	w := newHook(t, Options{URL: inMemory, Client: &http.Client{Transport: transport(
		func(*http.Request) (*http.Response, error) { panic(secretText) })}})
	_, err := w.Authenticate(t.Context(), connect("alice", "x"))
	if refusalOf(t, err); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), secretText) {
		t.Errorf("connect: %v", err)
	}
	if err := w.Authorize(t.Context(), alice, auth.Send, "/a"); !errors.Is(err, errPanic) {
		t.Errorf("send: %v", err)
	}
	permissions, _ := w.permissions.Usage()
	identities, _ := w.identities.Usage()
	if permissions != 0 || identities != 0 || len(w.pending) != 0 {
		t.Error("a turn was not given back")
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var connections int
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch { // also after answers that nobody reads
		case strings.Contains(string(body), "/401"):
			w.WriteHeader(401)
		case strings.Contains(string(body), "/500"):
			w.WriteHeader(500)
		}
		_, _ = io.WriteString(w, strings.Repeat(" ", 10_000)+`{"allow":true}`)
	}))
	b.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections++ // by the one goroutine that accepts
		}
	}
	b.Start()
	w := newHook(t, Options{URL: b.URL})
	for _, destination := range []string{"/a", "/401", "/500", "/b", "/c"} {
		_ = w.Authorize(t.Context(), alice, auth.Send, destination)
	}
	b.Close()
	if connections != 1 {
		t.Errorf("%d connections for 5 questions one after the other, want 1", connections)
	}
}

// A connection that was kept may be closed by the backend just when the next
// question is sent on it.
func TestStaleConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		const ok = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"allow\":true}"
		buffer := make([]byte, 4096)
		for i := range 2 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(buffer)
			_, _ = io.WriteString(c, ok)
			if i == 0 {
				_, _ = c.Read(buffer) // the next question, which it takes and does not answer
			}
			_ = c.Close()
		}
	}()
	w := newHook(t, Options{URL: "http://" + l.Addr().String()})
	for _, destination := range []string{"/a", "/b"} {
		if err := w.Authorize(t.Context(), alice, auth.Send, destination); err != nil {
			t.Errorf("%s: %v", destination, err)
		}
	}
	_ = l.Close()
	testkit.Receive(t, ended)
}
