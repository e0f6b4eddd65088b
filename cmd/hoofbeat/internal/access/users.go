package access

import (
	"context"
	"errors"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// makeUsers reads auth.users.file.
func (a *Access) makeUsers(c *config.Config) (err error) {
	if c.Auth.Users.File != "" {
		a.Users, err = openUserFile(c.Auth.Users.File, nameSpaces(c))
		if exposed := config.Exposed(c.Auth.Users.File); exposed != nil {
			a.log.Warn("the hashes of passcodes are not private", "key", "auth.users.file", "problem", exposed)
		}
	}
	return config.OptionError("auth.users.file", err)
}

// UserFile holds the most recently read users file.
type UserFile struct {
	path  string
	store *users.Store
	hash  map[string]string // by name
	names []auth.NameSpace  // of all other sources of user names
}

// openUserFile reads a users file. It returns an error if one of the others
// could give a user's name to another person.
func openUserFile(path string, others []auth.NameSpace) (*UserFile, error) {
	f := &UserFile{path: path, names: others}
	list, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.store, err = users.New(list); err != nil {
		return nil, f.wrong(err)
	}
	return f, nil
}

// Reload reads the file again and returns its number of users. It invalidates
// the unused tickets of users that were removed or have another hash. An error
// with a number is about that only: the new users are in force.
func (f *UserFile) Reload(revocations *auth.Revocations) (int, error) {
	before := f.hash
	list, err := f.read()
	if err == nil {
		err = f.wrong(f.store.Replace(list))
	}
	if err != nil {
		f.hash = before
		return 0, err
	}
	for name, hash := range before {
		if f.hash[name] != hash {
			err = errors.Join(err, revocations.BumpEpoch(context.Background(), name))
		}
	}
	return len(list), err
}

func (f *UserFile) read() ([]users.User, error) {
	list, err := config.LoadUsers(f.path)
	if err != nil {
		return nil, config.About("auth.users.file", err)
	}
	all := make([]users.User, len(list))
	own := auth.NameSpace{Source: "auth.users.file", Names: make([]string, len(list))}
	hash := make(map[string]string, len(list))
	for i, u := range list {
		all[i] = users.User(u)
		own.Names[i] = u.Name
		hash[u.Name] = u.Hash
	}
	if err := checkNames(append(slices.Clone(f.names), own)...); err != nil {
		return nil, err
	}
	f.hash = hash
	return all, nil
}

func (f *UserFile) wrong(err error) error { return config.OptionError("auth.users.file", err) }
