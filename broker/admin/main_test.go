package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-for-the-tests"

// server is a broker with its admin API on a port of its own.
type server struct {
	b    *broker.Broker
	http *httptest.Server
}

func start(t testing.TB, bo broker.Options, o Options) *server {
	t.Helper()
	b := brokertest.New(t, bo)
	s := &server{b, httptest.NewServer(newHandler(t, b, o))}
	t.Cleanup(s.http.Close)
	return s
}

func newHandler(t testing.TB, b *broker.Broker, o Options) http.Handler {
	t.Helper()
	o.Token = token
	h, err := New(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes a good request; headers, as name, value, replace those it has,
// and an empty value removes one.
func request(t testing.TB, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	return r
}

func (s *server) do(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	res, err := s.http.Client().Do(request(t, method, s.http.URL+path, body, headers...))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s %s: Cache-Control is %q", method, path, got)
	}
	return answer{res.StatusCode, res.Header, data}
}

// json decodes the answer, which must have that status and no member that v
// lacks.
func (a answer) json(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Fatalf("content type %q", got)
	}
	decode(t, a.body, v)
}

// problem wants a problem with that status and detail in the detail.
func (a answer) problem(t testing.TB, status int, detail string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("content type %q", got)
	}
	var p problem
	decode(t, a.body, &p)
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Status != status {
		t.Errorf("problem %+v", p)
	}
	if !strings.Contains(p.Detail, detail) || strings.ContainsAny(p.Detail, "\r\n") {
		t.Errorf("detail %q, want %q on one line", p.Detail, detail)
	}
	if strings.Contains(string(a.body), token) {
		t.Error("the answer repeats the token")
	}
}

func decode(t testing.TB, data []byte, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}
