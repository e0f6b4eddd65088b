//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// E-10 by JSON Web Tokens: a session is renewed in place with a new token, and ends
// so long after the end of that token as auth.jwt[].leeway says.
func TestE10RenewalByToken(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", fmt.Sprintf("auth:\n  jwt: [{issuer: %q, audience: hoofbeat, leeway: 1s}]\n", p.URL)))
	token := func(d time.Duration) string {
		return p.sign(map[string]any{"aud": "hoofbeat", "sub": "ann", "jti": random(), "exp": time.Now().Add(d).Unix()})
	}
	// The first is good for longer than the test may take, and the second until a
	// busy machine has come to the renewal.
	const first, second = 10 * time.Minute, 20 * time.Second
	conn := connectAs(t, "ann", s.url, client.Options{Header: bearerHeader(token(first))})
	notices := subscribed(t, conn, "/user/topic/session")
	session := conn.Header().Get("session")
	since := time.Now()
	if err := conn.Send("/app/session/refresh", "", nil, stomp.SendOpt.Header("Authorization", "Bearer "+token(second))); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(next(t, notices), "auth-renewed") {
	}
	select {
	case <-conn.Done():
	case <-time.After(60 * time.Second): // with the default leeway it would live for 80 s
		t.Fatal("the session outlives its credential")
	}
	if d := time.Since(since); d < second { // exp counts in whole seconds, and the leeway is one
		t.Errorf("it ended after %v, before its credential", d)
	}
	if err := conn.Err(); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("session %s ended with %v", session, err)
	}
	refused(t, http.StatusUnauthorized, s.url, client.Options{Header: bearerHeader(token(-2 * time.Second))})
}

// S-3: the command line gets a ticket for a backend that is nobody in particular.
func TestS3BackendTicketByCommand(t *testing.T) {
	rules := write(t, "hoofbeat.yaml", "rules: [{allow: [send], destination: /topic/news, roles: [backend]}]\n")
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_ADMIN_TOKEN=" + testToken}, "-c", rules)
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + testToken}
	ticket := strings.TrimSpace(run(t, 0, env, "ticket", "--backend").Stdout())
	conn := connectAs(t, "", s.url+"?ticket="+ticket, client.Options{})
	if err := conn.Send("/topic/news", "text/plain", []byte("x"), stomp.SendOpt.Receipt); err != nil {
		t.Errorf("a backend cannot send: %v", err)
	}
	refused(t, http.StatusUnauthorized, s.url+"?ticket="+ticket, client.Options{}) // S-8
	run(t, 2, env, "ticket", "--backend", "--user", "ann")
}
