package config

import (
	"strings"
	"time"
)

// Key is one setting: its name, what it means, and where it may be given.
type Key struct {
	Path    string // in the file, such as limits.frame
	Doc     string // one or two sentences, for the file and the documentation
	Default string // as it would be written
	Live    bool   // a reload puts a change in force
	value   value
	envOnly bool // a secret: not in the file, not on the command line
	noFlag  bool // a secret: the process list shows the command line to everybody
	path    bool // a file name: relative to the configuration file
	must    bool // of an item of a list: it has to be given
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
	if _, list := k.value.(*records); list || k.envOnly || k.noFlag {
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

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// table is under construction: each method adds a key, ties it to a field, and
// gives the field its default.
type table struct{ keys []Key }

func (t *table) add(path string, v value, doc string) *Key {
	t.keys = append(t.keys, Key{Path: path, Doc: doc, Default: v.String(), value: v})
	return &t.keys[len(t.keys)-1]
}

func (t *table) addr(path string, p *string, def, doc string) {
	*p = def
	t.add(path, address{p: p}, doc)
}

func (t *table) file(path string, p *string, doc string) {
	t.add(path, word{p: p, kind: "file", want: "the name of a file", check: anything}, doc).path = true
}

func (t *table) flag(path string, p *bool, doc string) { t.add(path, boolean{p}, doc) }

// text is any text; empty stands for what the documentation says.
func (t *table) text(path string, p *string, want, doc string) *Key {
	return t.add(path, word{p: p, kind: "text", want: want, check: anything}, doc)
}

func (t *table) url(path string, p *string, doc string) *Key {
	return t.add(path, word{p: p, kind: "url", want: "a URL such as https://login.example.com, or http to this machine", check: webURL}, doc)
}

func (t *table) texts(path string, p *[]string, want, doc string) {
	t.add(path, list{p, want, anything}, doc)
}

// secret adds two keys: the secret, and the file that it can be in instead.
func (t *table) secret(path string, s *Secret, doc string) {
	t.add(path, word{p: &s.Text, kind: "secret", want: "a secret", check: anything}, doc+" Prefer the environment or "+path[strings.LastIndexByte(path, '.')+1:]+"_file.").noFlag = true
	t.file(path+"_file", &s.File, "File that contains "+path+" and nothing else.")
}

func (t *table) oneOf(path string, p *string, doc string, words ...string) {
	*p = words[0]
	t.add(path, choice{p, words}, doc)
}

func (t *table) count(path string, p *int, def, max int, doc string) {
	*p = def
	t.add(path, number[int]{p, 1, max, true, countUnit()}, doc)
}

func (t *table) size(path string, p *int, def, min, max int, doc string) {
	*p = def
	t.add(path, number[int]{p, min, max, true, sizeUnit()}, doc)
}

func (t *table) bigSize(path string, p *int64, def, min, max int64, doc string) {
	*p = def
	t.add(path, number[int64]{p, min, max, true, sizeUnit()}, doc)
}

func (t *table) duration(path string, p *time.Duration, def, min, max time.Duration, canBeOff bool, doc string) {
	*p = def
	t.add(path, number[time.Duration]{p, min, max, canBeOff, durationUnit()}, doc)
}
