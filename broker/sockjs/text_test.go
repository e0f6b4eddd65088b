package sockjs_test

import (
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

func TestSendBodies(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{BodyLimit: 1000}, func(t *testing.T, w *world) {
		w.connected("a")
		const path = "/000/a/xhr_send"
		for body, want := range map[string]string{
			"": "Payload expected.\n", `["a`: "Broken JSON encoding.\n", `"a"`: "Broken JSON encoding.\n", `{}`: "Broken JSON encoding.\n",
			`[1]`: "Broken JSON encoding.\n", `["a",]`: "Broken JSON encoding.\n", `["a"]x`: "Broken JSON encoding.\n", "[\"\xff\"]": "Broken JSON encoding.\n",
			`["a" "b"]`: "Broken JSON encoding.\n", `[null]`: "Broken JSON encoding.\n", "[]\x00": "Broken JSON encoding.\n",
		} {
			w.want("POST", path, body, 500, want)
		}
		w.want("POST", path, `["`+strings.Repeat("x", 1000)+`"]`, 413, "{\"error\":\"the body is too large: 1000 bytes is a fixed limit\"}\n")
		for _, body := range []string{"[]", ` [ ] `, `[""]`, ` [ "\n" , "\r\n" ] `} {
			r := w.want("POST", path, body, 204, "")
			if ct := r.Header.Get("Content-Type"); ct != "text/plain; charset=UTF-8" {
				t.Errorf("Content-Type %q", ct)
			}
		}
		if e := w.ended(); len(e) != 0 {
			t.Errorf("ended %v", e)
		}
	})
}

// C-11: STOMP for CONNECT, and lines that end with CR LF.
func TestC11OneParser(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.poll("a", "o")
		w.send("a", `["STOMP\r\naccept-version:1.2\r\n\r\n\u0000"]`)
		if f := w.frame("a"); !strings.HasPrefix(f, `a["CONNECTED\nversion:1.2\n`) {
			t.Errorf("got %q", f)
		}
	})
}

// Clients cut frames between UTF-16 units; the decoder joins the halves.
func TestHalvesOfCharacters(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.subscribed("a")
		w.send("a", `["SEND\ndestination:/topic/a\ncontent-length:8\n\n\ud83d\udc0e\ud83d"]`)
		w.send("a", `["\udc0e\u0000"]`)
		if f := w.frame("a"); !strings.Contains(f, "\\n\\n🐎🐎\\u0000") {
			t.Errorf("got %q", f)
		}
	})
}

// Invalid UTF-8 cannot be sent: it is replaced, and the session continues.
func TestInvalidUTF8IsReplaced(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.subscribed("a")
		w.publish([]byte{'a', 0xff, 0xfe, 'b'})
		if f := w.frame("a"); !strings.HasSuffix(f, `content-length:5\n\na\ufffdb\u0000"]`) {
			t.Errorf("got %q", f)
		}
		w.publish([]byte("next"))
		if f := w.frame("a"); !strings.HasSuffix(f, `\n\nnext\u0000"]`) {
			t.Errorf("got %q", f)
		}
	})
}

// Characters that Spring escapes for the sake of browsers are escaped.
func TestFragileCharactersAreEscaped(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.subscribed("a")
		for _, tc := range []struct{ body, want string }{
			{"\u200b\u200c\u200f\u2010", "\u200b" + `\u200c\u200f` + "\u2010"},
			{"\u2027\u2028\u202f\u2030", "\u2027" + `\u2028\u202f` + "\u2030"},
			{"\u205f\u2060\u206f\u2070", "\u205f" + `\u2060\u206f` + "\u2070"},
			{"\uffef\ufff0\uffff\U00010000", "\uffef" + `\ufff0\uffff` + "\U00010000"},
			{"€ﬀ\u2029", "€ﬀ" + `\u2029`},
		} {
			w.publish([]byte(tc.body))
			if f := w.frame("a"); !strings.HasSuffix(f, `\n\n`+tc.want+`\u0000"]`) {
				t.Errorf("got %q, want %q", f, tc.want)
			}
		}
	})
}
