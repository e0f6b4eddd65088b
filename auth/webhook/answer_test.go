package webhook

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestHostileAnswers(t *testing.T) {
	nested := func(n int) string {
		return `{"allow":true,"claims":{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
	}
	for body, want := range map[string]error{
		`{}`:                              errAllow,
		`{"pass":false}`:                  errAllow,
		`{"Allow":true}`:                  errAllow, // names are taken as they are written
		`{"ALLOW":true,"allow":false}`:    nil,
		`{"allow":true,"pass":true}`:      errBoth,
		`{"allow":false,"pass":true}`:     errBoth,
		`{"allow":null,"pass":false}`:     errBoth,
		`{"allow":true,"coverage":"ALL"}`: errCoverage,

		`{"allow":false,"allow":true}`:                        errDuplicate,
		`{"allow":true,"allow":true}`:                         errDuplicate,
		`{"allow":true,"\u0061llow":true}`:                    errDuplicate,
		`{"allow":true,"claims":{"a":{"b":1,"b":2}}}`:         errDuplicate,
		`{"allow":true,"other":[{"b":1,"b":2}]}`:              errDuplicate,
		nested(maxDepth - 2):                                  nil,
		nested(maxDepth - 1):                                  errDepth,
		strings.Repeat("[", 60_000):                           errJSON,
		strings.Repeat("[", 9000) + strings.Repeat("]", 9000): errDepth,

		// Small objects take fifty times the memory of their text.
		`{"allow":true,"claims":{"a":[` + strings.Repeat(`{"b":1},`, 500) + `0]}}`:  nil,
		`{"allow":true,"claims":{"a":[` + strings.Repeat(`{"b":1},`, 1000) + `0]}}`: errWeight,
		`{"allow":true,"roles":["r"` + strings.Repeat(`,"r"`, 15_000) + `]}`:        errWeight,

		``:                                   errJSON,
		`null`:                               errJSON,
		`true`:                               errJSON,
		`[{"allow":true}]`:                   errJSON,
		`{"allow":true}{"allow":true}`:       errJSON,
		`{"allow":true} x`:                   errJSON,
		`{"allow":true,}`:                    errJSON,
		`{allow:true}`:                       errJSON,
		`{"allow":true,"n":1e999}`:           errJSON,
		"\ufeff" + `{"allow":true}`:          errJSON,
		"{\"allow\":true,\"user\":\"\xff\"}": errJSON,
	} {
		ans, err := parseAnswer([]byte(body))
		if err != want {
			t.Errorf("%.60s: error is %v, want %v", body, err, want)
		}
		if err != nil && ans.decision != deny {
			t.Errorf("%.60s: an error that does not deny", body)
		}
	}
}

func TestWrongTypes(t *testing.T) {
	for member, values := range map[string][]string{
		"allow":         {`"true"`, `1`, `[]`, `{}`},
		"pass":          {`"true"`, `1`},
		"reason":        {`1`, `{}`, `false`},
		"user":          {`1`, `["alice"]`, `true`},
		"roles":         {`"admin"`, `[1]`, `[null]`, `["a",["b"]]`, `{}`},
		"scopes":        {`"chat"`, `[true]`},
		"claims":        {`"x"`, `[]`},
		"expires":       {`"1800000000"`, `1800000000000`, `-1`, `true`, `"2030-01-01"`},
		"issued":        {`"now"`, `1e300`},
		"credential_id": {`17`},
		"max_age":       {`"60"`, `-1`},
		"coverage":      {`true`, `1`},
	} {
		for _, value := range values {
			object := map[string]json.RawMessage{"allow": json.RawMessage(`true`), member: json.RawMessage(value)}
			body, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			_, err = parseAnswer(body)
			if err == nil || !strings.Contains(err.Error(), "answer's "+member+" ") {
				t.Errorf("%s: error is %v, want one about %s", body, err, member)
			}
			// A no with nonsense in it is no answer either, but a null is as
			// good as nothing.
			object[member] = json.RawMessage(`null`)
			if member == "allow" {
				continue
			}
			if body, err = json.Marshal(object); err != nil {
				t.Fatal(err)
			}
			if ans, err := parseAnswer(body); err != nil || ans.decision != allow {
				t.Errorf("%s: %v, %v", body, ans.decision, err)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	for reason, want := range map[string]string{
		"this account is closed": "this account is closed",
		" trimmed ":              "trimmed",
		"compte fermé\u00a0!":    "compte fermé\u00a0!",
		"zu\tspät":               "",
		"a\r\nmessage:b":         "",
		"a\x00":                  "",
		"\u202egnorw":            "", // written from right to left
		strings.Repeat("é", 128): strings.Repeat("é", 128),
		strings.Repeat("é", 129): "",
		"":                       "",
	} {
		if got := sentence(reason); got != want {
			t.Errorf("%q is shown as %q, want %q", reason, got, want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"allow":true,"user":"alice","roles":["a"],"claims":{"x":[1,{"y":null}]},"expires":1800000000,"max_age":0.5}`,
		`{"allow":false,"reason":"no"}`, `{"allow":null}`, `{"pass":true}`, `{"allow":true,"allow":false}`,
		`{"allow":true,"coverage":"all"}`, `{"Allow":true}`, `{"allow":true,"expires":1e400}`, `[`, `{"a":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ans, err := parseAnswer(body)
		if err != nil {
			if ans.decision != deny || errors.Is(err, ErrUnavailable) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("decision %v, error %q", ans.decision, err)
			}
			return
		}
		// encoding/json must read the same, as far as it is able to.
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			t.Fatalf("encoding/json does not take it: %v", err)
		}
		allowed, said := object["allow"].(bool)
		want := pass
		switch {
		case said && allowed:
			want = allow
		case said:
			want = deny
		}
		if ans.decision != want {
			t.Fatalf("decision is %v, want %v", ans.decision, want)
		}
		if len(ans.reason) > maxReason || strings.ContainsAny(ans.reason, "\r\n\x00") {
			t.Fatalf("reason is %q", ans.reason)
		}
		if ans.maxAge > MaxAge || ans.coverage > auth.All || ans.expires.Unix() > maxUnix {
			t.Fatalf("answer is %+v", ans)
		}
		if ans.decision != allow {
			return
		}
		p, err := ans.principal(connect("", ""), "", time.Unix(0, 0))
		if err != nil {
			return
		}
		if p.Name != "" && auth.ValidName(p.Name) != nil {
			t.Fatalf("name is %q", p.Name)
		}
		if seconds, ok := object["expires"].(float64); ok != !p.Expires.IsZero() || ok && float64(p.Expires.Unix()) != math.Trunc(seconds) {
			t.Fatalf("expires is %v, want %v", p.Expires, object["expires"])
		}
	})
}
