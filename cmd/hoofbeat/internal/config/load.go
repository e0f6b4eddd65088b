package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

const envPrefix = "HOOFBEAT_"

// Variables of the client commands, which share the prefix: the broker does not
// take them for misspelled keys.
const (
	EnvURL      = "HOOFBEAT_URL"
	EnvLogin    = "HOOFBEAT_LOGIN"
	EnvPasscode = "HOOFBEAT_PASSCODE"
	EnvAdminURL = "HOOFBEAT_ADMIN_URL"
	// EnvExportPassphrase encrypts and decrypts an export of the store.
	EnvExportPassphrase = "HOOFBEAT_EXPORT_PASSPHRASE"
)

// Sources are where a configuration comes from, weakest first.
type Sources struct {
	File  string   // a YAML file, "" for none
	Env   []string // as os.Environ returns it; a variable without a value counts as not set
	Flags *Flags   // nil for none
}

// Load reads and checks a configuration. The error joins one [*KeyError] for
// each bad key, and what the file system said.
func Load(s Sources) (*Config, error) {
	var file ast.Node
	if s.File != "" {
		var err error
		if file, err = parseFile(s.File, 0o002); err != nil {
			return nil, err
		}
	}
	c, err := s.load(file, "")
	if err == nil && c.Compatibility != "" {
		return s.load(file, c.Compatibility) // again, upon other defaults: what is written out wins
	}
	return c, err
}

// load reads the sources upon the defaults of a broker, our own for "".
func (s Sources) load(file ast.Node, broker string) (*Config, error) {
	c := new(Config)
	keys := bind(c)
	c.places = make(map[string]string)
	if err := imitate(keys, broker); err != nil {
		return nil, err
	}
	var problems []error
	if file != nil {
		l := newLoader(s.File, c, keys)
		l.section("", file)
		c.places = l.places
		problems = append(problems, l.problems...)
		if err := s.checkSecrets(c, l.secrets); err != nil {
			problems = append(problems, err)
		}
	}
	problems = append(problems, applyEnv(keys, s.Env, c.places)...)
	problems = append(problems, s.Flags.apply(keys, c.places)...)
	rejected := make(map[string]bool)
	for _, err := range problems {
		if about := (*KeyError)(nil); errors.As(err, &about) {
			rejected[about.Key] = true
		}
	}
	for _, k := range keys {
		if r, ok := k.value.(*records); ok {
			problems = append(problems, r.missing(k.Path, rejected)...)
		}
	}
	if len(problems) == 0 {
		problems = c.check()
	}
	if len(problems) > 0 {
		return nil, c.Locate(errors.Join(problems...))
	}
	return c, nil
}

// checkSecrets checks the mode of a file with secrets in it. If other users can
// write it, that is an error: they could replace the secrets. If they can read it,
// that is a warning.
func (s Sources) checkSecrets(c *Config, secrets []string) error {
	if len(secrets) == 0 {
		return nil
	}
	info, err := os.Stat(s.File)
	if err == nil {
		err = checkMode(s.File, info, othersWrite)
	}
	if err != nil {
		return &KeyError{Key: secrets[0], Text: "is written out in a file that is not safe: " + err.Error()}
	}
	if err := checkMode(s.File, info, everyReads); err != nil {
		c.warnings = append(c.warnings, fmt.Sprintf("%s is written out in %v", strings.Join(secrets, ", "), err))
	}
	return nil
}

func applyEnv(keys []Key, env []string, places map[string]string) []error {
	byName := make(map[string]Key, len(keys))
	var names []string
	for _, k := range keys {
		byName[k.Env()] = k
		names = append(names, k.Env())
	}
	var problems []error
	for _, entry := range slices.Sorted(slices.Values(env)) { // errors in a steady order
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || text == "" || foreign(name) {
			continue
		}
		k, ok := byName[name]
		if !ok {
			if path, err := applyItem(keys, name, text); path != "" {
				places[path] = "environment"
				if err != nil {
					problems = append(problems, &KeyError{"environment", name, err.Error()})
				}
				continue
			}
			problems = append(problems, &KeyError{"environment", name, unknown("variable", name, names)})
			continue
		}
		places[k.Path] = "environment"
		if err := k.value.Set(text); err != nil {
			problems = append(problems, &KeyError{"environment", name, err.Error()})
		}
	}
	return problems
}

// applyItem sets the key of an item of a list, such as HOOFBEAT_AUTH_JWT_0_ISSUER.
// path is the key's, empty if there is none of this name.
func applyItem(keys []Key, name, text string) (path string, err error) {
	for _, k := range keys {
		r, ok := k.value.(*records)
		if !ok {
			continue
		}
		if rest, ok := strings.CutPrefix(name, k.Env()+"_"); ok {
			if path, err = r.variable(k.Path, rest, text); path != "" {
				return path, err
			}
		}
	}
	return "", nil
}

// foreign reports whether a variable with our prefix is not the broker's: those
// of the client commands, and those that Kubernetes puts into every container
// of a name space with a service called hoofbeat.
func foreign(name string) bool {
	switch name {
	case EnvURL, EnvLogin, EnvPasscode, EnvAdminURL, EnvExportPassphrase, "HOOFBEAT_PORT", "HOOFBEAT_SERVICE_HOST", "HOOFBEAT_SERVICE_PORT":
		return true
	}
	return strings.HasPrefix(name, "HOOFBEAT_PORT_") || strings.HasPrefix(name, "HOOFBEAT_SERVICE_PORT_")
}
