package auth

import (
	"fmt"
	"slices"
	"strings"
)

// NameSpace describes the user names that one source of principals can give. A
// source is a token issuer, a login provider, a list of users or a backend. A
// user's name decides which messages a session can read, so two sources that
// could give the same name to two people must not be combined by accident.
// [CheckNames] finds such sources.
type NameSpace struct {
	// Source names the source in error texts, for example
	// "bearer.Options.JWT[0]".
	Source string
	// Issuer identifies the authority that knows the users: the iss of tokens.
	// Two sources with the same Issuer, Claim and Prefix know the same people.
	// Empty means that no other source knows these users.
	Issuer string
	// Claim is the claim that becomes the name. With Issuer, it decides whether
	// equal names mean the same person.
	Claim string
	// Prefix begins every name from the source.
	Prefix string
	// Names, if not nil, lists every name that the source can give; Prefix is
	// then ignored.
	Names []string
}

// NameSource is an optional interface of an [Authenticator]: it reports which
// names the Authenticator can give. A [Chain] implements it by joining the
// answers of its members. All ready-made Authenticators that name users
// implement it, except package ticket: the program that mints a ticket chooses
// the full name on purpose.
type NameSource interface {
	// NameSpaces returns one entry for each source. It is safe for concurrent
	// use.
	NameSpaces() []NameSpace
}

// NameError reports that two sources can give the same user name to two people.
type NameError struct {
	First, Second NameSpace
	// Name is a name that both can give, or "" if almost any name is.
	Name string
}

// Error names both sources and the remedy.
func (e *NameError) Error() string {
	example := ""
	if e.Name != "" {
		example = fmt.Sprintf(" (such as %q)", e.Name)
	}
	return fmt.Sprintf("auth: %s and %s can give two people the same user name%s: give each a UserPrefix that no other UserPrefix begins with, or set SharedNames if equal names are the same person",
		e.First.Source, e.Second.Source, example)
}

// CheckNames returns a [*NameError] if two of the sources could give the same
// user name to two people, and nil otherwise. Call it with the NameSpaces of a
// [Chain] before you use the chain, unless a name means the same person in
// every source.
//
//	chain := auth.Chain(tokens, passcodes)
//	if err := auth.CheckNames(auth.NameSpaces(chain)...); err != nil {
//		return err
//	}
func CheckNames(spaces ...NameSpace) error {
	for i := range spaces {
		for j := range i {
			if name, ok := spaces[j].meets(&spaces[i]); ok {
				return &NameError{First: spaces[j], Second: spaces[i], Name: name}
			}
		}
	}
	return nil
}

// NameSpaces returns the name spaces of a, or nil if a is not a [NameSource].
func NameSpaces(a Authenticator) []NameSpace {
	if s, ok := a.(NameSource); ok {
		return s.NameSpaces()
	}
	return nil
}

// meets reports whether both sources could give one name to different people,
// with an example if there is one.
func (n *NameSpace) meets(o *NameSpace) (name string, ok bool) {
	switch {
	case n.Issuer != "" && n.Issuer == o.Issuer && n.Claim == o.Claim && n.Prefix == o.Prefix:
		return "", false // the same people
	case n.Names != nil:
		return first(n.Names, o.can)
	case o.Names != nil:
		return first(o.Names, n.can)
	}
	return "", strings.HasPrefix(n.Prefix, o.Prefix) || strings.HasPrefix(o.Prefix, n.Prefix)
}

func first(names []string, can func(string) bool) (string, bool) {
	if i := slices.IndexFunc(names, can); i >= 0 {
		return names[i], true
	}
	return "", false
}

// can reports whether the source can give the name.
func (n *NameSpace) can(name string) bool {
	if n.Names != nil {
		return slices.Contains(n.Names, name)
	}
	return strings.HasPrefix(name, n.Prefix)
}

// NameSpaces joins the name spaces of the members.
func (c chain) NameSpaces() []NameSpace {
	var all []NameSpace
	for _, a := range c {
		all = append(all, NameSpaces(a)...)
	}
	return all
}
