package config

import "maps"

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
	return &adopted
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
