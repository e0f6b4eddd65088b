//go:build unix

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// pretend sends a request that names another host and comes from a page of it, as
// after DNS rebinding.
func pretend(t *testing.T, method, url, host, origin string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer.StatusCode, "" // the body is the socket
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

var upgradeHeaders = []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}

func TestDNSRebindingIntoDevelopmentMode(t *testing.T) {
	s := serve(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.web(), "http://"), ":")
	evil, home := "evil.example:"+port, "localhost:"+port
	for _, x := range []struct {
		method, path string
		headers      []string
		ok           int
	}{
		{"GET", "/ws", upgradeHeaders, 101},
		{"GET", "/ws/000/a/websocket", upgradeHeaders, 101},
		{"POST", "/ws/000/b/xhr", nil, 200},
		{"GET", "/ws/info", nil, 200},
		{"POST", "/ws_ticket", nil, 401},
		{"GET", "/", nil, 404},
	} {
		if status, body := pretend(t, x.method, s.web()+x.path, evil, "http://"+evil, x.headers...); status != 403 || !strings.Contains(body, `"error":"host not allowed`) {
			t.Errorf("%s: HTTP %d %s", x.path, status, body)
		}
		if status, body := pretend(t, x.method, s.web()+x.path, evil, "", x.headers...); status != 403 {
			t.Errorf("%s without Origin: HTTP %d %s", x.path, status, body)
		}
		if status, body := pretend(t, x.method, s.web()+x.path, home, "http://"+home, x.headers...); status != x.ok && !(x.ok == 401 && status == 404) {
			t.Errorf("%s as localhost: HTTP %d %s", x.path, status, body)
		}
	}
	if status, body := pretend(t, "GET", s.web()+"/ws", home, "http://"+evil, upgradeHeaders...); status != 403 || !strings.Contains(body, `"key":"websocket.origins"`) {
		t.Errorf("a page of another site: HTTP %d %s", status, body)
	}
	if status, _ := pretend(t, "GET", s.web()+"/livez", evil, ""); status != 200 {
		t.Errorf("/livez: HTTP %d", status)
	}
	if record := s.Logged(t, "host not allowed", 1); record["host"] != evil {
		t.Errorf("logged %v", record)
	}
	if record := s.Logged(t, "origin not allowed", 1); record["origin"] != "http://"+evil || record["key"] != "websocket.origins" {
		t.Errorf("logged %v", record)
	}
	if record := s.Logged(t, "ready", 1); !strings.Contains(record["origins"].(string), "localhost") {
		t.Errorf("logged %v", record)
	}

	// The admin listener, with the right token.
	bearer := []string{"Authorization", "Bearer " + s.token(t)}
	if status, body := pretend(t, "GET", s.admin+"/api/v1/stats", evil, "http://"+evil, bearer...); status != 403 || !strings.Contains(body, "localhost") {
		t.Errorf("admin: HTTP %d %s", status, body)
	}
	if status, body := pretend(t, "GET", s.admin+"/api/v1/stats", home, "", bearer...); status != 200 {
		t.Errorf("admin as localhost: HTTP %d %s", status, body)
	}
}

// Pages of the host that is asked are let in beside the list, at the ticket
// endpoint and over SockJS too; others are in the log.
func TestOwnHostBesideOrigins(t *testing.T) {
	file := write(t, "users.yaml", user(t, "ann", "one"))
	s := serve(t, []string{"HOOFBEAT_AUTH_USERS_FILE=" + file, "HOOFBEAT_WEBSOCKET_ORIGINS=https://app.example.com,null,http://localhost:*,capacitor://localhost"})
	host := strings.TrimPrefix(s.web(), "http://")
	for origin, ok := range map[string]bool{
		s.web(): true, "https://app.example.com": true, "null": true, "http://localhost:5173": true, "capacitor://localhost": true,
		"https://evil.example": false, "http://app.example.com": false, "https://localhost:5173": false, "file://": false,
	} {
		for path, headers := range map[string][]string{"/ws": upgradeHeaders, "/ws/000/a/websocket": upgradeHeaders} {
			if status, body := pretend(t, "GET", s.web()+path, host, origin, headers...); (status == 101) != ok || !ok && (status != 403 || !strings.Contains(body, `"origin":"`+origin+`"`)) {
				t.Errorf("%s of %s: HTTP %d %s", path, origin, status, body)
			}
		}
		if status, body := pretend(t, "POST", s.web()+"/ws_ticket", host, origin, "Authorization", basicAuth("ann", "one")); (status == 200) != ok || !ok && !strings.Contains(body, `"key":"websocket.origins"`) {
			t.Errorf("/ws_ticket of %s: HTTP %d %s", origin, status, body)
		}
	}
	// Beyond development mode a name is nothing that we know.
	if status, body := pretend(t, "GET", s.web()+"/ws", "broker.example", "http://broker.example", upgradeHeaders...); status != 101 {
		t.Errorf("another name: HTTP %d %s", status, body)
	}
	s.Logged(t, "origin not allowed", 1)
}
