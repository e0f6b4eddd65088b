package pattern

import (
	"strings"
)

// Parse reads the destination of a rule, which has variables beside wildcards. The
// problem, if there is one, says what is wrong and how to mend it.
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
		return Segment{}, "a variable is a whole segment, such as {user}, with nothing but its name in the braces"
	}
	if name == "user" {
		return Segment{Kind: User}, ""
	}
	if claimName, ok := strings.CutPrefix(name, "claim."); ok && claimName != "" {
		return Segment{Kind: Claim, Text: claimName}, ""
	}
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "user") || strings.HasPrefix(lower, "claim") {
		return Segment{}, "an unknown variable: the principal's are {user} and {claim.NAME}, and any one segment is *"
	}
	return Segment{Kind: Any}, ""
}

// CanBe reports whether the segment of some destination that it matches is text.
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
