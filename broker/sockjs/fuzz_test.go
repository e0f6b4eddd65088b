package sockjs

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

// FuzzSend checks that the decoder accepts exactly what encoding/json accepts
// as an array of strings, with the same text, and that encoded text decodes to
// itself.
func FuzzSend(f *testing.F) {
	for _, s := range []string{
		`["a"]`, `[]`, ` [ "a" , "b\n\u0000" ] `, `["\ud83d","\udc0e"]`, `["\ud83d"]`, `["\udc0e\ud83d\ud83d\udc0e"]`, `["a",]`, `[1]`, `[null]`,
		`["\u12"]`, `["\x"]`, "[\"\n\"]", "[\"\xff\"]", `["a"]]`, `[`, `["\u+123"]`, "[\"\xed\xa0\x80\"]", `["\"\\\/\b\f\n\r\t"]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var d decoder
		got, err := d.decode(nil, body)
		var all []*string
		want := json.Unmarshal(body, &all) == nil && all != nil && utf8.Valid(body)
		var text strings.Builder
		for _, s := range all {
			if s == nil {
				want = false
				break
			}
			text.WriteString(*s)
		}
		if want != (err == nil) {
			t.Fatalf("%q: %v, encoding/json takes it: %v", body, err, want)
		}
		if err != nil {
			return
		}
		if !utf8.Valid(got) {
			t.Fatalf("%q became %q", body, got)
		}
		if !bytes.Contains(bytes.ToLower(body), []byte(`\ud`)) && string(got) != text.String() {
			t.Fatalf("%q became %q, want %q", body, got, text.String())
		}
		frame, n, valid := appendMessages(nil, [][]byte{got}, maxFrame)
		var back []string
		if err := json.Unmarshal(frame[1:], &back); err != nil || n != 1 || !valid || len(back) != 1 || back[0] != string(got) {
			t.Fatalf("%q was encoded as %q: %v", got, frame, err)
		}
		again, err := new(decoder).decode(nil, frame[1:])
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q was encoded as %q and decoded as %q, %v", got, frame, again, err)
		}
	})
}

// FuzzPath checks that every path gets an answer, and that only paths of the
// protocol's three parts open sessions.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"", "/", "/info", "/iframe.html", "/a/b/xhr", "/a/b/xhr_send", "/a.b/c/xhr", "//c/xhr", "/a/b/websocket", "/websocket", "/a/b/c/d", "x"} {
		f.Add("GET", s)
		f.Add("POST", s)
	}
	b, err := broker.New(broker.Options{}) // refuses everyone
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.Close() })
	h := Handler(b, Options{IframeScript: "/sockjs.js"})
	f.Fuzz(func(t *testing.T, method, path string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: "/ws" + path}, Header: http.Header{}, Body: http.NoBody, Host: "example.com", RemoteAddr: "192.0.2.1:1", ProtoMajor: 1}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		switch w.Code {
		case 200, 204, 400, 404, 405, 426:
		case 401: // would have opened a session
			parts := strings.Split(path, "/")
			if len(parts) != 4 || parts[0] != "" || strings.Contains(parts[1]+parts[2], ".") || parts[1] == "" || parts[2] == "" {
				t.Errorf("%s %q would open a session", method, path)
			}
		default:
			t.Errorf("%s %q answered %d", method, path, w.Code)
		}
	})
}
