//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Strangers who try tokens at the HTTP endpoints cannot make the broker ask the
// provider as fast as they can write, and a repeated token is not asked about again.
func TestWrongTokensOverHTTPSetAPace(t *testing.T) {
	var asked atomic.Int64
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"active":false}`) // the broker may be gone
	}))
	t.Cleanup(provider.Close)
	conf := write(t, "hoofbeat.yaml", "auth: {tickets: {enabled: true}, introspection: [{url: \""+provider.URL+"\"}]}\nwebflow: {enabled: true}\nlimits: {address_failures: 3}\n")
	s := serve(t, nil, "-c", conf)
	id := announced(t, s, "payment")
	poll := func(token string) int {
		status, _ := send(t, http.DefaultClient, "GET", s.web()+"/operations/"+id+"/result", http.Header{"Authorization": {"Bearer " + token}}, "")
		return status
	}
	for range 3 {
		if status := poll("wrong"); status != http.StatusNotFound {
			t.Errorf("a poll: HTTP %d", status)
		}
	}
	if n := asked.Load(); n != 1 { // unless 5 s passed between two of them
		t.Errorf("a token was asked about %d times", n)
	}
	for i := range 3 {
		poll(fmt.Sprintf("wrong-%d", i))
	}

	free, start := asked.Load(), time.Now()
	var crowd sync.WaitGroup
	var tooMany atomic.Int64
	for i := range 150 {
		crowd.Go(func() { poll(fmt.Sprintf("poll-%d", i)) })
		crowd.Go(func() {
			status, body := send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", http.Header{"Authorization": {fmt.Sprintf("Bearer ticket-%d", i)}}, "")
			if status == http.StatusTooManyRequests && strings.Contains(body, `"key":"limits.address_failures"`) && strings.Contains(body, "more than 3 invalid") {
				tooMany.Add(1)
			} else if status != http.StatusUnauthorized {
				t.Errorf("a ticket: HTTP %d %s", status, body)
			}
		})
	}
	crowd.Wait()
	took := time.Since(start)
	if n, most := asked.Load()-free, 2+int64(took/(50*time.Millisecond)); n > most {
		t.Errorf("the provider was asked about %d of 300 tokens in %v, want at most %d", n, took, most)
	}
	if tooMany.Load() == 0 {
		t.Errorf("nobody was told to come later in %v", took)
	}
}
