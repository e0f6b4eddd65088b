package config

import "strings"

// Key is one setting: its name, what it means, and where it may be given.
type Key struct {
	Path    string // in the file, such as limits.frame
	Doc     string // one or two sentences, for the file and the documentation
	Default string // as it would be written
	Live    bool   // a reload puts a change in force
	value   value
	envOnly bool     // a secret: not in the file, not on the command line
	must    bool     // of an item of a list: it has to be given
	needs   []string // names of needs without which it has no effect
	spring  string   // the default with compatibility: spring, "" for none of its own
}

// Env returns the name of the environment variable.
func (k Key) Env() string { return variableName(k.Path) }

// variableName is the variable of a key, such as HOOFBEAT_AUTH_JWT_0_ISSUER.
func variableName(path string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer("[", "_", "]", "", ".", "_").Replace(path))
}

// Flag returns the name of the command line flag without its dashes, "" when it
// has none.
func (k Key) Flag() string {
	if t := k.Type(); t == "items" || t == "secret" { // the process list shows the command line to everybody
		return ""
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.Path)
}

// Type returns the kind of value in a word, such as "size".
func (k Key) Type() string { return k.value.Type() }

// Want returns the accepted values in words.
func (k Key) Want() string { return k.value.Want() }

// Keys returns every key with its default, in the order of the file. rules,
// which only the file can hold, is not among them.
func Keys() []Key { return bind(new(Config)) }
