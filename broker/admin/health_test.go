package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestHealth(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	for name, h := range map[string]http.Handler{"Health": Health(b), "New": newHandler(t, b, Options{})} {
		for _, path := range []string{"/livez", "/readyz"} {
			a := serve(h, httptest.NewRequest("GET", path, nil))
			if a.status != http.StatusOK || string(a.body) != "ok\n" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %q", name, path, a.status, a.body)
			}
			var v health
			serve(h, httptest.NewRequest("GET", path+"?verbose", nil)).json(t, http.StatusOK, &v)
			if v.Status != "ok" || v.Reasons == nil || len(v.Reasons) != 0 {
				t.Errorf("%s %s: %+v", name, path, v)
			}
		}
	}
	serve(Health(b), httptest.NewRequest("GET", "/api/v1/stats", nil)).problem(t, http.StatusNotFound, "nothing")
}

// A load balancer removes a draining broker, and nothing restarts it.
func TestReadiness(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	h := newHandler(t, b, Options{})
	for _, stage := range []struct {
		end    func() error
		reason string
	}{
		{func() error { return b.Drain(context.Background()) }, "the broker is draining"},
		{b.Close, "the broker is closed"},
	} {
		if err := stage.end(); err != nil {
			t.Fatal(err)
		}
		if a := serve(h, httptest.NewRequest("GET", "/readyz", nil)); a.status != http.StatusServiceUnavailable || string(a.body) != "not ready\n" {
			t.Errorf("%d %q", a.status, a.body)
		}
		var v health
		serve(h, httptest.NewRequest("GET", "/readyz?verbose", nil)).json(t, http.StatusServiceUnavailable, &v)
		if v.Status != "not ready" || fmt.Sprint(v.Reasons) != "["+stage.reason+"]" {
			t.Errorf("%+v", v)
		}
		if a := serve(h, httptest.NewRequest("GET", "/livez", nil)); a.status != http.StatusOK {
			t.Errorf("/livez: %d", a.status)
		}
	}
}

// The program can be unready although its broker is ready.
func TestReadinessOfTheProgram(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var unready error
	ready := func() error { return unready }
	for name, h := range map[string]http.Handler{"Health": Health(b, ready), "New": newHandler(t, b, Options{Ready: ready})} {
		unready = nil
		if a := serve(h, httptest.NewRequest("GET", "/readyz", nil)); a.status != http.StatusOK {
			t.Errorf("%s: %d", name, a.status)
		}
		unready = errors.New("the store is not available")
		var v health
		serve(h, httptest.NewRequest("GET", "/readyz?verbose", nil)).json(t, http.StatusServiceUnavailable, &v)
		if v.Status != "not ready" || fmt.Sprint(v.Reasons) != "[the store is not available]" {
			t.Errorf("%s: %+v", name, v)
		}
		if a := serve(h, httptest.NewRequest("GET", "/livez", nil)); a.status != http.StatusOK {
			t.Errorf("%s: /livez: %d", name, a.status)
		}
	}
}

func TestStoreInTheStatistics(t *testing.T) {
	want := StoreStats{Status: "ok", Streams: 2, Messages: 3, Stored: 4, Limit: 5, Free: 6, Size: 7, Reserve: 8, Restarts: 1, ByStream: []StreamStats{{"A", 1, 2, 3}, {"B", 4, 5, -1}}}
	s := start(t, broker.Options{Node: "n"}, Options{Store: func() *StoreStats { return &want }})
	var got fullStats
	s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &got)
	if got.Store == nil || !reflect.DeepEqual(*got.Store, want) || got.Node != "n" {
		t.Errorf("%+v", got)
	}
	for _, o := range []Options{{}, {Store: func() *StoreStats { return nil }}} {
		if a := start(t, broker.Options{}, o).do(t, "GET", "/api/v1/stats", ""); strings.Contains(string(a.body), `"store"`) {
			t.Errorf("without a store: %s", a.body)
		}
	}
}

// Before there is a broker, only the program's life and the reason are told.
func TestHealthOfAStart(t *testing.T) {
	h := Starting(func() error { return errors.New("recovering the store: 1 of 3 streams") })
	if a := serve(h, httptest.NewRequest("GET", "/livez", nil)); a.status != http.StatusOK {
		t.Errorf("/livez: %d", a.status)
	}
	if a := serve(h, httptest.NewRequest("GET", "/readyz", nil)); a.status != http.StatusServiceUnavailable || string(a.body) != "not ready\n" {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	var v health
	serve(h, httptest.NewRequest("GET", "/readyz?verbose", nil)).json(t, http.StatusServiceUnavailable, &v)
	if fmt.Sprint(v.Reasons) != "[recovering the store: 1 of 3 streams]" {
		t.Errorf("%+v", v)
	}
	for _, r := range []*http.Request{httptest.NewRequest("GET", "/healthz", nil), httptest.NewRequest("POST", "/api/v1/messages", nil)} {
		a := serve(h, r)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "5" || !strings.Contains(string(a.body), "recovering the store") {
			t.Errorf("%s: %d %v %s", r.URL, a.status, a.header, a.body)
		}
	}
}

func TestExportOfTheStore(t *testing.T) {
	if a := start(t, broker.Options{}, Options{}).do(t, "POST", "/api/v1/store/export", ""); a.status != http.StatusNotFound {
		t.Errorf("without a store: %d", a.status)
	}
	for name, x := range map[string]struct {
		write  string
		err    error
		status int
	}{"complete": {"everything", nil, 200}, "not begun": {"", errors.New("the store is being exported already"), 503}, "broken off": {"half of", errors.New("gone"), 0}} {
		h := newHandler(t, brokertest.New(t, broker.Options{}), Options{Export: func(_ context.Context, w io.Writer) error {
			if x.write != "" {
				_, _ = io.WriteString(w, x.write)
			}
			return x.err
		}})
		func() {
			defer func() {
				if p := recover(); (p == http.ErrAbortHandler) != (x.status == 0) {
					t.Errorf("%s: panic %v", name, p)
				}
			}()
			a := serve(h, request(t, "POST", "http://localhost/api/v1/store/export", ""))
			if a.status != x.status || x.err == nil && string(a.body) != x.write || x.err != nil && !strings.Contains(string(a.body), x.err.Error()) {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}()
	}
}
