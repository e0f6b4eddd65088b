package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"golang.org/x/crypto/bcrypt"
)

// User is one entry of the users file.
type User struct {
	Name  string   `yaml:"name"`
	Hash  string   `yaml:"hash"` // bcrypt
	Roles []string `yaml:"roles"`
}

// LoadUsers reads a users file: a list of name, hash and roles. Like the
// configuration it is strict, and its errors have lines and never a hash. A file
// that others than its owner can write is refused; see [Exposed] for reading.
func LoadUsers(path string) ([]User, error) {
	node, err := parseFile(path, othersWrite)
	if err != nil {
		return nil, err
	}
	l := &loader{name: filepath.Base(path)}
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		return nil, fmt.Errorf("%s: want a list of users as `hoofbeat passwd NAME` prints them", l.name)
	}
	users := make([]User, 0, len(seq.Values))
	first := make(map[string]int)
	for _, item := range seq.Values {
		u := l.user(item)
		if at, ok := first[u.Name]; ok && u.Name != "" {
			l.bad(item, u.Name, fmt.Sprintf("is a user already, on line %d", at))
		}
		first[u.Name] = line(item)
		users = append(users, u)
	}
	if len(l.problems) > 0 {
		return nil, errors.Join(l.problems...)
	}
	return users, nil
}

func (l *loader) user(node ast.Node) User {
	var u User
	m, ok := node.(*ast.MappingNode)
	if !ok {
		l.bad(node, "users", "want a user: name, hash and roles")
		return u
	}
	for _, v := range m.Values {
		switch name := key(v); name {
		case "name":
			u.Name, _ = l.text(name, v.Value)
		case "hash":
			u.Hash, _ = l.text(name, v.Value)
		case "roles":
			u.Roles = l.texts(name, v.Value)
		default:
			l.bad(v, name, unknown("key", name, []string{"name", "hash", "roles"}))
		}
	}
	if err := CheckName(u.Name); err != nil {
		l.bad(node, "name", err.Error())
	}
	if _, err := bcrypt.Cost([]byte(u.Hash)); err != nil {
		l.bad(node, "hash", "is not a bcrypt hash: `hoofbeat passwd` makes one")
	}
	return u
}

// CheckName says why a text cannot be the name of a user: STOMP headers carry
// it, so it must be one line.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("is empty: want the name of a user")
	case strings.ContainsAny(name, "\r\n\x00"):
		return errors.New("has a line end or NUL, which no STOMP header carries")
	}
	return nil
}
