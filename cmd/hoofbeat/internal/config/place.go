package config

import (
	"errors"
	"strings"
)

// Locate adds to the errors about keys where each key was given, such as
// "hoofbeat.yaml:12", where that is missing. Errors about several keys, written
// "tls.cert, tls.key", get the place of the first that was given.
func (c *Config) Locate(err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, c.Locate(e))
		}
		return errors.Join(all...)
	}
	var about *KeyError
	if !errors.As(err, &about) || about.Source != "" {
		return err
	}
	for key := range strings.SplitSeq(about.Key, ", ") {
		if place := c.place(key); place != "" {
			located := *about
			located.Source = place
			return &located
		}
	}
	return err
}

// place returns where a key was given, "" for one at its default. A key of an item
// of a list, as auth.jwt[0].issuer, that was not given is where the item is, a
// section where its first key is, and a secret where the name of its file is.
func (c *Config) place(key string) string {
	for at := key; ; {
		if place := c.places[at]; place != "" {
			return place
		}
		if place := c.places[at+"_file"]; place != "" {
			return place
		}
		end := max(strings.LastIndexByte(at, '['), strings.LastIndexByte(at, '.'))
		if end < 0 || !strings.Contains(at, "[") {
			break
		}
		at = at[:end]
	}
	for _, k := range Keys() {
		if strings.HasPrefix(k.Path, key+".") && c.places[k.Path] != "" {
			return c.places[k.Path]
		}
	}
	return ""
}
