package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// flowAPI answers reports of results with a status and a body, and remembers the
// path and the result of the last one.
func flowAPI(t *testing.T, status int, body string) (url string, path, result *string) {
	t.Helper()
	path, result = new(string), new(string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Result string }
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer token-of-the-admin-api" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		*path, *result = r.URL.EscapedPath(), asked.Result
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the command may be gone
	}))
	t.Cleanup(s.Close)
	return s.URL, path, result
}

func TestNotify(t *testing.T) {
	env := []string{"HOOFBEAT_ADMIN_TOKEN=token-of-the-admin-api"}
	for delivered, want := range map[bool]string{true: "delivered\n", false: "held\n"} {
		url, path, result := flowAPI(t, http.StatusOK, fmt.Sprintf(`{"delivered":%t}`, delivered))
		c := start(t, nil, env, "notify", "--admin", url, "login-1", "CONFIRMED").wait(t, exitOK)
		if c.out.String() != want || *path != "/api/v1/operations/login-1/result" || *result != "CONFIRMED" {
			t.Errorf("printed %q, asked %s %s", c.out.String(), *path, *result)
		}
	}
	// An operation is one segment of the path, whatever it is called.
	url, path, _ := flowAPI(t, http.StatusOK, `{}`)
	for operation, want := range map[string]string{"..": "%2E%2E", "a/b?c#d": "a%2Fb%3Fc%23d", "50% /../x": "50%25%20%2F%2E%2E%2Fx"} {
		start(t, nil, env, "notify", "--admin", url+"/base", operation, "DONE").wait(t, exitOK)
		if *path != "/base/api/v1/operations/"+want+"/result" {
			t.Errorf("%s: path %s", operation, *path)
		}
	}
}

func TestNotifyErrors(t *testing.T) {
	env := []string{"HOOFBEAT_ADMIN_TOKEN=token-of-the-admin-api"}
	url, _, _ := flowAPI(t, http.StatusNotFound, `{"title":"Not Found","detail":"there is no such operation"}`)
	contains(t, "404", start(t, nil, env, "notify", "--admin", url, "o", "DONE").wait(t, exitFailure).err.String(), "HTTP 404 Not Found: there is no such operation\n")
	start(t, nil, []string{"HOOFBEAT_ADMIN_TOKEN=wrong"}, "notify", "--admin", url, "o", "DONE").wait(t, exitRefused)
	for _, args := range [][]string{
		{}, {"o"}, {"o", "DONE", "x"}, {"", "DONE"}, {"o", ""}, {strings.Repeat("o", 257), "DONE"},
		{"o", "DONE", "--timeout", "0s"}, {"o", "DONE", "--admin", "ftp://a"},
	} {
		text := start(t, nil, env, append([]string{"notify"}, args...)...).wait(t, exitUsage).err.String()
		contains(t, fmt.Sprint(args), text, "See hoofbeat notify --help")
	}
}
