package pattern

import (
	"strings"
)

// Parse parses the destination of a rule, which may have wildcards and
// variables. problem is "" or says what is wrong and how to correct it.
func Parse(destination string) (segments []Segment, problem string) {
	if !WellFormed(destination) {
		return nil, "the destination must begin with /, have no empty segment, not end in / and be valid UTF-8"
	}
	for path := destination; path != ""; {
		var text string
		text, path = Cut(path)
		one := wildcard(text)
		if strings.ContainsAny(text, "{}") {
			if one, problem = variable(text); problem != "" {
				return nil, problem
			}
		}
		segments = append(segments, one)
	}
	return segments, ""
}

func variable(text string) (s Segment, problem string) {
	name, opened := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !opened || !closed || name == "" || strings.ContainsAny(name, "{}*?:") {
		return Segment{}, "a variable is a whole segment, such as {user}, with only its name in the braces"
	}
	if name == "user" {
		return Segment{Kind: User}, ""
	}
	if claimName, ok := strings.CutPrefix(name, "claim."); ok && claimName != "" {
		return Segment{Kind: Claim, Text: claimName}, ""
	}
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "user") || strings.HasPrefix(lower, "claim") {
		return Segment{}, "an unknown variable: use {user} or {claim.NAME} for the principal, and * for any one segment"
	}
	return Segment{Kind: Any}, ""
}

// CanBe reports whether the segment can match text for some principal.
func (s *Segment) CanBe(text string) bool {
	switch s.Kind {
	case Literal:
		return s.Text == text
	case Glob:
		return globMatch(s.Text, text)
	default:
		return true
	}
}
