package admin

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Every request that changes something is logged with its sender. Reading and
// publishing are not administration.
func TestChangesAreLoggedWithTheirCaller(t *testing.T) {
	var log bytes.Buffer
	b := brokertest.New(t, broker.Options{})
	h := newHandler(t, b, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := brokertest.Connect(t, b)
	for _, tc := range []struct {
		method, path, body string
		status             int
		logged             bool
	}{
		{"DELETE", "/api/v1/sessions/" + c.Session + "?reason=maintenance", "", 204, true},
		{"DELETE", "/api/v1/sessions/" + strings.Repeat("x", 1000), "", 404, true},
		{"POST", "/api/v1/messages", `{"destination":"/topic/a","body":"x"}`, 202, false},
		{"GET", "/api/v1/sessions", "", 200, false},
	} {
		log.Reset()
		r := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("User-Agent", "curl/8")
		r.RemoteAddr = "192.0.2.9:4711"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s %.40s: status %d, want %d: %s", tc.method, tc.path, w.Code, tc.status, w.Body)
		}
		got := log.String()
		if !tc.logged {
			if strings.Contains(got, "admin request") {
				t.Errorf("%s %s is logged: %s", tc.method, tc.path, got)
			}
			continue
		}
		for _, want := range []string{"level=INFO", `msg="admin request"`, "method=" + tc.method, "/api/v1/sessions/", "remote=192.0.2.9:4711", "user_agent=curl/8", fmt.Sprint("status=", tc.status)} {
			if !strings.Contains(got, want) {
				t.Errorf("%s %.40s: the log lacks %q: %s", tc.method, tc.path, want, got)
			}
		}
		if len(got) > 700 || strings.Contains(got, token) {
			t.Errorf("the record is too long or has the token: %s", got)
		}
	}
}
