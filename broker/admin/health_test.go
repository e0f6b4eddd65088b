package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	want := StoreStats{Status: "ok", Streams: 2, Messages: 3, Stored: 4, Limit: 5, Free: 6, Size: 7, Reserve: 8, Restarts: 1}
	s := start(t, broker.Options{Node: "n"}, Options{Store: func() *StoreStats { return &want }})
	var got fullStats
	s.do(t, "GET", "/api/v1/stats", "").json(t, http.StatusOK, &got)
	if got.Store == nil || *got.Store != want || got.Node != "n" {
		t.Errorf("%+v", got)
	}
	for _, o := range []Options{{}, {Store: func() *StoreStats { return nil }}} {
		if a := start(t, broker.Options{}, o).do(t, "GET", "/api/v1/stats", ""); strings.Contains(string(a.body), `"store"`) {
			t.Errorf("without a store: %s", a.body)
		}
	}
}
