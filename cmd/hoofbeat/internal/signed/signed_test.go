package signed

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/webhook"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	o.MaxAnswer = 10
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestPost(t *testing.T) {
	var good bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		signature := r.Header.Get(webhook.SignatureHeader)
		at, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
		then, _ := time.ParseDuration(at + "s")
		good = err == nil && string(body) == "{}" && signature == webhook.Signature([]byte("key"), body, time.Unix(0, 0).Add(then)) &&
			r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/json" && r.Header.Get("Hoofbeat-Delivery") == "7" && r.URL.Query().Get("k") == "secret"
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/long":
			_, _ = io.WriteString(w, "01234567890123")
		case "/elsewhere":
			t.Error("a redirect is followed")
		default:
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "0123456789")
		}
	}))
	defer s.Close()
	for path, want := range map[string]Answer{
		"/":         {Status: 418, Type: "text/html", Body: []byte("0123456789")},
		"/redirect": {Status: 302},
		"/long":     {Status: 200, Type: "text/plain; charset=utf-8", Body: []byte("0123456789"), More: true},
	} {
		c := newClient(t, Options{URL: s.URL + path + "?k=secret", Secret: "key"})
		a, err := c.Post(t.Context(), []byte("{}"), http.Header{"Hoofbeat-Delivery": {"7"}})
		if err != nil || a.Status != want.Status || a.Type != want.Type || string(a.Body) != string(want.Body) || a.More != want.More {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
		if !good || c.Place() != s.URL+path {
			t.Errorf("%s: a wrong request, place %s", path, c.Place())
		}
	}
}

// An error says whether the server may have got the request, and nothing of the
// URL's query.
func TestErrors(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			<-hang
			return
		}
		w.Header().Set("Content-Length", "9")
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	}))
	defer s.Close()
	defer close(hang)
	refuses := http.RoundTripper(&http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }})
	for _, tc := range []struct {
		o              Options
		want           string
		sent, timedOut bool
	}{
		{Options{URL: s.URL + "/hang?k=secret", Timeout: 50 * time.Millisecond}, "no answer within 50ms", true, true},
		{Options{URL: s.URL + "/half?k=secret"}, "it closed the connection before the answer was complete", true, false},
		{Options{URL: testkit.Raw(t, "") + "/?k=secret"}, "it closed the connection before the answer was complete", true, false},
		{Options{URL: "http://127.0.0.1:9/?k=secret", Transport: refuses}, "refused", false, false},
	} {
		_, err := newClient(t, tc.o).Post(t.Context(), nil, nil)
		var e *Error
		if !errors.As(err, &e) || e.Sent != tc.sent || e.TimedOut != tc.timedOut || !strings.Contains(e.Error(), tc.want) || strings.Contains(e.Error(), "secret") {
			t.Errorf("%s: %+v, want %q", tc.o.URL, err, tc.want)
		}
	}
}

func TestURL(t *testing.T) {
	for text, want := range map[string]error{
		"https://app.example.com/e":       nil,
		"http://127.0.0.1:9/e":            nil,
		"http://app.example.com/e":        ErrInsecure,
		"https://ann:secret@example.com/": ErrURL,
		"https://example.com/#f":          ErrURL,
		"app":                             ErrURL,
	} {
		if _, err := New(Options{URL: text}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	if _, err := New(Options{URL: "http://app.example.com/e", AllowHTTP: true}); err != nil {
		t.Error(err)
	}
}
