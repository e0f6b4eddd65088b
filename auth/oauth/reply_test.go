package oauth

import (
	"strings"
	"testing"
	"time"
)

func TestA8TokenReplies(t *testing.T) {
	const seed = `{"access_token":"abcdef","token_type":"bearer","refresh_token":"0123456789","expires_in":86400,"scope":"sensor-data"}`
	r, err := parseReply([]byte(seed))
	if err != nil || r.access != "abcdef" || r.refresh != "0123456789" || r.lifetime != 24*time.Hour || len(r.scopes) != 1 || r.scopes[0] != "sensor-data" {
		t.Fatal(r, err)
	}
	for body, lifetime := range map[string]time.Duration{
		`{"access_token":"a"}`: 0,
		`{"access_token":"a","token_type":"Bearer","expires_in":"3600"}`: time.Hour,
		`{"access_token":"a","token_type":"BEARER","expires_in":3600.0}`: time.Hour,
		`{"access_token":"a","token_type":"","expires_in":3.6e3}`:        time.Hour,
		`{"access_token":"a","expires_in":null,"refresh_token":null}`:    0,
		`{"access_token":"a","expires_in":""}`:                           0,
		`{"access_token":"a","expires_in":0}`:                            0,
		`{"access_token":"a","expires_in":-5}`:                           0,
		`{"access_token":"a","expires_in":1e300}`:                        10 * 8760 * time.Hour,
		" {\"access_token\":\"a\", \"unknown\":{\"x\":[1]}}\n":           0,
	} {
		r, err := parseReply([]byte(body))
		if err != nil || r.access != "a" || r.lifetime != lifetime || r.refresh != "" || r.scopes != nil {
			t.Errorf("%s: %+v %v", body, r, err)
		}
	}
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `{"access_token":""}`, `{"access_token":5}`, `{"access_token":"a","token_type":"DPoP"}`,
		`{"access_token":"a","expires_in":"soon"}`, `{"access_token":"a","expires_in":[1]}`, `{"access_token":"a","expires_in":"NaN"}`,
		`{"access_token":"a\nb"}`, `{"access_token":"a b"}`, `{"access_token":"é"}`, `{"access_token":"a"} x`, `{"access_token":"a"`,
		`{"access_token":"` + strings.Repeat("a", maxTokenBytes+1) + `"}`, `{"access_token":"a","scope":"` + strings.Repeat("aa ", maxScopeBytes) + `"}`, `{"access_token":"a","refresh_token":"` + strings.Repeat("a", maxTokenBytes+1) + `"}`,
	} {
		if r, err := parseReply([]byte(body)); err == nil {
			t.Errorf("%.80s: accepted as %+v", body, r)
		} else if strings.Contains(err.Error(), "5") || strings.Contains(err.Error(), "aa") {
			t.Errorf("%.80s: the error repeats it: %v", body, err)
		}
	}
}
