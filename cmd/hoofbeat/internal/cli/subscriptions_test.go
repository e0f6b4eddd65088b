package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSubscriptions(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		switch {
		case r.Header.Get("Authorization") != "Bearer t":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodGet && r.FormValue("offset") == "0":
			_, _ = w.Write([]byte(`{"total":2,"offset":0,"limit":1000,"items":[{"user":"ann","name":"in\nbox","destination":"/topic/a","connected":true,"messages":3,"bytes":900,"oldest":61.4,"dropped":2}]}`)) // the command may be gone
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"total":2,"offset":1,"limit":1000,"items":[{"user":"bob","name":"x","destination":"/topic/b"}]}`))
		case r.RequestURI == "/api/v1/users/a%2Fn/subscriptions":
			_, _ = w.Write([]byte(`{"deleted":4}`))
		case r.RequestURI == "/api/v1/users/a%2Fn/subscriptions/none":
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"detail":"the user has no durable subscription with this name"}`))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer s.Close()
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.URL, "HOOFBEAT_ADMIN_TOKEN=t"}
	const table = "USER  NAME     DESTINATION  CONNECTED  MESSAGES  BYTES  OLDEST  DROPPED\n" +
		"ann   in\\nbox  /topic/a     true       3         900    1m1s    2\n" +
		"bob   x        /topic/b     false      0         0      0s      0\n"
	for _, args := range [][]string{{"subscriptions"}, {"subscriptions", "list"}} {
		if got := start(t, nil, env, args...).wait(t, exitOK).out.String(); got != table {
			t.Errorf("%v prints\n%s, want\n%s", args, got, table)
		}
	}
	start(t, nil, env, "subscriptions", "ls", "--user", "a&n").wait(t, exitOK)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"x/y", "z"}, "2 deleted\n"},
		{[]string{".", ".."}, "2 deleted\n"},
		{[]string{"--all"}, "4 deleted\n"},
	} {
		if got := start(t, nil, env, append([]string{"subscriptions", "rm", "--user", "a/n"}, c.args...)...).wait(t, exitOK).out.String(); got != c.want {
			t.Errorf("rm %v prints %q, want %q", c.args, got, c.want)
		}
	}
	contains(t, "404", start(t, nil, env, "subscriptions", "rm", "--user", "a/n", "none").wait(t, exitFailure).err.String(), "none: the admin API answers HTTP 404 Not Found: the user has no durable subscription with this name")
	want := []string{
		"GET /api/v1/subscriptions?limit=1000&offset=0", "GET /api/v1/subscriptions?limit=1000&offset=1",
		"GET /api/v1/subscriptions?limit=1000&offset=0", "GET /api/v1/subscriptions?limit=1000&offset=1",
		"GET /api/v1/subscriptions?limit=1000&offset=0&user=a%26n", "GET /api/v1/subscriptions?limit=1000&offset=1&user=a%26n",
		"DELETE /api/v1/users/a%2Fn/subscriptions/x%2Fy", "DELETE /api/v1/users/a%2Fn/subscriptions/z",
		"DELETE /api/v1/users/a%2Fn/subscriptions/%2E", "DELETE /api/v1/users/a%2Fn/subscriptions/%2E%2E", // not all of the user, nor the user
		"DELETE /api/v1/users/a%2Fn/subscriptions", "DELETE /api/v1/users/a%2Fn/subscriptions/none",
	}
	for i := range want {
		if i >= len(asked) || asked[i] != want[i] {
			t.Fatalf("asked %q, want %q", asked, want)
		}
	}
	contains(t, "rm", start(t, nil, env, "subscriptions", "rm", "x").wait(t, exitUsage).err.String(), "--user")
	contains(t, "rm", start(t, nil, env, "subscriptions", "rm", "--user", "ann").wait(t, exitUsage).err.String(), "want names or --all")
	contains(t, "rm", start(t, nil, env, "subscriptions", "rm", "--user", "ann", "--all", "x").wait(t, exitUsage).err.String(), "want names or --all")
	start(t, nil, []string{"HOOFBEAT_ADMIN_URL=" + s.URL, "HOOFBEAT_ADMIN_TOKEN=wrong"}, "subscriptions").wait(t, exitRefused)
}
