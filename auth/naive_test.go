package auth

import (
	"slices"
	"strings"
)

// naiveMatch defines a match. It is simple, and exponential in the worst case.
func naiveMatch(who *Principal, pattern, path string, variables bool) bool {
	if !strings.HasPrefix(path, "/") || slices.Contains(strings.Split(path[1:], "/"), "") {
		return false
	}
	return naiveSegments(who, strings.Split(pattern[1:], "/"), strings.Split(path[1:], "/"), variables)
}

func naiveSegments(who *Principal, pattern, path []string, variables bool) bool {
	if len(pattern) == 0 {
		return len(path) == 0
	}
	if pattern[0] == "**" {
		return naiveSegments(who, pattern[1:], path, variables) ||
			len(path) > 0 && naiveSegments(who, pattern, path[1:], variables)
	}
	return len(path) > 0 && naiveSegment(who, pattern[0], path[0], variables) &&
		naiveSegments(who, pattern[1:], path[1:], variables)
}

func naiveSegment(who *Principal, pattern, text string, variables bool) bool {
	if variables && strings.HasPrefix(pattern, "{") {
		escape := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "%", "%25"), "/", "%2F") }
		name := strings.Trim(pattern, "{}")
		if name == "user" {
			return who.Name != "" && text == escape(who.Name)
		}
		if claim, ok := strings.CutPrefix(name, "claim."); ok {
			value, _ := who.Claims[claim].(string)
			return value != "" && text == escape(value)
		}
		return true
	}
	return naiveGlob([]rune(pattern), []rune(text))
}

func naiveGlob(glob, text []rune) bool {
	switch {
	case len(glob) == 0:
		return len(text) == 0
	case glob[0] == '*':
		return naiveGlob(glob[1:], text) || len(text) > 0 && naiveGlob(glob, text[1:])
	default:
		return len(text) > 0 && (glob[0] == '?' || glob[0] == text[0]) && naiveGlob(glob[1:], text[1:])
	}
}

// naiveAllowed defines that the first match decides and that no match denies.
func naiveAllowed(rules []Rule, who *Principal, act Action, path string) bool {
	for _, r := range rules {
		if !slices.Contains(r.Actions, act) || !naiveMatch(who, r.Destination, path, true) {
			continue
		}
		if len(r.Roles) > 0 && !slices.ContainsFunc(r.Roles, func(role string) bool { return slices.Contains(who.Roles, role) }) {
			continue
		}
		return r.Effect == Allow
	}
	return false
}
