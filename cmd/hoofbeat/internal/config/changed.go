package config

import (
	"reflect"
	"slices"
)

// Changed returns the keys whose values differ between two configurations, in
// the order of the file, but those that are named.
func Changed(before, after *Config, but ...string) []string {
	var changed []string
	old, now := tableOf(before), tableOf(after)
	for i, k := range now {
		same := k.value.String() == old[i].value.String()
		if r, ok := k.value.(*records); ok {
			same = reflect.DeepEqual(r.all(), old[i].value.(*records).all())
		}
		if !same && !slices.Contains(but, k.Path) {
			changed = append(changed, k.Path)
		}
	}
	if !reflect.DeepEqual(before.Rules, after.Rules) {
		changed = append(changed, "rules")
	}
	return changed
}

// tableOf returns the keys with the values of c, which it does not change.
func tableOf(c *Config) []Key {
	values := *c
	return fieldsOf(&values)
}
