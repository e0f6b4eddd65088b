package oauth

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestA10E15SecretsStayHere runs good and bad flows and then looks for every
// secret in all that was logged, returned as an error or sent to the browser.
func TestA10E15SecretsStayHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		var said bytes.Buffer // logs and errors
		c, b := signedIn(t, s, func(o *Options) {
			o.Logger = slog.New(slog.NewJSONHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		// The refusals repeat tokens, as careless providers do.
		bad := func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, http.StatusBadRequest, map[string]string{
				"error": "refresh-001", "error_description": r.PostForm.Encode(), "access_token": "access-001",
			})
		}
		s.revokeReply = bad
		note := func(err error) {
			if err == nil {
				t.Error("no error")
				return
			}
			said.WriteString(err.Error() + "\n")
		}
		for _, reply := range []http.HandlerFunc{
			bad, refuse("invalid_grant"),
			func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("access-001 is not JSON")) },
			func(w http.ResponseWriter, _ *http.Request) {
				w.Write([]byte(`{"access_token":12345,"expires_in":"refresh-001"}`))
			},
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, http.StatusOK, map[string]any{"access_token": "access-009", "refresh_token": "refresh-009", "id_token": "access-001.access-001.access-001"})
			},
		} {
			s.set(func(s *standin) { s.tokenReply = reply })
			b.callback(s, b.login(""))
		}
		s.set(func(s *standin) { s.tokenReply = bad })
		time.Sleep(time.Hour)
		_, err := c.Token(t.Context(), "alice", "idp")
		note(err)
		_, err = c.HTTPClient("alice", "idp").Get("https://api.example/")
		note(err)
		tell(b, s.logoutToken(map[string]any{"aud": "other"}))
		note(c.LogoutUser(t.Context(), "alice"))

		forbidden := []string{"access-0", "refresh-0", url.QueryEscape(secret), secret, "code-1"}
		for _, r := range s.tokenRequests() {
			if verifier := r.PostForm.Get("code_verifier"); verifier != "" {
				forbidden = append(forbidden, verifier)
			}
		}
		for _, secret := range forbidden {
			if strings.Contains(said.String(), secret) {
				t.Errorf("%s was logged or is in an error:\n%s", secret, &said)
			}
			if strings.Contains(b.seen.String(), secret) {
				t.Errorf("the browser saw %s", secret)
			}
		}
		for name, value := range b.cookies {
			if strings.Contains(said.String(), value) {
				t.Errorf("cookie %s was logged", name)
			}
		}
		if !strings.Contains(said.String(), "provider idp") {
			t.Error("nothing was said at all:", said.String())
		}
	})
}
