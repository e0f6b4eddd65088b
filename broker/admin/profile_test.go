package admin

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestProfiles(t *testing.T) {
	s := start(t, broker.Options{}, Options{Profile: true})
	var list page[profileInfo]
	s.do(t, "GET", "/debug/pprof/", "").json(t, http.StatusOK, &list)
	if list.Total < 8 || list.Items[0].Name != "allocs" {
		t.Errorf("%+v", list)
	}
	for path, magic := range map[string]string{
		"heap?gc":              "\x1f\x8b",
		"goroutine":            "\x1f\x8b",
		"goroutine?debug=2":    "goroutine ",
		"profile?seconds=1":    "\x1f\x8b",
		"trace?seconds=1":      "go 1.",
		"threadcreate?debug=1": "threadcreate profile",
	} {
		a := s.do(t, "GET", "/debug/pprof/"+path, "")
		if a.status != http.StatusOK || !bytes.HasPrefix(a.body, []byte(magic)) {
			t.Errorf("%s: %d %.40q", path, a.status, a.body)
		}
	}
	for path, detail := range map[string]string{
		"heap?debug=3":      `"debug" must be`,
		"heap?seconds=1":    `no parameter "seconds"`,
		"profile?seconds=0": `"seconds" must be a number from 1 to 300`,
		"trace?seconds=x":   `"seconds" must be`,
	} {
		s.do(t, "GET", "/debug/pprof/"+path, "").problem(t, http.StatusBadRequest, detail)
	}
	s.do(t, "GET", "/debug/pprof/cmdline", "").problem(t, http.StatusNotFound, "no profile")
	s.do(t, "POST", "/debug/pprof/heap", "").problem(t, http.StatusMethodNotAllowed, "GET")
}

// Only one recording at a time. It ends with its request.
func TestProfileTwice(t *testing.T) {
	h := newHandler(t, brokertest.New(t, broker.Options{}), Options{Profile: true})
	first := request(t, "GET", "http://localhost/debug/pprof/trace?seconds=300", "")
	started, in := io.Pipe()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		h.ServeHTTP(pipeWriter{httptest.NewRecorder(), in}, first.WithContext(ctx))
		in.Close()
	})
	// The header of the trace arrives once it has begun.
	if _, err := io.ReadFull(started, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { _, _ = io.Copy(io.Discard, started) })
	a := serve(h, request(t, "GET", "http://localhost/debug/pprof/trace", ""))
	a.problem(t, http.StatusConflict, "another recording")
	if got := a.header.Get("Content-Disposition"); got != "" {
		t.Errorf("Content-Disposition %q", got)
	}
	cancel()
	testkit.Wait(t, &wg)
}

// Importing this package must not publish the profiles elsewhere.
func TestDefaultServeMuxIsLeftAlone(t *testing.T) {
	if _, pattern := http.DefaultServeMux.Handler(httptest.NewRequest("GET", "/debug/pprof/heap", nil)); pattern != "" {
		t.Errorf("http.DefaultServeMux serves %s", pattern)
	}
}

// pipeWriter is a ResponseWriter whose body goes to a pipe.
type pipeWriter struct {
	http.ResponseWriter
	in io.Writer
}

func (w pipeWriter) Write(p []byte) (int, error) { return w.in.Write(p) }
