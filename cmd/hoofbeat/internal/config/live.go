package config

import (
	"maps"
	"slices"
	"strings"
)

// Adopt returns c with the live keys and the rules of another configuration: what
// is in force after a reload.
func (c *Config) Adopt(other *Config) *Config {
	adopted := *c
	adopted.places = maps.Clone(c.places)
	keys, values := fieldsOf(&adopted), tableOf(other)
	for i, k := range keys {
		if k.Live {
			// It was accepted when other was read.
			_ = k.value.Set(values[i].value.String())
			adopted.adoptPlace(k.Path, other)
		}
	}
	adopted.Rules = other.Rules
	adopted.adoptHistory(other)
	return &adopted
}

// adoptHistory takes over the limits of all entries of history and of each, if
// the destinations are the same. Otherwise all of them stay as they are.
func (c *Config) adoptHistory(other *Config) {
	if !slices.EqualFunc(c.History, other.History, func(a, b History) bool { return a.Destination == b.Destination }) {
		return
	}
	c.History, c.HistoryBytes = slices.Clone(other.History), other.HistoryBytes
	for _, places := range []map[string]string{maps.Clone(c.places), other.places} {
		for path := range places {
			if strings.HasPrefix(path, "history") {
				c.adoptPlace(path, other)
			}
		}
	}
}

// adoptPlace takes over where a key is given in another configuration, if it
// is.
func (c *Config) adoptPlace(path string, other *Config) {
	delete(c.places, path)
	if place := other.places[path]; place != "" {
		if c.places == nil {
			c.places = make(map[string]string)
		}
		c.places[path] = place
	}
}
