package selector_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// message has these headers, given as name, value, name, value.
func message(pairs ...string) *broker.Message {
	m := &broker.Message{Destination: "/topic/a"}
	for i := 0; i < len(pairs); i += 2 {
		m.Headers = append(m.Headers, broker.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return m
}

func compile(t testing.TB, expression string) func(*broker.Message) bool {
	t.Helper()
	match, err := selector.Compile(expression)
	if err != nil {
		t.Fatalf("Compile(%q): %v", expression, err)
	}
	return match
}

func TestExpressions(t *testing.T) {
	m := message(
		"foo", "bar", "foo", "second", "n", "10", "float", "2.50", "negative", "-3", "on", "true", "off", "false",
		"empty", "", "x-priority", "7", "content-type", "application/json", "same", "bar", "ten", "10.0", "big", "1e400",
		"hex", "0x10", "inf", "Infinity", "quote", "it's", "umlaut", "ä", "long", strings.Repeat("1", 33), "in", "word", "in-the", "name",
	)
	for expression, want := range map[string]bool{
		// texts
		`headers.foo == 'bar'`:                          true,
		`headers.foo == "bar"`:                          true,
		`headers['foo'] == 'bar'`:                       true,
		`headers["foo"] == 'bar'`:                       true,
		`'bar' == headers.foo`:                          true,
		`headers.foo == 'second'`:                       false, // the first counts
		`headers.foo == 'BAR'`:                          false,
		`headers.Foo == 'bar'`:                          false,
		`headers.foo != 'bar'`:                          false,
		`headers.foo != 'x'`:                            true,
		`headers.foo < 'baz'`:                           true,
		`headers.foo <= 'bar'`:                          true,
		`headers.foo > 'bar'`:                           false,
		`headers.foo >= 'bar'`:                          true,
		`'baz' > headers.foo`:                           true,
		`'bar' < headers.foo`:                           false,
		`'bar' <= headers.foo`:                          true,
		`headers.n < '9'`:                               true, // as text
		`headers.quote == 'it\'s'`:                      true,
		`headers.quote == "it's"`:                       true,
		`headers.umlaut == 'ä'`:                         true,
		`headers.empty == ''`:                           true,
		`headers['in-the'] == 'name'`:                   true,
		`headers.in == 'word'`:                          true,
		`headers['content-type'] == 'application/json'`: true,
		// numbers
		`headers.n == 10`:           true,
		`headers.n == 10.0`:         true,
		`headers.ten == 10`:         true,
		`headers.ten == '10'`:       false,
		`headers.n != 10`:           false,
		`headers.n > 9`:             true,
		`headers.n < 9`:             false,
		`headers.n >= 10`:           true,
		`headers.n <= 9.99`:         false,
		`9 < headers.n`:             true,
		`5 < headers.n < 11`:        true,
		`headers['x-priority'] > 3`: true,
		`headers.float == 2.5`:      true,
		`headers.negative == -3`:    true,
		`headers.negative < -2.5`:   true,
		`headers.n == +10`:          true,
		`headers.foo == 10`:         false,
		`headers.foo != 10`:         true,
		`headers.foo < 10`:          false,
		`headers.foo >= 10`:         false,
		`headers.empty == 0`:        false,
		`headers.big > 1`:           false,
		`headers.hex == 16`:         false,
		`headers.inf > 1`:           false,
		`headers.long > 1`:          false,
		// true, false, null
		`headers.on == true`:      true,
		`headers.on != true`:      false,
		`headers.off == false`:    true,
		`headers.foo == true`:     false,
		`headers.on == 'true'`:    true,
		`headers.missing == null`: true,
		`null == headers.missing`: true,
		`headers.missing == nil`:  true,
		`headers.missing != null`: false,
		`headers.foo == null`:     false,
		`headers.foo != null`:     true,
		`headers.empty == null`:   false,
		// what is missing
		`headers.missing == 'bar'`:        false,
		`headers.missing != 'bar'`:        true,
		`headers.missing == ''`:           false,
		`headers.missing < 'x'`:           false,
		`headers.missing >= 'x'`:          false,
		`headers.missing != 3`:            true,
		`headers.missing < 3`:             false,
		`headers.missing != true`:         true,
		`headers.missing contains ''`:     false,
		`headers.missing in ['', 0]`:      false,
		`headers.missing in [null]`:       true,
		`headers.missing not in ['x']`:    true,
		`headers.missing == headers.foo`:  false,
		`headers.missing == headers.gone`: true,
		`headers.missing < headers.foo`:   false,
		// two headers
		`headers.foo == headers.same`: true,
		`headers.foo != headers.same`: false,
		`headers.foo <= headers.same`: true,
		`headers.foo < headers.quote`: true,
		`headers.n == headers.ten`:    false, // as texts
		// in
		`headers.foo in ['x', 'bar']`:     true,
		`headers.foo in ['x', 'y']`:       false,
		`headers.foo not in ['x', 'bar']`: false,
		`not (headers.foo in ['x'])`:      true,
		`headers.foo in []`:               false,
		`headers.n in [9, 10]`:            true,
		`headers.ten in ['10']`:           false,
		`headers.ten in ['10', 10]`:       true,
		`headers.foo in [1, 2]`:           false,
		`headers.foo in [null]`:           false,
		`headers.on in [true]`:            true,
		`headers.negative in [-3,]`:       true,
		// parts
		`headers.foo contains 'a'`:         true,
		`headers.foo contains 'x'`:         false,
		`headers.foo contains ''`:          true,
		`headers.foo not contains 'x'`:     true,
		`headers.foo startsWith 'ba'`:      true,
		`headers.foo startsWith 'ar'`:      false,
		`headers.foo endsWith 'ar'`:        true,
		`headers.foo not endsWith 'ar'`:    false,
		`headers.missing not contains 'x'`: true,
		// together
		`headers.foo == 'bar' and headers.n == 10`:                      true,
		`headers.foo == 'bar' && headers.n == 9`:                        false,
		`headers.foo == 'x' or headers.n == 10`:                         true,
		`headers.foo == 'x' || headers.n == 9`:                          false,
		`not (headers.foo == 'x')`:                                      true,
		`!(headers.foo == 'bar')`:                                       false,
		`headers.foo == 'x' and headers.n == 9 or headers.on == true`:   true,
		`headers.foo == 'x' and (headers.n == 9 or headers.on == true)`: false,
		`true`:                        true,
		`false`:                       false,
		`true and not false`:          true,
		" headers.foo\n==\t'bar' ":    true,
		`headers.foo == 'bar' // why`: true,
		// the destination
		`headers.destination == '/topic/a'`:          true,
		`headers['destination'] startsWith '/topic'`: true,
		`headers.destination != null`:                true,
	} {
		if got := compile(t, expression)(m); got != want {
			t.Errorf("%s is %v, want %v", expression, got, want)
		}
	}
}

func TestNotExpressions(t *testing.T) {
	for expression, want := range map[string]string{
		``:                                    "the expression is not complete",
		` `:                                   "character 1: the expression cannot be read from here",
		`headers.foo ==`:                      "character 14: the expression cannot be read from here",
		`(headers.foo == 'x'`:                 "character 19: the expression cannot be read from here",
		`headers.foo >=`:                      "character 14: the expression cannot be read from here",
		`headers.foo = 'bar'`:                 "character 13: to compare, write ==",
		`foo = 'bar'`:                         "character 5: to compare, write ==", // JMS
		`foo == 'bar'`:                        "character 1: only headers can be compared",
		`foo`:                                 "character 1: only headers are known",
		`destination == '/topic/a'`:           "character 1: only headers can be compared",
		`payload.x == 1`:                      "character 9: only headers are known",
		`headers`:                             "character 1: only headers are known",
		`headers == 'x'`:                      "character 1: only headers can be compared",
		`headers.foo`:                         "character 9: a header is not true or false by itself",
		`not headers.foo`:                     "character 13: a header is not true or false by itself",
		`headers.foo and true`:                "character 9: a header is not true or false by itself",
		`headers.foo.bar == 'x'`:              "character 13: only headers are known",
		`headers[0] == 'x'`:                   "character 8: the name of a header is a text in quotes",
		`headers[headers.foo] == 'x'`:         "character 8: the name of a header is a text in quotes",
		`headers?.foo == 'x'`:                 "only headers can be compared",
		`headers.foo == bar`:                  "character 16: a header is compared with",
		`headers.foo == payload.x`:            "only headers are known",
		`headers.foo == 1 + 1`:                "a header is compared with",
		`headers.foo == -'x'`:                 "a header is compared with",
		`headers.foo == -true`:                "a header is compared with",
		`headers.foo == ['x']`:                "a header is compared with",
		`headers.foo < true`:                  "only texts and numbers are less or greater",
		`headers.foo >= null`:                 "only texts and numbers are less or greater",
		`headers.foo in 'x'`:                  "in wants a list",
		`headers.foo in {'x', 'y'}`:           "the expression cannot be read from here",
		`headers.foo in [headers.bar]`:        "a header is compared with",
		`headers.foo in 1..3`:                 "in wants a list",
		`'x' in headers`:                      "only headers can be compared",
		`'x' contains headers.foo`:            "only headers can be compared",
		`headers.foo contains headers.b`:      "want a text in quotes",
		`headers.foo contains 1`:              "want a text in quotes",
		`headers.foo matches 'x'`:             "this operator is not available",
		`headers.foo + 'x'`:                   "this operator is not available",
		`1 == 1`:                              "only headers can be compared",
		`1 < 2`:                               "only headers can be compared",
		`1`:                                   "neither a comparison nor true or false",
		`'x'`:                                 "neither a comparison nor true or false",
		`null`:                                "only headers are known",
		`nil`:                                 "neither a comparison nor true or false",
		`-1`:                                  "neither a comparison nor true or false",
		`[true]`:                              "neither a comparison nor true or false",
		`{}`:                                  "neither a comparison nor true or false",
		`true ? true : false`:                 "neither a comparison nor true or false",
		`if true { true } else { false }`:     "neither a comparison nor true or false",
		`let x = true; x`:                     "neither a comparison nor true or false",
		`true; true`:                          "neither a comparison nor true or false",
		`headers.foo ?? 'x'`:                  "this operator is not available",
		`len(headers.foo) == 3`:               "only headers can be compared",
		`len(headers.foo)`:                    "there are no functions",
		`headers.foo.startsWith('x')`:         "there are no functions",
		`all(headers, # == 'x')`:              "there are no functions",
		`any(1..1000000, {true})`:             "there are no functions",
		`T(java.lang.Runtime).getRuntime()`:   "there are no functions",
		`headers.foo == 'a' 'b'`:              "the expression cannot be read from here",
		`headers.foo <> 'bar'`:                "the expression cannot be read from here",
		`headers.foo eq 'bar'`:                "the expression cannot be read from here", // SpEL's other name
		`headers.foo == 'it''s'`:              "the expression cannot be read from here",
		`headers.foo == 'bar`:                 "the expression",
		`headers.foo == '\d'`:                 "the expression",
		`headers.foo == 99999999999999999999`: "the expression",
		`ä = 'x'`:                             "character 3: to compare, write ==",
		"headers.x\r\n= \x00":                 "character 12: to compare, write ==",
		strings.Repeat("headers.a == 1 or ", 16) + "headers.a == 1": "character 299: more than 16 comparisons",
		`/* `: "the expression",
	} {
		match, err := selector.Compile(expression)
		if err == nil || match != nil {
			t.Errorf("Compile(%q): no error", expression)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%q): %q, want %q", expression, err, want)
		}
		plain(t, err.Error())
	}
}

// plain fails if a text is not suitable for a client.
func plain(t *testing.T, text string) {
	t.Helper()
	if len(text) > 120 || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("an error says %q", text)
	}
}

// For any depth and any length that the broker accepts.
func TestNestedExpressions(t *testing.T) {
	for _, expression := range []string{
		strings.Repeat("(", 510) + "true" + strings.Repeat(")", 510),
		strings.Repeat("not ", 254) + "true",
		strings.Repeat("!", 1020) + "true",
		"true" + strings.Repeat(" or true", 127),
		strings.Repeat("headers.a == 1 or ", 15) + "headers.a == null",
	} {
		if !compile(t, expression)(message()) {
			t.Errorf("%.20s… is false", expression)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	m := message("region", "eu", "x-priority", "7", "type", "order")
	for _, expression := range []string{
		`headers.region == 'eu'`,
		`headers['x-priority'] > 3 and headers.region in ['eu', 'us'] and headers.type startsWith 'or'`,
		`headers.region == 3 or headers.type != 'x'`,
	} {
		match := compile(t, expression)
		if !match(m) {
			t.Errorf("%s is false", expression)
		}
		if n := testing.AllocsPerRun(100, func() { match(m) }); n != 0 {
			t.Errorf("%s allocates %v times", expression, n)
		}
	}
}

// hostile is the most expensive message that the default limits allow.
func hostile() *broker.Message {
	m := message()
	for i := range 99 {
		m.Headers = append(m.Headers, broker.Header{Name: fmt.Sprintf("b%02d", i), Value: strings.Repeat("1", 32)})
	}
	m.Headers = append(m.Headers, broker.Header{Name: "aaa", Value: strings.Repeat("1", 32)})
	return m
}

func BenchmarkMatch(b *testing.B) {
	m := message("content-type", "application/json", "region", "eu", "x-priority", "7")
	for name, expression := range map[string]string{
		"one text": `headers.region == 'eu'`,
		"typical":  `headers.region in ['us', 'eu'] and headers['x-priority'] > 3`,
	} {
		match := compile(b, expression)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				match(m)
			}
		})
	}
	match, dear := compile(b, strings.Repeat(`headers.aaa==1 or `, 15)+`headers.aaa==1`), hostile()
	b.Run("the most expensive", func(b *testing.B) {
		for b.Loop() {
			match(dear)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	for name, expression := range map[string]string{
		"typical":            `headers.region in ['us', 'eu'] and headers['x-priority'] > 3`,
		"the most expensive": strings.Repeat(`headers.aaa==1 or `, 15) + `headers.aaa==1`,
		"a list":             `headers.a in [` + strings.Repeat("1,", 500) + `]`,
		"nested":             strings.Repeat("(", 510) + "true" + strings.Repeat(")", 510),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compile(b, expression)
			}
		})
	}
}
