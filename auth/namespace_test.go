package auth

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckNames(t *testing.T) {
	const one, two = "https://one.example", "https://two.example"
	for name, c := range map[string]struct {
		spaces []NameSpace
		clash  string // the end of the error's list of names, "" for none
	}{
		"one source":                        {[]NameSpace{{Issuer: one}}, ""},
		"none":                              {nil, ""},
		"the same people":                   {[]NameSpace{{Issuer: one, Claim: "sub"}, {Issuer: one, Claim: "sub"}}, ""},
		"the same people by another claim":  {[]NameSpace{{Issuer: one, Claim: "sub"}, {Issuer: one, Claim: "email"}}, "same user name:"},
		"two issuers":                       {[]NameSpace{{Issuer: one}, {Issuer: two}}, "same user name:"},
		"nobody knows the issuers":          {[]NameSpace{{}, {}}, "same user name:"},
		"prefixes":                          {[]NameSpace{{Prefix: "a:"}, {Prefix: "b:"}}, ""},
		"one without":                       {[]NameSpace{{Prefix: "a:"}, {}}, "same user name:"},
		"one begins as the other":           {[]NameSpace{{Prefix: "a:"}, {Prefix: "a:b:"}}, "same user name:"},
		"the third with the first":          {[]NameSpace{{Prefix: "a:"}, {Prefix: "b:"}, {Prefix: "a"}}, "same user name:"},
		"the same issuer, different prefix": {[]NameSpace{{Issuer: one, Prefix: "a"}, {Issuer: one, Prefix: "ab"}}, "same user name:"},
		"a list beside a prefix":            {[]NameSpace{{Names: []string{"ann"}}, {Prefix: "a:"}}, ""},
		"a list with a name of the prefix":  {[]NameSpace{{Names: []string{"ann", "a:ann"}}, {Prefix: "a:"}}, `(such as "a:ann")`},
		"a list beside everything":          {[]NameSpace{{}, {Names: []string{"ann"}}}, `(such as "ann")`},
		"an empty list":                     {[]NameSpace{{}, {Names: []string{}}}, ""},
		"two lists":                         {[]NameSpace{{Names: []string{"ann", "bob"}}, {Names: []string{"bob"}}}, `(such as "bob")`},
		"two lists without a common name":   {[]NameSpace{{Names: []string{"ann"}}, {Names: []string{"bob"}}}, ""},
	} {
		for i := range c.spaces {
			c.spaces[i].Source = "source " + string(rune('0'+i))
		}
		err := CheckNames(c.spaces...)
		if c.clash == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var clash *NameError
		if !errors.As(err, &clash) || !strings.Contains(err.Error(), c.clash) || !strings.Contains(err.Error(), "source 0") {
			t.Errorf("%s: %v, want %s", name, err, c.clash)
		}
	}
}

type source struct {
	Authenticator
	NameSpace
}

func (s source) NameSpaces() []NameSpace { return []NameSpace{s.NameSpace} }

// A chain reports the name spaces of its members, including those of a nested
// chain.
func TestChainNameSpaces(t *testing.T) {
	one, two := source{Anonymous, NameSpace{Source: "one"}}, source{Anonymous, NameSpace{Source: "two"}}
	chain := Chain(Chain(one), Anonymous, two)
	if got := NameSpaces(chain); len(got) != 2 || got[0].Source != "one" || got[1].Source != "two" {
		t.Errorf("%+v", got)
	}
	if err := CheckNames(NameSpaces(chain)...); err == nil {
		t.Error("two sources of any name are taken for one")
	}
	if got := NameSpaces(Anonymous); got != nil {
		t.Errorf("anonymous clients have names: %+v", got)
	}
}
