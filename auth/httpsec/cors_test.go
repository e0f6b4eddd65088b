package httpsec

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	const app, own = "https://app.example.com", "http://broker.example"
	cors := CORS{Methods: "GET", Headers: "Authorization", Expose: "Retry-After", Credentials: true}
	for _, x := range []struct {
		name                 string
		origins              string // separated by blanks
		loopback             bool
		method               string
		headers              []string
		refused              bool
		origin               string
		allowed, credentials string
	}{
		{"no page", app, false, "POST", nil, false, "", "", ""},
		{"a page of the list", app, false, "POST", []string{"Origin", app}, false, app, app, "true"},
		{"in capitals", app, false, "POST", []string{"Origin", "HTTPS://APP.example.com"}, false, app, "HTTPS://APP.example.com", "true"},
		{"any port", "http://localhost:*", false, "POST", []string{"Origin", "http://localhost:81"}, false, "http://localhost:81", "http://localhost:81", "true"},
		{"a list for anybody", app + " *", false, "POST", []string{"Origin", app}, false, app, app, ""},
		{"null on the list", "null", false, "POST", []string{"Origin", "null"}, false, "null", "null", ""},
		{"null", app, false, "POST", []string{"Origin", "null"}, true, "", "", ""},
		{"two", app, false, "POST", []string{"Origin", app, "Origin", app}, true, "", "", ""},
		{"two for anybody", "*", false, "POST", []string{"Origin", app, "Origin", app}, true, "", "", ""},
		{"empty", app, false, "POST", []string{"Origin", ""}, true, "", "", ""},
		{"our own", app, false, "POST", []string{"Origin", own}, false, own, "", ""},
		{"our own, another scheme, says the browser", app, false, "POST", []string{"Origin", own, "Sec-Fetch-Site", "cross-site"}, true, "", "", ""},
		{"a link to us", "", false, "GET", []string{"Sec-Fetch-Site", "cross-site"}, false, "", "", ""},
		{"a form of another site", "", false, "POST", []string{"Sec-Fetch-Site", "cross-site"}, true, "", "", ""},
		{"this machine", "", true, "POST", []string{"Origin", "http://127.0.0.1:5173"}, false, "http://127.0.0.1:5173", "http://127.0.0.1:5173", "true"},
		{"this machine beside a list", app, true, "POST", []string{"Origin", "http://127.0.0.1:5173"}, true, "", "", ""},
		{"this machine, not in development", "", false, "POST", []string{"Origin", "http://127.0.0.1:5173"}, true, "", "", ""},
	} {
		list, err := NewList(strings.Fields(x.origins))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(x.method, own+"/", nil)
		for i := 0; i < len(x.headers); i += 2 {
			r.Header.Add(x.headers[i], x.headers[i+1])
		}
		h := make(http.Header)
		o, err := cors.Check(h, r, &list, x.loopback)
		expose := ""
		if x.allowed != "" {
			expose = "Retry-After"
		}
		if (err != nil) != x.refused || o.String() != x.origin || h.Get("Access-Control-Allow-Origin") != x.allowed ||
			h.Get("Access-Control-Allow-Credentials") != x.credentials || h.Get("Access-Control-Expose-Headers") != expose || h.Get("Vary") != "Origin" {
			t.Errorf("%s: %q, %v, %v", x.name, o, err, h)
		}
	}
}
