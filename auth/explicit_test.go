package auth

import "testing"

// A rule counts if it was written for the destinations below the prefix; a rule
// that denies counts always.
func TestExplicitPermissions(t *testing.T) {
	const prefix, destination = "/topic/presence", "/topic/presence/topic/room/7"
	for name, c := range map[string]struct {
		rules []Rule
		want  bool
	}{
		"none":                    {nil, false},
		"all":                     {[]Rule{{Effect: Allow, Actions: []Action{Subscribe}, Destination: "/**", AnyUser: true}}, false},
		"around it":               {[]Rule{allow("/topic/**", Subscribe)}, false},
		"that may match":          {[]Rule{allow("/topic/presenc?/**", Subscribe), allow("/topic/*/topic/room/7", Subscribe)}, false},
		"beside it":               {[]Rule{allow("/topic/presences/**", Subscribe), allow("/topic/presence/topic/room/8", Subscribe)}, false},
		"below it":                {[]Rule{allow("/topic/presence/**", Subscribe)}, true},
		"deep below it":           {[]Rule{allow("/topic/presence/topic/room/*", Subscribe)}, true},
		"exactly":                 {[]Rule{allow(destination, Subscribe)}, true},
		"after a wider one":       {[]Rule{allow("/topic/**", Subscribe), allow("/topic/presence/**", Subscribe)}, true},
		"after a denial":          {[]Rule{deny("/topic/**", Subscribe), allow("/topic/presence/**", Subscribe)}, false},
		"after an allowed denial": {[]Rule{allow("/topic/**", Subscribe), deny("/topic/presence/**", Subscribe)}, false},
		"for sending":             {[]Rule{allow("/topic/presence/**", Send)}, false},
		"for a role":              {[]Rule{{Effect: Allow, Actions: []Action{Subscribe}, Destination: "/topic/presence/**", Roles: []string{"staff"}}}, false},
		"with a variable":         {[]Rule{allow("/topic/presence/topic/room/{claim.room}", Subscribe)}, true},
	} {
		r, err := NewRules(c.rules...)
		if err != nil {
			t.Fatal(err)
		}
		p := &Principal{Name: "ann", Claims: map[string]any{"room": "7"}}
		if got := r.AuthorizeExplicit(t.Context(), p, Subscribe, destination, prefix) == nil; got != c.want {
			t.Errorf("a rule %s: allowed %v, want %v", name, got, c.want)
		}
		for _, bad := range []string{"", destination + "/", "/topic//presence/x", "/topic/presence/*"} {
			if r.AuthorizeExplicit(t.Context(), p, Subscribe, bad, prefix) == nil {
				t.Errorf("a rule %s allows %q", name, bad)
			}
		}
		if r.AuthorizeExplicit(t.Context(), nil, Subscribe, destination, prefix) == nil {
			t.Errorf("a rule %s allows nobody", name)
		}
	}
	for name, c := range map[string]struct {
		rules *Rules
		want  bool
	}{"open": {Open(), true}, "guarded": {Guarded(), false}, "open without prefixes": {Prefixes{Topic: []string{"/", "/t"}}.Open(), true}} {
		prefix := map[bool]string{true: "/t/presence", false: "/topic/presence"}[name == "open without prefixes"]
		if got := c.rules.AuthorizeExplicit(t.Context(), &Principal{}, Subscribe, prefix+"/topic/a", prefix) == nil; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := c.rules.AuthorizeExplicit(t.Context(), &Principal{}, Subscribe, "/app/presence/topic/a", "/app/presence") == nil; got != c.want {
			t.Errorf("%s: %v for lists", name, got)
		}
	}
}
