package idp

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// check returns an error if a Server with these options would be open to
// somebody who should be rejected.
func (o *Options) check() error {
	if o.Issuer == "" || o.Broker == nil {
		return errors.New("idp: Options.Issuer and Options.Broker are required")
	}
	if u, err := url.Parse(o.Issuer); err != nil || u.Scheme+"://"+u.Host != o.Issuer {
		return fmt.Errorf("idp: Options.Issuer %q is not an origin such as https://id.example.com", o.Issuer)
	}
	known := make(map[string]bool)
	for _, c := range o.Clients {
		if c.ID == "" || c.Secret == "" {
			return fmt.Errorf("idp: client %q needs an ID and a secret", c.ID)
		}
		if known[c.ID] {
			return fmt.Errorf("idp: client %q is registered twice", c.ID)
		}
		known[c.ID] = true
		for _, address := range c.RedirectURLs {
			u, err := url.Parse(address)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(address, "#") {
				return fmt.Errorf("idp: redirect URL %q of client %q is not an absolute HTTP URL without a fragment", address, c.ID)
			}
		}
	}
	return nil
}
