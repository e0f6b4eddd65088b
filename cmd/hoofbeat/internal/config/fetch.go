package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/topics"
)

// DataPath is below what path the answers of auth.oauth[].fetch are served.
const DataPath = "/data/"

var fetchNames = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

func fetchName(s string) error {
	if !fetchNames.MatchString(s) {
		return fmt.Errorf("%q is not accepted: want 1 to 64 of a-z, 0-9, - and _", s)
	}
	return nil
}

// grantedURL checks a URL that a user's token is sent to. The text is not in the
// error: it may have a key in it.
func grantedURL(s string) error {
	if _, err := httpsec.SecureURL(s); err != nil {
		return errors.New("is not accepted: want an https URL without user and fragment, or http to this machine (localhost, 127.0.0.1, [::1])")
	}
	return nil
}

// fetches reports whether there is any auth.oauth[].fetch.
func (c *Config) fetches() bool {
	for _, p := range c.Auth.OAuth {
		if len(p.Fetch) > 0 {
			return true
		}
	}
	return false
}

// checkFetch checks auth.oauth[].fetch: its names, and its destinations, which have
// the prefixes of the section destinations.
func (c *Config) checkFetch(bad func(key, format string, args ...any)) {
	names, err := topics.NewNames(c.Prefixes())
	if err != nil {
		return // which is said of destinations
	}
	first := make(map[string]string)
	published := false
	for i, p := range c.Auth.OAuth {
		for j, f := range p.Fetch {
			key := fmt.Sprintf("auth.oauth[%d].fetch[%d].", i, j)
			if other, taken := first[f.Name]; taken {
				bad(key+"name", "%s is the name of %s too: GET %s%[1]s could be either", f.Name, other, DataPath)
			}
			first[f.Name] = strings.TrimSuffix(key, ".")
			if f.Destination == "" {
				continue
			}
			published = true
			d, err := names.ParseSubscription(f.Destination)
			if err != nil || d.Kind != topics.UserPrivate || d.Pattern {
				bad(key+"destination", "%q is not accepted: want a private destination without wildcards such as %s/queue/%s", f.Destination, c.Prefixes().User, f.Name)
			} else if own := topics.Collapse(d.Path); own == "/topic/session" || own == "/queue/errors" || own == "/topic/registration" || own == "/topic/authorization" {
				bad(key+"destination", "%q is the broker's own", f.Destination)
			}
		}
	}
	if answer, outbox := c.Limits.FetchedAnswer, c.Limits.Outbox; published && outbox != Off && outbox/2 < answer {
		bad("limits.fetched_answer", "%s is more than half of limits.outbox of %s: one answer could make a client a slow consumer", answer, outbox)
	}
}
