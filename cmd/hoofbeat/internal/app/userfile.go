package app

import (
	"context"
	"errors"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// userFile holds the most recently read users file.
type userFile struct {
	path  string
	store *users.Store
	hash  map[string]string // by name
	names []auth.NameSpace  // of all other sources of user names
}

// openUserFile reads a users file. It returns an error if one of the others
// could give a user's name to another person.
func openUserFile(path string, others []auth.NameSpace) (*userFile, error) {
	f := &userFile{path: path, names: others}
	list, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.store, err = users.New(list); err != nil {
		return nil, f.wrong(err)
	}
	return f, nil
}

// reload reads the file again and returns its number of users. It invalidates
// the unused tickets of users that were removed or have another hash. An error
// with a number is about that only: the new users are in force.
func (f *userFile) reload(revocations *auth.Revocations) (int, error) {
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

func (f *userFile) read() ([]users.User, error) {
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

func (f *userFile) wrong(err error) error { return wrong("auth.users.file", err) }
