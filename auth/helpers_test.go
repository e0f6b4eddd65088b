package auth

import (
	"context"
	"testing"
)

func mustRules(t testing.TB, rules ...Rule) *Rules {
	t.Helper()
	r, err := NewRules(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func deny(destination string, actions ...Action) Rule {
	return Rule{Effect: Deny, Actions: actions, Destination: destination}
}

func may(t testing.TB, r Authorizer, p *Principal, act Action, destination string) bool {
	t.Helper()
	switch err := r.Authorize(context.Background(), p, act, destination); err {
	case nil:
		return true
	case ErrDenied:
		return false
	default:
		t.Fatalf("%v %s: unexpected error %v", act, destination, err)
		return false
	}
}

func covers(t testing.TB, r *Rules, p *Principal, pattern string) Coverage {
	t.Helper()
	c, err := r.AuthorizePattern(context.Background(), p, pattern)
	if err != nil {
		t.Fatalf("AuthorizePattern %s: %v", pattern, err)
	}
	return c
}
