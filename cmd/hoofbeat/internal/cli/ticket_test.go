package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// adminAPI answers requests for tickets with a status and a body, and remembers
// what it was asked.
func adminAPI(t *testing.T, status int, body string) (url string, asked *map[string]any) {
	t.Helper()
	asked = new(map[string]any)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/api/v1/tickets" || r.Header.Get("Authorization") != "Bearer token-of-the-admin-api" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(asked); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the command may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestTicket(t *testing.T) {
	url, asked := adminAPI(t, http.StatusCreated, `{"ticket":"t1","expires":1767225600}`)
	env := []string{"HOOFBEAT_ADMIN_URL=" + url, "HOOFBEAT_ADMIN_TOKEN=token-of-the-admin-api"}
	c := start(t, nil, env, "ticket", "--user", "ann", "--role", "a", "--role", "b", "--ttl", "1m", "--operation", "o", "--origin", "https://a.example").wait(t, exitOK)
	if c.out.String() != "t1\n" {
		t.Errorf("printed %q", c.out.String())
	}
	want := map[string]any{"user": "ann", "roles": []any{"a", "b"}, "ttl": 60.0, "operation": "o", "origin": "https://a.example"}
	if !reflect.DeepEqual(*asked, want) {
		t.Errorf("asked %v, want %v", *asked, want)
	}
}

func TestTicketToken(t *testing.T) {
	url, _ := adminAPI(t, http.StatusCreated, `{"ticket":"t1"}`)
	dir := t.TempDir()
	path := filepath.Join(dir, "admin-token")
	if err := os.WriteFile(path, []byte("token-of-the-admin-api\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, []string{"STATE_DIRECTORY=" + dir}, "ticket", "--admin", url, "--user", "ann").wait(t, exitOK)
	start(t, nil, []string{"HOOFBEAT_ADMIN_TOKEN_FILE=" + path}, "ticket", "--admin", url, "--user", "ann").wait(t, exitOK)
	start(t, nil, []string{"HOOFBEAT_ADMIN_TOKEN=wrong"}, "ticket", "--admin", url, "--user", "ann", "--token-file", path).wait(t, exitOK)
	start(t, nil, []string{"HOOFBEAT_ADMIN_TOKEN=wrong"}, "ticket", "--admin", url, "--user", "ann").wait(t, exitRefused)
	contains(t, "no file", start(t, nil, nil, "ticket", "--admin", url, "--user", "ann", "--token-file", path+"x").wait(t, exitFailure).err.String(), "no such file")
}

func TestTicketErrors(t *testing.T) {
	env := []string{"HOOFBEAT_ADMIN_TOKEN=token-of-the-admin-api"}
	url, _ := adminAPI(t, http.StatusTooManyRequests, `{"title":"Too Many Requests","detail":"too many unused tickets"}`)
	contains(t, "429", start(t, nil, env, "ticket", "--admin", url, "--user", "ann").wait(t, exitFailure).err.String(), "HTTP 429 Too Many Requests: too many unused tickets\n")
	contains(t, "nobody", start(t, nil, env, "ticket", "--admin", "http://127.0.0.1:1", "--user", "ann").wait(t, exitFailure).err.String(), "the admin API at 127.0.0.1:1 cannot be reached: ")
	for _, args := range [][]string{
		{}, {"--user", "a\nb"}, {"--user", "ann", "--ttl", "1500ms"}, {"--user", "ann", "--ttl", "-1s"},
		{"--user", "ann", "--admin", "ftp://a"}, {"--user", "ann", "--timeout", "0s"}, {"--user", "ann", "x"},
	} {
		text := start(t, nil, env, append([]string{"ticket"}, args...)...).wait(t, exitUsage).err.String()
		if !strings.Contains(text, "See hoofbeat ticket --help") {
			t.Errorf("%v: %s", args, text)
		}
	}
}
