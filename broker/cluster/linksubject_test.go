package cluster

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/topics"
)

// covers reports whether a NATS subscription to a subject gets another one.
func covers(interest, subject string) bool {
	a, b := strings.Split(interest, "."), strings.Split(subject, ".")
	for i, token := range a {
		if token == ">" {
			return len(b) > i
		}
		if i >= len(b) || token != "*" && token != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestSubjects(t *testing.T) {
	s := subjects{"hb"}
	for destination, want := range map[string]string{
		"/topic/a/b":                            "hb.t.topic.a.b",
		"/topic//a/":                            "hb.tl",
		"/topic/a.b/>/$x":                       "hb.t.topic.a=2Eb.=3E.=24x",
		"/topic/ü =":                            "hb.t.topic.=C3=BC=20=3D",
		"/topic/" + strings.Repeat("long", 128): "hb.tl",
	} {
		if got := s.publish(destination); got != want {
			t.Errorf("%s has the subject %s, want %s", destination, got, want)
		}
	}
	for pattern, want := range map[string]string{
		"/topic/**":        "hb.t.topic hb.t.topic.> hb.tl",
		"/topic/a/*/b":     "hb.t.topic.a.*.b hb.tl",
		"/topic/a*/?/**/z": "hb.t.topic.*.* hb.t.topic.*.*.> hb.tl",
		"/topic/plain":     "hb.t.topic.plain",
	} {
		if got := strings.Join(s.interest(pattern), " "); got != want {
			t.Errorf("%s has the interest %s, want %s", pattern, got, want)
		}
	}
}

// whatever matches in one broker is covered by the interest, and no name
// makes a subject that NATS reads differently.
func TestX4InterestCoversWhatMatches(t *testing.T) {
	s := subjects{"hb"}
	random := rand.New(rand.NewPCG(1, 2))
	segments := []string{"", "a", "b", "A", ".", ">", "$", "a b", "=", "=2E", "ü", "{v}", "a.b", strings.Repeat("x", 250)}
	wild := append([]string{"*", "?", "a*", "**", "*.b", "??"}, segments...)
	make := func(from []string) string {
		name := "/topic"
		for range 1 + random.IntN(5) {
			name += "/" + from[random.IntN(len(from))]
		}
		return name
	}
	// instance makes a name that a pattern probably matches.
	instance := func(pattern string) string {
		name := ""
		for segment := range strings.SplitSeq(pattern[1:], "/") {
			switch segment {
			case "*":
				name += "/" + segments[random.IntN(len(segments))]
			case "**":
				for range random.IntN(3) {
					name += "/" + segments[random.IntN(len(segments))]
				}
			default:
				name += "/" + strings.NewReplacer("*", "a", "?", "b").Replace(segment)
			}
		}
		return name
	}
	matched := 0
	for range 5_000 {
		pattern, literal := make(wild), make(segments)
		if random.IntN(4) > 0 {
			literal = instance(pattern)
		}
		parsed, err := topics.Parse(literal)
		if err != nil {
			continue
		}
		if _, err := topics.Parse(pattern); err != nil {
			continue
		}
		if random.IntN(4) == 0 {
			pattern = literal
		}
		index := topics.NewIndex[int]()
		if random.IntN(8) == 0 || strings.ContainsAny(pattern, "*?") {
			index.Add(pattern, 1)
		} else {
			continue
		}
		if len(index.Match(parsed.Path)) == 0 {
			continue
		}
		matched++
		subject, ok := s.publish(literal), false
		for _, i := range s.interest(pattern) {
			ok = ok || covers(i, subject)
		}
		if !ok {
			t.Fatalf("%q matches %q, but %v does not cover %s", pattern, literal, s.interest(pattern), subject)
		}
		if strings.ContainsAny(subject, "*> \t\r\n") || strings.Contains(subject, "..") || strings.HasSuffix(subject, ".") {
			t.Fatalf("%q has the subject %q", literal, subject)
		}
	}
	if matched < 1000 {
		t.Fatalf("only %d pairs matched", matched)
	}
}
