package config

import "strings"

// imitation is a key of compatibility: spring, with the value that it gives it.
type imitation struct{ path, value string }

// spring lists the settings that programs written for Spring's simple broker rely
// on, and whose defaults differ here on purpose.
func spring() []imitation {
	return []imitation{
		{"queues.mode", "broadcast"},    // SimpleBrokerMessageHandler knows no queues
		{"selectors", "true"},           // DefaultSubscriptionRegistry.setSelectorHeaderName
		{"sockjs_cookie", "JSESSIONID"}, // what load balancers in front of Spring stick to
	}
}

// imitations are the keys in words, for the documentation.
func imitations() string {
	var all []string
	for _, i := range spring() {
		all = append(all, i.path+" is "+i.value)
	}
	return strings.Join(all, ", ")
}

func compatible(s string) error {
	if s != "" && s != "spring" {
		return wrong(s, word{want: "spring, or empty"})
	}
	return nil
}

// imitate changes the defaults of the table to those of a broker.
func imitate(keys []Key, broker string) error {
	if broker != "spring" {
		return nil
	}
	values := make(map[string]string)
	for _, i := range spring() {
		values[i.path] = i.value
	}
	for _, k := range keys {
		if text, ok := values[k.Path]; ok {
			if err := k.value.Set(text); err != nil {
				return &KeyError{Key: k.Path, Text: err.Error()}
			}
		}
	}
	return nil
}
