package config

import "errors"

const wantBroker = "spring, or empty"

func compatible(s string) error {
	if s != "" && s != "spring" {
		return wrong(s, wantBroker)
	}
	return nil
}

// imitate changes the defaults of the keys to those of a broker. For spring these
// are the tags spring: programs for Spring's simple broker rely on them, and the
// defaults of Hoofbeat differ on purpose.
func imitate(keys []Key, broker string) error {
	var problems []error
	for _, k := range keys {
		if broker != "spring" || k.spring == "" {
			continue
		}
		if err := k.value.Set(k.spring); err != nil {
			problems = append(problems, &KeyError{Key: k.Path, Text: err.Error()})
		}
	}
	return errors.Join(problems...)
}
