package auth

import (
	"fmt"
	"slices"
	"strings"
)

// NameSpace says which user names one source of principals can give: an issuer
// of tokens, a login provider, a list of users, a back end. A user name decides
// whose messages a session reads, so two sources that could give two people the
// same name must not be used together by accident; [CheckNames] finds them.
type NameSpace struct {
	// Source is what error texts call the source, for example "bearer.Options.JWT[0]".
	Source string
	// Issuer is who knows the users: the iss of tokens. Two sources with the same
	// Issuer, Claim and Prefix are about the same people. Empty means that the
	// source knows users that no other source knows.
	Issuer string
	// Claim is the claim that becomes the name. Together with Issuer it says
	// whether equal names are the same person.
	Claim string
	// Prefix begins every name of the source.
	Prefix string
	// Names, if not nil, are all the names that the source can give; Prefix is not
	// looked at then.
	Names []string
}

// NameSource is an optional ability of an [Authenticator]: it says which names
// it can give. [Chain] has it if one of its members does. All ready-made
// Authenticators that name users have it; [Tickets] has not, because whoever
// mints a ticket for another source's user states the full name on purpose.
type NameSource interface {
	// NameSpaces returns one entry for each source. It is safe for concurrent use.
	NameSpaces() []NameSpace
}

// NameError says that two sources can give two people the same user name.
type NameError struct {
	First, Second NameSpace
	// Name is a name that both can give, or "" if nearly any would be one.
	Name string
}

// Error names both sources and how to mend it.
func (e *NameError) Error() string {
	example := ""
	if e.Name != "" {
		example = fmt.Sprintf(" (such as %q)", e.Name)
	}
	return fmt.Sprintf("auth: %s and %s can give two people the same user name%s: give each a UserPrefix with which no other begins, or set SharedNames if equal names are the same person",
		e.First.Source, e.Second.Source, example)
}

// CheckNames returns a [*NameError] if two of the sources could give two people
// the same user name, and nil if they cannot. Call it with the NameSpaces of a
// [Chain] before it is used, unless a name means the same person everywhere.
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

// NameSpaces returns what a knows about the names that it gives, nil if it is
// no [NameSource].
func NameSpaces(a Authenticator) []NameSpace {
	if s, ok := a.(NameSource); ok {
		return s.NameSpaces()
	}
	return nil
}

// meets reports whether both could give a name to different people.
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

// can reports whether the source can give that name.
func (n *NameSpace) can(name string) bool {
	if n.Names != nil {
		return slices.Contains(n.Names, name)
	}
	return strings.HasPrefix(name, n.Prefix)
}

// NameSpaces joins those of the members.
func (c chain) NameSpaces() []NameSpace {
	var all []NameSpace
	for _, a := range c {
		all = append(all, NameSpaces(a)...)
	}
	return all
}
