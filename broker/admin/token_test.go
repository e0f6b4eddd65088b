package admin

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// serve runs a request without a network, so that it works in a bubble.
func serve(h http.Handler, r *http.Request) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

// Without the token no path answers, not even to say whether it exists.
func TestTokenIsNeededEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, brokertest.New(t, broker.Options{}), Options{Profile: true})
		paths := []string{"GET /", "GET /nothing", "GET //livez", "GET /livez/", "GET /debug/pprof/", "GET /debug/pprof/heap", "PUT /api/v1/stats", "OPTIONS /api/v1/stats", "GET /metrics"}
		for _, rt := range (&api{}).routes() {
			paths = append(paths, rt.method+" "+rt.path)
		}
		for _, p := range paths {
			method, path, _ := strings.Cut(p, " ")
			for _, authorization := range []string{"", "Bearer", "Bearer ", token, "Basic " + token, "Bearer" + token} {
				r := request(t, method, "http://localhost"+path, "", "Authorization", authorization)
				begin := time.Now()
				a := serve(h, r)
				a.problem(t, http.StatusUnauthorized, "Authorization: Bearer")
				if a.header.Get("WWW-Authenticate") != "Bearer" || time.Since(begin) != 0 {
					t.Errorf("%s with %q: %v after %v", p, authorization, a.header, time.Since(begin))
				}
			}
			for _, wrong := range []string{token + "x", token[1:], strings.ToUpper(token), strings.Repeat("x", 10_000), token + "," + token} {
				begin := time.Now()
				a := serve(h, request(t, method, "http://localhost"+path, "", "Authorization", "Bearer "+wrong))
				a.problem(t, http.StatusUnauthorized, "wrong token")
				if a.header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` || time.Since(begin) != penalty {
					t.Errorf("%s: %v after %v", p, a.header, time.Since(begin))
				}
			}
		}
		twice := request(t, "GET", "http://localhost/api/v1/stats", "")
		twice.Header.Add("Authorization", "Bearer "+token)
		serve(h, twice).problem(t, http.StatusUnauthorized, "Authorization: Bearer")
		for _, right := range []string{"Bearer " + token, "bearer   " + token, "BEARER " + token + " "} {
			serve(h, request(t, "GET", "http://localhost/api/v1/stats", "", "Authorization", right)).json(t, http.StatusOK, &stats{})
		}
	})
}

// Whatever attackers try, the right token passes at once. Their own attempts
// are delayed, or refused when there are too many.
func TestWrongTokensAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := newHandler(t, brokertest.New(t, broker.Options{}), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		const wrong = "wrong-wrong-wrong-wrong"
		ctx, cancel := context.WithCancel(t.Context())
		try := func() answer {
			r := request(t, "GET", "http://localhost/api/v1/stats", "", "Authorization", "Bearer "+wrong)
			r.RemoteAddr = "192.0.2.7:1234"
			return serve(h, r.WithContext(ctx))
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for range maxPenalties {
			wg.Go(func() { try().problem(t, http.StatusUnauthorized, "wrong token") })
		}
		synctest.Wait()
		cancel() // disconnecting frees no slot
		synctest.Wait()
		a := try()
		a.problem(t, http.StatusTooManyRequests, "more than 16 wrong tokens at a time")
		if a.header.Get("Retry-After") != "1" || a.header.Get("Connection") != "close" {
			t.Errorf("%v", a.header)
		}
		serve(h, request(t, "GET", "http://localhost/api/v1/stats", "")).json(t, http.StatusOK, &stats{})
		if d := time.Since(begin); d != 0 {
			t.Errorf("these two waited %v", d)
		}
		wg.Wait()
		if d := time.Since(begin); d != penalty {
			t.Errorf("the wrong tokens were answered after %v", d)
		}
		if n := strings.Count(log.String(), "remote=192.0.2.7:1234"); n != 1 {
			t.Errorf("%d warnings, want 1", n)
		}
		time.Sleep(loglimit.Every)
		try().problem(t, http.StatusUnauthorized, "wrong token")
		if !strings.Contains(log.String(), "remote=192.0.2.7:1234 suppressed=16\n") {
			t.Errorf("the suppressed warnings are not counted: %s", &log)
		}
		if strings.Contains(log.String(), wrong) || strings.Contains(log.String(), token) {
			t.Error("the log has a token")
		}
	})
}

// An attacker cannot fill the log, neither with delayed attempts nor with
// refused ones.
func TestWrongTokensAreLoggedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := newHandler(t, brokertest.New(t, broker.Options{}), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		var wg sync.WaitGroup
		for i := range 1000 {
			r := request(t, "GET", "http://localhost/api/v1/stats", "", "Authorization", "Bearer wrong")
			r.RemoteAddr = fmt.Sprintf("192.0.2.7:%d", 1024+i)
			wg.Go(func() { serve(h, r) })
		}
		wg.Wait()
		if n := strings.Count(log.String(), "admin: wrong token"); n != 1 {
			t.Errorf("%d lines about 1,000 wrong tokens, want 1", n)
		}
		other := request(t, "GET", "http://localhost/api/v1/stats", "", "Authorization", "Bearer wrong")
		other.RemoteAddr = "198.51.100.1:4711"
		serve(h, other)
		if !strings.Contains(log.String(), "remote=198.51.100.1:4711") {
			t.Errorf("the line about another address is suppressed: %s", &log)
		}
	})
}

func TestWrongTokenOverHTTP(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	s.do(t, "GET", "/api/v1/stats", "", "Authorization", "").problem(t, http.StatusUnauthorized, "Bearer")
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`, "Authorization", "Bearer wrong").problem(t, http.StatusUnauthorized, "wrong")
	if n := s.b.Stats().Published; n != 0 {
		t.Errorf("%d messages were published", n)
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	for _, h := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
	} {
		s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`, h...).problem(t, http.StatusForbidden, "another origin")
		s.do(t, "POST", "/api/v1/tickets", `{"user":"ann"}`, h...).problem(t, http.StatusForbidden, "another origin")
		s.do(t, "POST", "/api/v1/revocations", `{"user":"ann"}`, h...).problem(t, http.StatusForbidden, "another origin")
		s.do(t, "DELETE", "/api/v1/sessions/x", "", h...).problem(t, http.StatusForbidden, "another origin")
	}
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`, "Sec-Fetch-Site", "same-origin").json(t, http.StatusAccepted, &published{})
	s.do(t, "POST", "/api/v1/messages", `{"destination":"/queue/x"}`, "Origin", s.http.URL).json(t, http.StatusAccepted, &published{})
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := start(t, broker.Options{}, Options{})
	for _, path := range []string{"/", "/api/v1", "/api/v1/messages/", "/api/v1/users/ann", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/api/v1/sessions/a%2Fb/c"} {
		s.do(t, "GET", path, "").problem(t, http.StatusNotFound, "nothing at this path")
	}
	for p, allow := range map[string]string{
		"GET /api/v1/messages":           "POST",
		"PUT /api/v1/messages":           "POST",
		"GET /api/v1/users/ann/messages": "POST",
		"POST /api/v1/stats":             "GET, HEAD",
		"DELETE /api/v1/sessions":        "GET, HEAD",
		"POST /api/v1/sessions/x":        "DELETE, GET, HEAD",
		"GET /api/v1/tickets":            "POST",
		"DELETE /api/v1/revocations":     "POST",
		"PUT /api/v1/users/ann/sessions": "GET, HEAD",
		"OPTIONS /api/v1/users":          "GET, HEAD",
		"PATCH /api/v1/destinations":     "GET, HEAD",
		"POST /api/v1/openapi.json":      "GET, HEAD",
		"POST /livez":                    "GET, HEAD",
		"DELETE /readyz":                 "GET, HEAD",
	} {
		method, path, _ := strings.Cut(p, " ")
		a := s.do(t, method, path, "")
		a.problem(t, http.StatusMethodNotAllowed, allow)
		if got := a.header.Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", p, got, allow)
		}
	}
	if a := s.do(t, "HEAD", "/api/v1/stats", ""); a.status != http.StatusOK || len(a.body) != 0 {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
}

func TestNewRefuses(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	for bad, want := range map[string]string{
		"":                         "empty",
		"short-secret":             "shorter than 16",
		strings.Repeat("x", 4097):  "longer than 4096",
		"sixteen and a bit":        "visible ASCII",
		"sixteen-and-a-line\n":     "visible ASCII",
		"sechzehn-Zeichen-und-ü-x": "visible ASCII",
	} {
		h, err := New(b, Options{Token: bad})
		if h != nil || err == nil || !strings.Contains(err.Error(), "Options.Token") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bad, err)
		}
		if bad != "" && err != nil && strings.Contains(err.Error(), bad) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
	if _, err := New(nil, Options{Token: token}); err == nil {
		t.Error("a nil Broker is taken")
	}
}

// A WebSocket client on the admin listener gets an answer that says so.
func TestWebSocketIsSentToThePublicListener(t *testing.T) {
	h := newHandler(t, brokertest.New(t, broker.Options{}), Options{})
	r := httptest.NewRequest("GET", "/ws", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "connect to the public listener") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
