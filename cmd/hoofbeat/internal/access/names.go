package access

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// nameSpaces returns the user names that each part of the configuration can
// give. It omits those of auth.users.file, which are in the file, and tickets,
// for which the program that mints them chooses the full name. With
// auth.shared_names it returns nil.
func nameSpaces(c *config.Config) []auth.NameSpace {
	a := &c.Auth
	if a.SharedNames {
		return nil
	}
	var all []auth.NameSpace
	add := func(source, issuer, claim, prefix string) {
		if claim == "" {
			claim = "sub"
		}
		all = append(all, auth.NameSpace{Source: source, Issuer: issuer, Claim: claim, Prefix: prefix})
	}
	for i, j := range a.JWT {
		add(fmt.Sprintf("auth.jwt[%d]", i), j.Issuer, j.User, j.UserPrefix)
	}
	for i, s := range a.Introspection {
		add(fmt.Sprintf("auth.introspection[%d]", i), s.Issuer, s.User, s.UserPrefix)
	}
	for i, u := range a.UserInfo {
		add(fmt.Sprintf("auth.userinfo[%d]", i), u.Issuer, u.User, u.UserPrefix)
	}
	for i, o := range a.OAuth {
		add(fmt.Sprintf("auth.oauth[%d]", i), o.Issuer, o.User, o.UserPrefix)
	}
	names := slices.Contains(a.Webhook.Events, "connect") || slices.Contains(a.Webhook.Events, "handshake")
	if a.Webhook.URL != "" && names {
		add("auth.webhook", "", "user", a.Webhook.UserPrefix)
	}
	return all
}

// checkNames rejects sources that could give the same name to two people.
func checkNames(spaces ...auth.NameSpace) error {
	var clash *auth.NameError
	if err := auth.CheckNames(spaces...); !errors.As(err, &clash) {
		return err
	}
	if clash.Name != "" {
		return &config.KeyError{Key: clash.Second.Source, Text: fmt.Sprintf(
			"the user %q could also be somebody of %s: rename the user, give %[2]s a user_prefix, or set auth.shared_names to true if equal names are the same person",
			clash.Name, clash.First.Source)}
	}
	return &config.KeyError{Key: clash.Second.Source, Text: fmt.Sprintf(
		"its users and those of %s could have the same names: give each a user_prefix with which no other begins, the same issuer and user if they are about the same people, or set auth.shared_names to true if equal names are the same person everywhere",
		clash.First.Source)}
}
