// Package users authenticates a fixed list of users by name and passcode, for
// brokers that know their users when they start. It keeps the passcodes as
// bcrypt hashes.
//
//	hash, err := users.Hash("correct horse battery staple", 0)
//	if err != nil {
//		return err
//	}
//	store, err := users.New([]users.User{{Name: "alice", Hash: hash, Roles: []string{"service"}}})
//	if err != nil {
//		return err
//	}
//	authenticator := auth.Chain(store, auth.Anonymous)
//
// The list may come from anywhere; the package reads no file. [Store.Replace]
// replaces it while the broker runs.
package users
